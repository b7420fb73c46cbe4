// SPDX-License-Identifier: GPL-2.0-or-later
//! What the running overlay lies on, for an initramfs that is made on top of it: dracut --hostonly looks at `/`, which
//! is an overlay there, and would leave out what finds and mounts the root at the next boot.

use crate::source::recordfile;
use crate::sys::{filesystem, mounts};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo::Mount;
use overlayroot_core::step::effective::RootKind;
use overlayroot_core::value::order::sorted;
use std::path::{Path, PathBuf};

const BLOCK: &str = "/sys/class/block";
/// Devices stacked upon each other (LUKS on LVM on RAID on ...); more is a loop in what sysfs says.
const DEEPEST: usize = 16;

/// Whether `/` is an overlay with its lower where this project and dracut-ng have it.
pub fn is_overlay() -> bool {
    let mounts = mounts::read().unwrap_or_default();
    let root = mounts.iter().rfind(|mount| mount.at == "/");
    root.is_some_and(|mount| mount.fstype == "overlay") && mounts.iter().any(|mount| mount.at == paths::LOWER)
}

/// Whether this boot's record is about this root: no rival's, also where the mount of its lower is gone.
pub fn is_ours(root: &Mount) -> bool {
    let named = [paths::OVERLAY_SOURCE, paths::UBUNTU_SOURCE].contains(&root.source.as_str());
    let record = recordfile::read(paths::RECORD).ok().flatten();
    named && record.is_some_and(|record| record.effective.root == RootKind::Overlay)
}

/// Kernel modules that the next boot needs for what lies below a running overlay: file systems, and the drivers of
/// their block devices. Nothing where `/` is no overlay.
pub fn modules() -> Vec<String> {
    if !is_overlay() {
        return Vec::new();
    }
    let mounts = mounts::read().unwrap_or_default();
    let beneath = |mount: &&Mount| [paths::LOWER, paths::BACKING].contains(&mount.at.as_str());
    let mut names = Vec::new();
    for mount in mounts.iter().filter(beneath) {
        let devices = filesystem::devices_of(mount);
        // a root from the network has its file system's module from dracut's module for it
        names.extend((!devices.is_empty()).then(|| mount.fstype.clone()));
        devices.iter().for_each(|name| drivers(Path::new(BLOCK), name, DEEPEST, &mut names));
    }
    let mut names = sorted(names);
    names.dedup();
    names
}

/// Modules of a block device's driver, of the controllers it hangs on, and of the devices that it is made of.
fn drivers(block: &Path, name: &str, deepest: usize, found: &mut Vec<String>) {
    let Ok(device) = std::fs::canonicalize(block.join(name)) else { return };
    for place in device.ancestors() {
        // a driver that is built into the kernel has no module
        let module: Option<PathBuf> = std::fs::canonicalize(place.join("driver/module")).ok();
        found.extend(module.and_then(|path| Some(path.file_name()?.to_str()?.to_owned())));
    }
    let slaves = std::fs::read_dir(device.join("slaves")).into_iter().flatten();
    for slave in slaves.filter_map(|entry| entry.ok()?.file_name().into_string().ok()) {
        if let Some(deeper) = deepest.checked_sub(1) {
            drivers(block, &slave, deeper, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::create_dir_all;
    use std::os::unix::fs::symlink;

    #[test]
    fn drivers_of_a_volume_are_those_of_its_disk_and_of_the_disks_controller() {
        let sys = tempfile::tempdir().unwrap();
        let disk = sys.path().join("devices/pci0/0000:00:04.0/virtio2");
        for (at, module) in [(disk.clone(), "virtio_blk"), (disk.join(".."), "virtio_pci")] {
            create_dir_all(sys.path().join("module").join(module)).unwrap();
            create_dir_all(at.join("driver")).unwrap();
            symlink(sys.path().join("module").join(module), at.join("driver/module")).unwrap();
        }
        create_dir_all(disk.join("block/vda/vda2")).unwrap();
        create_dir_all(sys.path().join("devices/virtual/block/dm-0/slaves")).unwrap();
        create_dir_all(sys.path().join("block")).unwrap();
        symlink(disk.join("block/vda/vda2"), sys.path().join("block/vda2")).unwrap();
        let volume = sys.path().join("devices/virtual/block/dm-0");
        symlink(disk.join("block/vda/vda2"), volume.join("slaves/vda2")).unwrap();
        symlink(&volume, sys.path().join("block/dm-0")).unwrap();
        let mut found = Vec::new();
        drivers(&sys.path().join("block"), "dm-0", DEEPEST, &mut found);
        assert_eq!(found, ["virtio_blk", "virtio_pci"]);
        // one that is made of itself ends
        symlink(&volume, volume.join("slaves/dm-0")).unwrap();
        drivers(&sys.path().join("block"), "dm-0", DEEPEST, &mut found);
    }
}
