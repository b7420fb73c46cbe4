// SPDX-License-Identifier: GPL-2.0-or-later
//! What a soft-reboot of systemd would unmount, and nobody would mount again: each such mount of a boot has a drop-in.

use crate::mounts;
use overlayroot_core::parse::fstab::unit_name;
use overlayroot_core::parse::mountinfo::Mount;
use serde_json::Value;
use std::fs;

/// Holds for every boot into an overlay, whatever its kind. PID 1 leaves alone what is below `/run/initramfs`.
pub(crate) fn hold(before: &[Mount], record: &Value) {
    if record["effective"]["root"] != "overlay" {
        return;
    }
    let new = mounts().into_iter().map(|mount| mount.at).filter(|at| before.iter().all(|was| was.at != *at));
    let lower = record["effective"]["lowers"].as_array().and_then(|lowers| lowers.last()?.as_str().map(str::to_owned));
    for at in new.chain(lower).filter(|at| at != "/sysroot" && !at.starts_with("/run/initramfs/")) {
        let at = at.strip_prefix("/sysroot").unwrap_or(&at);
        let path = format!("/run/systemd/system/{}.d/50-overlayroot-rs.conf", unit_name(at, "mount"));
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("a soft-reboot unmounts {at}: {error}"));
        assert!(text.contains("\nDefaultDependencies=no\n"), "{path}: {text}");
    }
}
