// SPDX-License-Identifier: GPL-2.0-or-later
//! What `overlayctl doctor` looks at of a system that is an overlay: where kernels go, and cloud-init.

use crate::state::kept;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo::{self, Mount};
use overlayroot_host::doctor::running;
use overlayroot_linux::sys::files::text;
use overlayroot_linux::sys::mounts;
use std::fs;
use std::path::Path;

/// Where the lower of the overlay is that runs.
fn lower(mounts: &[Mount]) -> Option<&'static str> {
    let overlay = mountinfo::at(mounts, "/").is_some_and(|root| root.fstype == "overlay");
    let lower = paths::LOWERS.into_iter().find(|at| mountinfo::at(mounts, at).is_some());
    lower.filter(|_| overlay)
}

/// What the boot loader reads, and is mounted beside the overlay that runs.
pub fn boot_apart(mounts: &[Mount]) -> Option<String> {
    let apart = |at: &&str| mountinfo::at(mounts, at).is_some_and(|mount| mount.fstype != "overlay");
    let found = ["/boot", "/boot/firmware"].into_iter().find(apart);
    found.filter(|_| lower(mounts).is_some()).map(str::to_owned)
}

/// Whether cloud-init is here and enlarges the root's file system at each boot.
pub fn cloud_resizes() -> bool {
    let mounts = mounts::read().unwrap_or_default();
    // What was written into an upper in RAM the next boot does not find.
    let kept = kept::find().is_ok_and(|found| found.upper().is_some());
    resizes(Path::new(lower(&mounts).filter(|_| !kept).unwrap_or("/")))
}

fn resizes(root: &Path) -> bool {
    let etc = root.join("etc/cloud");
    if !root.join("usr/bin/cloud-init").exists() || etc.join("cloud-init.disabled").exists() {
        return false;
    }
    let drop_ins = fs::read_dir(etc.join("cloud.cfg.d")).into_iter().flatten().flatten();
    let mut drop_ins: Vec<_> = drop_ins.map(|entry| entry.path()).collect();
    drop_ins.retain(|path| path.extension().is_some_and(|end| end == "cfg"));
    drop_ins.sort_unstable();
    let files = std::iter::once(etc.join("cloud.cfg")).chain(drop_ins);
    running::cloud_resizes(&files.map(text).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_partition_beside_an_overlay() {
        let overlay =
            "22 1 0:40 / / rw - overlay LiveOS_rootfs rw\n23 22 254:1 / /run/rootfsbase ro - ext4 /dev/vda3 ro\n";
        let apart = |text: &str| boot_apart(&mountinfo::parse(text));
        let with = |at: &str| apart(&format!("{overlay}24 22 254:2 / {at} rw - ext4 /dev/vda2 rw\n"));
        assert_eq!(with("/boot").as_deref(), Some("/boot"));
        assert_eq!(with("/boot/firmware").as_deref(), Some("/boot/firmware"));
        assert_eq!((with("/boot/efi"), with("/home"), apart(overlay)), (None, None, None));
        let plain = "22 1 254:1 / / rw - ext4 /dev/vda3 rw\n24 22 254:2 / /boot rw - ext4 /dev/vda2 rw\n";
        assert_eq!(apart(plain), None);
    }

    #[test]
    fn cloud_init_by_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        put("etc/cloud/cloud.cfg", "cloud_init_modules:\n - resizefs\nresize_rootfs: false\n");
        put("etc/cloud/cloud.cfg.d/05_debian.cfg", "resize_rootfs: true\n");
        assert!(!resizes(dir.path()), "it is not installed");
        put("usr/bin/cloud-init", "");
        assert!(resizes(dir.path()));
        // The last counts; what does not end so is no configuration.
        put("etc/cloud/cloud.cfg.d/99-overlay.cfg.off", "resize_rootfs: false\n");
        assert!(resizes(dir.path()));
        put("etc/cloud/cloud.cfg.d/99-overlay.cfg", "resize_rootfs: false\n");
        assert!(!resizes(dir.path()));
        fs::remove_file(dir.path().join("etc/cloud/cloud.cfg.d/99-overlay.cfg")).unwrap();
        put("etc/cloud/cloud-init.disabled", "");
        assert!(!resizes(dir.path()));
    }
}
