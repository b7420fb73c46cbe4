// SPDX-License-Identifier: GPL-2.0-or-later
//! Roots on btrfs, and uppers in a subvolume.

use crate::{Stage, run};
use serde_json::Value;

/// The top level of the file system.
pub const TOP: &str = "/run/initramfs/overlayroot/root";

/// Boots with such an upper.
pub fn boot(stage: &Stage, cmdline: &str) -> Value {
    let record = stage.assemble(cmdline);
    assert_eq!(record["outcome"], "applied", "{record:#}");
    assert_eq!(record["effective"]["upper"], "subvol");
    record
}

/// Puts the root into the subvolume `root`, as Fedora does, and takes the top level's files away.
pub fn fedora(stage: &mut Stage) {
    stage.mount_root("rw");
    run("btrfs", &["-q", "subvolume", "snapshot", "/sysroot", "/sysroot/root"]);
    run("rm", &["-r", "/sysroot/etc", "/sysroot/usr"]);
    stage.root_options = "subvol=root";
    stage.mount_root("ro");
}

/// Paths of all subvolumes.
pub fn subvolumes() -> Vec<String> {
    let list = run("btrfs", &["subvolume", "list", TOP]);
    let paths = list.lines().filter_map(|line| line.split_once(" path "));
    let mut paths: Vec<String> = paths.map(|(_, path)| path.to_owned()).collect();
    paths.sort();
    paths
}
