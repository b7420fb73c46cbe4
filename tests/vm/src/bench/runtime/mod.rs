// SPDX-License-Identifier: GPL-2.0-or-later
//! What an overlay root costs while it runs, by kind of upper: a table that helps choosing one.

mod lower;
mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::Bench;
use super::said::{self, Measured};
use super::tools;
use super::ways::SUITE;
use crate::case::{FsKind, RootKind};
use crate::cell::{Cell, Initrd, Variant};
use crate::engine::Engine;
use crate::fsimage::{self, Identity};
use crate::host;
use crate::machine::{Attach, Boot, Machine, read};
use crate::plan::Need;

const CELL: Cell = Cell { suite: SUITE, initrd: Initrd::Systemd };
/// What the boots are from: one image for all kinds.
pub(super) const NEEDS: [Need; 2] =
    [(CELL, Variant::Mkfs, RootKind::Ext4, Engine::Uml), (CELL, Variant::Mkfs, RootKind::BtrfsSubvol, Engine::Uml)];
/// What is repeated in one boot.
const ROUNDS: usize = 3;
const NAMES: usize = 10_000;
const SYNCS: usize = 200;
/// MiB; an upper in RAM takes half of it, and holds the copies.
const MEMORY: u32 = 2048;
const PATIENCE: Duration = Duration::from_secs(900);

/// An upper, or none.
struct Kind {
    name: &'static str,
    cmdline: &'static str,
    root: RootKind,
    /// The disk that is written to: as QEMU names it, or none.
    disk: &'static str,
    /// What the record calls it; none where there is no overlay.
    upper: Option<&'static str>,
}

const KINDS: [Kind; 6] = [
    Kind { name: "no overlay (ext4)", cmdline: "", root: RootKind::Ext4, disk: "vda", upper: None },
    Kind { name: "RAM", cmdline: "rd.overlay", root: RootKind::Ext4, disk: "-", upper: Some("tmpfs") },
    Kind {
        name: "device (ext4)",
        cmdline: "rd.overlay=LABEL=upper",
        root: RootKind::Ext4,
        disk: "vdb",
        upper: Some("device"),
    },
    Kind {
        name: "`dir:` (ext4)",
        cmdline: "rd.overlay=dir:/var/lib/upper",
        root: RootKind::Ext4,
        disk: "vda",
        upper: Some("dir"),
    },
    Kind {
        name: "`loop:` (ext4)",
        cmdline: "rd.overlay=loop:/upper.img,size=1000M",
        root: RootKind::Ext4,
        disk: "vda",
        upper: Some("loop"),
    },
    Kind {
        name: "`subvol:` (btrfs)",
        cmdline: "rootflags=subvol=root rd.overlay=subvol:overlay",
        root: RootKind::BtrfsSubvol,
        disk: "vda",
        upper: Some("subvol"),
    },
];

/// The chapter of docs/internals/benchmarks.md.
///
/// # Errors
/// When something can't be made, or a boot does not hold.
pub(super) fn chapter(bench: &Bench<'_>) -> Result<String> {
    let dir = bench.dir.join("runtime");
    fs::create_dir_all(&dir)?;
    let disks = host::step("roots and disks of the run-time costs", || Disks::make(bench, &dir))?;
    let mut all = Vec::new();
    for kind in &KINDS {
        all.push((kind.name, host::step(&format!("run-time costs: {}", kind.name), || boot(bench, &disks, kind))?));
    }
    // gigabytes, where images lie in RAM
    fs::remove_dir_all(&dir)?;
    page::chapter(&all)
}

struct Disks {
    ext4: PathBuf,
    btrfs: PathBuf,
    upper: PathBuf,
    tools: PathBuf,
}

impl Disks {
    fn make(bench: &Bench<'_>, dir: &Path) -> Result<Self> {
        let file = |name: &str| dir.join(name);
        let disks = Self {
            ext4: file("ext4.img"),
            btrfs: file("btrfs.img"),
            upper: file("upper.img"),
            tools: file("tools.img"),
        };
        let root = |kind: RootKind| {
            let disks = bench.set(Variant::Mkfs).map(|set| set.root_disks(kind));
            disks.and_then(|disks| disks.into_iter().next().context("no root"))
        };
        lower::make(
            bench.host,
            dir,
            (&root(RootKind::Ext4)?, &disks.ext4),
            (&root(RootKind::BtrfsSubvol)?, &disks.btrfs),
        )?;
        let (empty, programs) = (file("empty"), file("tools"));
        fs::create_dir_all(&empty)?;
        fs::create_dir_all(&programs)?;
        tools::install(&programs, "vm-measure")?;
        let label = |label| Identity { label: Some(label), uuid: None };
        fsimage::make(bench.host, &disks.upper, 1 << 30, FsKind::Ext4, label("upper"), &empty)?;
        fsimage::make(bench.host, &disks.tools, 64 << 20, FsKind::Ext4, label("tools"), &programs)?;
        Ok(disks)
    }

