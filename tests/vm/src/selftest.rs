// SPDX-License-Identifier: GPL-2.0-or-later
//! `vm selftest`: what does not hold must fail, under each engine; a harness that can't fail shows nothing.

use std::fs;
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::case::RootKind;
use crate::cell::{Cell, Flavour, Initrd, Suite, Variant};
use crate::engine::Engine;
use crate::host::{Host, say};
use crate::images::ImageSet;
use crate::machine::{Attach, Boot, Machine};
use crate::plan;

const CELL: Cell = Cell { suite: Suite::Trixie, initrd: Initrd::Systemd };

/// A guest that is broken on purpose, and why its boot must be called a failure.
struct Broken {
    what: &'static str,
    cmdline: &'static str,
    holds: &'static str,
    failure: &'static str,
    failed: &'static str,
}

const BROKEN: [Broken; 3] = [
    Broken {
        what: "a line that does not hold",
        cmdline: "rd.overlay",
        holds: "overlay_root\nplain_root\n",
        failure: "1 lines failed",
        failed: "FAILED plain_root",
    },
    Broken {
        what: "a boot that ends in the initramfs's emergency shell",
        cmdline: "rd.overlay=LABEL=nowhere rd.overlay.fallback=halt rd.overlay.timeout=1",
        holds: "true\n",
        failure: "1 lines failed",
        failed: "the boot was to reach stage host",
    },
    Broken {
        what: "a kernel that panics",
        cmdline: "rdinit=/nowhere init=/nowhere root=/dev/nowhere",
        holds: "true\n",
        failure: "the guest ended without a verdict",
        failed: "",
    },
];

/// Boots each broken guest under each engine; prints a line each.
///
/// # Errors
/// When something can't be made, or an engine is missing with `CI=true`.
pub fn run(host: &Host) -> Result<bool> {
    let mut engines = vec![host.engine(Engine::Uml)?, Engine::Qemu];
    engines.dedup();
    let needs: Vec<_> = engines.iter().map(|&engine| (CELL, Variant::Plain, RootKind::Ext4, engine)).collect();
    let sets = plan::prepare(host, &needs)?;
    let set = sets.get(&(CELL.suite, Flavour::Project)).context("no images")?;
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = engines.iter().map(|&engine| scope.spawn(move || all(host, set, engine))).collect();
        threads.into_iter().map(|one| one.join().unwrap_or_else(|_| Err(anyhow!("a boot panicked")))).collect()
    });
    let (mut passed, mut failed) = (0, 0);
    for missed in results {
        let missed = missed?;
        passed += BROKEN.len() - missed;
        failed += missed;
    }
    say(&format!("{passed} passed, {failed} failed"));
    Ok(failed == 0)
}

/// How many of them were taken for good.
fn all(host: &Host, set: &ImageSet, engine: Engine) -> Result<usize> {
    let dir = host.work.join(format!("run-{}", std::process::id())).join(engine.to_string());
    let mut missed = 0;
    for broken in BROKEN {
        match one(host, set, engine, &broken, &dir) {
            Ok(()) => say(&format!("ok   {engine}: {} is a failure", broken.what)),
            Err(error) => {
                missed += 1;
                say(&format!("FAIL {engine}: {}: {error:#}", broken.what));
            }
        }
    }
    fs::remove_dir_all(&dir)?;
    Ok(missed)
}

fn one(host: &Host, set: &ImageSet, engine: Engine, broken: &Broken, dir: &std::path::Path) -> Result<()> {
    let root = set.root_disks(RootKind::Ext4).into_iter().next().context("no root")?;
    let boot = Boot {
        engine,
        kernel: set.kernel(),
        initrd: set.initrd((CELL.initrd, Variant::Plain, engine)),
        cmdline: format!("root=LABEL=root ro {}", broken.cmdline),
        disks: vec![Attach { path: root, serial: "root".to_owned(), ..Attach::default() }],
        holds: broken.holds.to_owned(),
        ..Boot::default()
    };
    let outcome = Machine::new(host, dir)?.boot(&boot)?;
    let failure = outcome.failure.context("the harness called it good")?;
    ensure!(failure == broken.failure, "it failed by another reason: {failure}\n{}", outcome.console);
    ensure!(outcome.failed.contains(broken.failed), "it failed by another line: {}", outcome.failed);
    Ok(())
}
