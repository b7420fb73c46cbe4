// SPDX-License-Identifier: GPL-2.0-or-later
//! What the booted system must be told so that it comes up healthy on an overlay: runtime
//! drop-ins in `/run`, gone at the next boot; the lower's own files stay untouched.

use crate::config::Config;
use crate::facts::Root;
use crate::layout::paths::{RUNTIME_UNITS, VOLATILE_ROOT};
use crate::parse::fstab::{self, Entry, unit_name};
use crate::step::Step;

/// util-linux ≥ 2.39 hands all options back through fsconfig, which overlayfs refuses, and the
/// unit fails; mount(2) ignores them (systemd#39558, util-linux#2528).
const REMOUNT: &str = "[Service]\nEnvironment=LIBMOUNT_FORCE_MOUNT2=always\n";
/// An `ro` in fstab's `/` line would now make the *overlay* read-only. With both source and
/// target given, mount(8) does not look into fstab.
const REMOUNT_RW: &str = "[Service]\nEnvironment=LIBMOUNT_FORCE_MOUNT2=always\n\
    ExecStartPost=/bin/mount -o remount,rw,defaults none /\n";
/// The record is there wherever a step of ours wrote this.
const SKIP: &str = "[Unit]\nConditionPathExists=!/run/overlayroot/state.json\n";

fn remount(text: &str, why: &str) -> Step {
    Step::WriteRun {
        path: format!("{RUNTIME_UNITS}/systemd-remount-fs.service.d/50-overlayroot-rs.conf"),
        text: text.to_owned(),
        why: why.to_owned(),
    }
}

/// The unit is skipped, and what needs it goes on. A mask would not do: fstab's swaps are `Requires=`
/// of swap.target, and at a masked one systemd 252 stops adding the jobs of the others, in hash order.
fn skip(unit: &str, why: &str) -> Step {
    Step::WriteRun {
        path: format!("{RUNTIME_UNITS}/{unit}.d/50-overlayroot-rs.conf"),
        text: SKIP.to_owned(),
        why: why.to_owned(),
    }
}

/// Steps for a merged root, and the notes they deserve.
pub fn for_overlay(config: &Config, root: &Root) -> (Vec<Step>, Vec<String>) {
    let entries = fstab::parse(&root.fstab);
    let slash = entries.iter().find(|entry| entry.at == "/");
    let mut steps = vec![match slash.is_some_and(|entry| entry.has("ro")) {
        true => remount(REMOUNT_RW, "fstab's 'ro' is the lower's, the overlay stays writable"),
        false => remount(REMOUNT, "an overlay takes no options at remount"),
    }];
    let mut notes = Vec::new();
    if slash.is_some_and(|entry| entry.has("x-systemd.growfs")) {
        // systemd 252 instantiates the second name for `/`, 257 has the first
        for unit in ["systemd-growfs-root.service", "systemd-growfs@-.service"] {
            steps.push(skip(unit, "an overlay has no block device to grow on"));
        }
    }
    let mut apart = root.submounts.clone();
    // What stays is mounted from a disk's own file system, which takes swap files.
    let direct = config.paths.iter().filter(|asked| asked.value.kind.keeps());
    apart.extend(direct.map(|asked| asked.value.path.clone()));
    for entry in entries.iter().filter(|entry| entry.fstype == "swap") {
        let overlaid = entry.swap_file() && fstab::on_root(&entries, &apart, &entry.what);
        let why = match (overlaid, config.swap_off) {
            (true, _) => "a swap file can't be used through an overlay",
            (false, true) => "overlayroot= without swap=1 keeps swap off",
            (false, false) => continue,
        };
        steps.push(skip(&unit_name(&entry.what, "swap"), why));
        notes.push(format!("swap on {} stays off: {why}", entry.what));
    }
    if let Some(device) = block_device(root) {
        steps.push(Step::LinkRun {
            path: VOLATILE_ROOT.to_owned(),
            to: device,
            why: "the block device behind the root, for systemd".to_owned(),
        });
    }
    let others: Vec<&Entry> = entries.iter().filter(|entry| entry.not_overlaid()).collect();
    if !others.is_empty() {
        let list: Vec<&str> = others.iter().map(|entry| entry.at.as_str()).collect();
        let asked = if config.recurse { ", recurse=1 is not supported in this version" } else { "" };
        notes.push(format!("mounted as fstab says, not overlaid{asked}: {}", list.join(" ")));
    }
    (steps, notes)
}

/// The step that keeps a read-only root read-only: fstab's options must not undo it.
pub fn for_read_only() -> Step {
    remount(SKIP, "the root stays read-only, whatever fstab says")
}

/// The block device of the root by its number, for systemd reads nothing else (src/shared/volatile-util.c). Roots on
/// several devices have none, as for systemd itself.
pub fn block_device(root: &Root) -> Option<String> {
    let own = !root.devno.is_empty() && !root.devno.starts_with("0:");
    let number = match root.devices.as_slice() {
        _ if own => Some(&root.devno),
        [one] => Some(one),
        [] | [_, ..] => None,
    };
    number.map(|number| format!("/dev/block/{number}"))
}