    fn root(&self, kind: RootKind) -> &Path {
        if kind == RootKind::Ext4 { &self.ext4 } else { &self.btrfs }
    }
}

fn boot(bench: &Bench<'_>, disks: &Disks, kind: &Kind) -> Result<Measured> {
    let attach =
        |path: &Path, serial: &str| Attach { path: path.to_path_buf(), serial: serial.to_owned(), ..Attach::default() };
    let boot = Boot {
        engine: Engine::Uml,
        initrd: bench.set(Variant::Mkfs)?.initrd((CELL.initrd, Variant::Mkfs, Engine::Uml)),
        cmdline: format!("root=LABEL=root ro {}", kind.cmdline),
        disks: vec![
            attach(disks.root(kind.root), "root"),
            attach(&disks.upper, "upper"),
            attach(&disks.tools, "tools"),
        ],
        holds: lines(kind),
        timeout: PATIENCE,
        memory: MEMORY,
        ..Boot::default()
    };
    let outcome = Machine::new(bench.host, bench.dir)?.boot(&boot)?;
    ensure!(outcome.failure.is_none(), "{:?}\n{}\n{}", outcome.failure, outcome.failed, outcome.console);
    let said = said::shown(&read(&bench.dir.join("channel")));
    let measured = Measured::read(&said)?;
    let missing = page::missing(&measured);
    ensure!(missing.is_none(), "{missing:?} was not measured:\n{}", host::tail(&said, 30));
    Ok(measured)
}

/// What the guest does.
fn lines(kind: &Kind) -> String {
    let mut lines = match kind.upper {
        None => "plain_root\n".to_owned(),
        Some(upper) => format!("overlay_root\nrecord .outcome applied\nrecord .effective.upper {upper}\n"),
    };
    lines.push_str("mkdir -p /run/tools /root/bench\n/usr/bin/mount -o ro LABEL=tools /run/tools\n");
    let mut measure = |prepare: &str, name: &str, what: &str| {
        lines.push_str(&format!("+ {prepare}/run/tools/vm-measure {name} {what}\n"));
    };
    let cold = "sync; echo 3 >/proc/sys/vm/drop_caches; ";
    // where the same files are without the overlay
    let places: &[(&str, &str)] = match kind.upper {
        None => &[("", "")],
        Some(_) => &[("", ""), ("-lower", "/run/rootfsbase")],
    };
    for round in 0..ROUNDS {
        for (name, place) in places {
            measure(cold, &format!("find-cold{name}"), &format!("run find {place}/usr"));
            measure("", &format!("find-warm{name}"), &format!("run find {place}/usr"));
            // into a pipe: tar does not read what it writes to /dev/null
            measure(cold, &format!("tar{name}"), &format!("run sh -c 'tar -cf - {place}/usr | cat'"));
            measure("", &format!("missing{name}"), &format!("missing {place}/usr/bin {NAMES}"));
        }
        measure("", "open", &format!("open {}/{round}", lower::OPEN));
        measure("", "append", &format!("append {}-{round}", lower::BIG));
        measure("", "fsync", &format!("fsync /root/bench/log {SYNCS} {}", kind.disk));
    }
    let layer = if kind.upper.is_some() { "/run/overlayfs" } else { "/" };
    measure("", "chmod", &format!("change {layer} chmod 600 {}", lower::HUGE));
    measure("", "chown", &format!("change {layer} chown -R 1:1 {}", lower::TREE));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine;

    #[test]
    fn each_kind_is_measured_beside_its_lower() {
        for kind in &KINDS {
            let lines = lines(kind);
            let count = |text: &str| lines.lines().filter(|line| line.contains(text)).count();
            let lower = if kind.upper.is_some() { ROUNDS } else { 0 };
            assert_eq!((count(" find-cold run "), count(" find-cold-lower run ")), (ROUNDS, lower), "{lines}");
            assert_eq!((count(" missing missing "), count(" missing-lower missing ")), (ROUNDS, lower));
            assert_eq!((count(" fsync fsync "), count(" chmod change "), count(" chown change ")), (ROUNDS, 1, 1));
            assert_eq!(lines.starts_with("plain_root\n"), kind.upper.is_none());
            assert!(lines.lines().last().unwrap().contains(" chown "));
        }
    }

    #[test]
    fn the_disk_that_is_written_to_has_the_name_of_the_engine() {
        let lines = lines(&KINDS[2]);
        assert!(engine::names(Engine::Uml, &lines, &[]).contains(&format!("log {SYNCS} ubdb\n")), "{lines}");
    }
}
