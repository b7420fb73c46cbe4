// SPDX-License-Identifier: GPL-2.0-or-later
//! `vm demo`: shows a person what the overlay does, on a root that really boots.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::case::{FsKind, RootKind};
use crate::cell::{Cell, Flavour, Initrd, Suite, Variant};
use crate::engine::Engine;
use crate::fsimage::{self, Identity};
use crate::host::{self, Host, say};
use crate::images::ImageSet;
use crate::machine::{Attach, Boot, Machine, Outcome, read};
use crate::plan;

const CELL: Cell = Cell { suite: Suite::Trixie, initrd: Initrd::Systemd };

/// One boot of the demonstration.
struct Scene {
    title: &'static str,
    cmdline: &'static str,
    holds: &'static str,
}

const RAM: [Scene; 2] = [
    Scene {
        title: "Upper in RAM: what is written is gone after the reboot",
        cmdline: "rd.overlay=tmpfs:size=25%",
        holds: "overlay_root\n\
            + findmnt -o TARGET,SOURCE,FSTYPE /\n\
            + echo 'written to the overlay' > /etc/demo\n\
            + cat /etc/demo\n\
            + ls /run/rootfsbase/etc/demo\n\
            + overlayctl status\n",
    },
    Scene {
        title: "... rebooted",
        cmdline: "rd.overlay=tmpfs:size=25%",
        holds: "absent /etc/demo\n+ ls /etc/demo\n+ systemctl is-system-running\n",
    },
];

const DEVICE: [Scene; 3] = [
    Scene {
        title: "Upper on a second disk: what is written stays",
        cmdline: "rd.overlay=LABEL=persist",
        holds: "overlay_root\n\
            + echo 'written to the disk' > /etc/demo\n\
            + overlayctl status\n",
    },
    Scene {
        title: "... rebooted",
        cmdline: "rd.overlay=LABEL=persist",
        holds: "file_has /etc/demo disk\n+ cat /etc/demo\n",
    },
    Scene {
        title: "... and reset: the root comes back clean",
        cmdline: "rd.overlay=LABEL=persist rd.overlay.reset",
        holds: "absent /etc/demo\n+ ls /etc/demo\n+ overlayctl plan --cmdline 'rd.overlay=LABEL=persist'\n",
    },
];

/// Boots both stories side by side, and tells them one after the other.
///
/// # Errors
/// When something can't be made, or does not hold.
pub fn run(host: &Host) -> Result<bool> {
    say("overlayroot-rs: a Debian 13 root, its own dracut initramfs, booted in QEMU.");
    say("The first run makes the root (about a minute); a boot takes half a minute.\n");
    let engine = host.engine(Engine::Uml)?;
    let sets = plan::prepare(host, &[(CELL, Variant::Plain, RootKind::Ext4, engine)])?;
    let set = sets.get(&(CELL.suite, Flavour::Project)).context("no images")?;
    let dir = host.work.join(format!("run-{}", std::process::id()));
    let told = thread::scope(|scope| {
        let ram = scope.spawn(|| story(host, (set, engine), &dir.join("ram"), &RAM, false));
        let device = scope.spawn(|| story(host, (set, engine), &dir.join("device"), &DEVICE, true));
        [ram, device].map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a boot panicked"))))
    });
    for scenes in told {
        scenes?.iter().for_each(|text| say(text));
    }
    // of use to nobody any more
    let _ = fs::remove_dir_all(&dir);
    say("Everything above was checked inside the guests by what their kernels report.");
    Ok(true)
}

fn story(
    host: &Host,
    (set, engine): (&ImageSet, Engine),
    dir: &Path,
    scenes: &[Scene],
    disk: bool,
) -> Result<Vec<String>> {
    let machine = Machine::new(host, dir)?;
    let mut disks = vec![attach(set.root_disks(RootKind::Ext4).into_iter().next().context("no root")?, "root", false)];
    if disk {
        let (img, empty) = (dir.join("persist.img"), dir.join("empty"));
        fs::create_dir_all(&empty)?;
        let id = Identity { label: Some("persist"), uuid: None };
        fsimage::make(host, &img, 64 << 20, FsKind::Ext4, id, &empty)?;
        disks.push(attach(img, "persist", true));
    }
    let mut told = Vec::new();
    for scene in scenes {
        let boot = Boot {
            engine,
            kernel: set.kernel(),
            initrd: set.initrd((CELL.initrd, Variant::Plain, engine)),
            cmdline: format!("root=LABEL=root ro {}", scene.cmdline),
            disks: disks.clone(),
            holds: scene.holds.to_owned(),
            ..Boot::default()
        };
        let outcome = host::step(&format!("boot with {}", scene.cmdline), || machine.boot(&boot))?;
        ensure!(
            outcome.failure.is_none(),
            "{}: {:?}\n{}\n{}",
            scene.title,
            outcome.failure,
            outcome.failed,
            outcome.console
        );
        told.push(tell(scene, &outcome, dir));
    }
    Ok(told)
}

fn attach(path: PathBuf, serial: &str, writable: bool) -> Attach {
    Attach { path, serial: serial.to_owned(), writable, late: None, slow: false }
}

fn tell(scene: &Scene, outcome: &Outcome, dir: &Path) -> String {
    let seconds = outcome.ready.unwrap_or_default();
    let mut text =
        format!("\n=== {}\n    kernel arguments: {}   (up after {seconds:.0} s)\n\n", scene.title, scene.cmdline);
    for line in read(&dir.join("channel")).lines().filter_map(|line| line.strip_prefix("SHOW ")) {
        text.push_str(&format!("    {line}\n"));
    }
    text
}
