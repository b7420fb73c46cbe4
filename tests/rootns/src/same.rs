// SPDX-License-Identifier: GPL-2.0-or-later
//! One file system under several names: a btrfs of two devices, and other paths to a device.

use crate::off::unmount;
use crate::{Disk, NO, Stage, run};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, SFlag, mknod};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Where the other paths are.
pub const OTHER: &str = "/dev/shm/other";

/// Two disks of `mib` MiB with one btrfs on both.
pub fn two(stage: &Stage, name: &str, mib: u64, label: &str) -> [Disk; 2] {
    let disks = ["a", "b"].map(|end| stage.disk(&format!("{name}-{end}.img"), mib, &[]));
    run("mkfs.btrfs", &["-q", "-L", label, &disks[0].node, &disks[1].node]);
    forget(&disks);
    disks
}

/// The kernel no longer knows that they belong together, as in an initramfs that nobody told it in.
pub fn forget(disks: &[Disk]) {
    for disk in disks {
        run("btrfs", &["device", "scan", "--forget", &disk.node]);
    }
}

/// Puts the stage's root on a btrfs of two devices; gives back the second.
pub fn root_on_two(stage: &mut Stage) -> Disk {
    let label = format!("r{}", stage.tag);
    let [first, second] = two(stage, "two", 128, &label);
    let with = format!("device={}", second.node);
    run("mount", &["-t", "btrfs", "-o", &with, &first.node, "/mnt"]);
    run("cp", &["-a", "/sysroot/.", "/mnt"]);
    ["/mnt", "/sysroot"].into_iter().for_each(unmount);
    stage.root = first;
    stage.root_options = Box::leak(with.into_boxed_str());
    stage.mount_root("ro");
    second
}

/// Another path to the root's device, by which the root is mounted from now on, until it is mounted again.
pub fn root_by_another_path(stage: &Stage, fstype: &str) {
    unmount("/sysroot");
    if fstype == "btrfs" {
        // It keeps the name that it was told first.
        run("btrfs", &["device", "scan", "--forget", &stage.root.node]);
    }
    other_path(&stage.root.node);
    run("mount", &["-i", "-t", fstype, "-o", "ro", OTHER, "/sysroot"]);
}

/// Another path to a device, which nobody else sees.
pub fn other_path(node: &str) {
    if !fs::exists("/dev/shm/private").expect("looking for it") {
        mount(Some("other"), "/dev/shm", Some("tmpfs"), MsFlags::empty(), NO).expect("a tmpfs");
        fs::write("/dev/shm/private", "").expect("a file in it");
    }
    let _ = fs::remove_file(OTHER);
    let number = fs::metadata(node).expect("the device").rdev();
    mknod(OTHER, SFlag::S_IFBLK, Mode::S_IRUSR | Mode::S_IWUSR, number).expect("a device node");
}
