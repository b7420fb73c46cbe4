// SPDX-License-Identifier: GPL-2.0-or-later
//! Which file system a mount, a path or a word of fstab is of: the one place that tells. A mount's source is what
//! somebody said at mount(2), or one of a btrfs's devices under one of its names; its number is made up on btrfs. So
//! numbers of devices are compared, and those of a mounted btrfs come from the kernel's list of its devices.

use crate::sys::{blkid, block, btrfs};
use overlayroot_core::facts::file_system::{Alike, FileSystem};
use overlayroot_core::parse::fstab::udev_encode;
use overlayroot_core::parse::mountinfo::Mount;
use overlayroot_core::step::refusal::UPPER_FILE_SYSTEMS;
use overlayroot_core::value::order::{sorted, to_front};

/// Mounted ones, by UUID, each with its devices.
const BTRFS: &str = "/sys/fs/btrfs";

/// That of a mount. A kind that can't hold an upper has no UUID here: reading each image of a host takes time.
pub fn of_mount(mount: &Mount) -> FileSystem {
    let reads = UPPER_FILE_SYSTEMS.contains(&mount.fstype.as_str());
    let on_device = || if reads { uuid_on_device(mount) } else { None };
    let uuid = on_btrfs(mount).or_else(on_device).unwrap_or_default();
    FileSystem { uuid, devices: numbers_of(mount) }
}

/// `major:minor` of each of its devices.
pub fn numbers_of(mount: &Mount) -> Vec<String> {
    numbers(&devices_of(mount))
}

/// The UUID that is written on its device.
pub(crate) fn uuid_on_device(mount: &Mount) -> Option<String> {
    blkid::uuid(&node_of(mount)?, &mount.fstype).ok()
}

/// That on the block device behind a path, without its UUID.
pub fn of_path(path: &str) -> Option<FileSystem> {
    Some(FileSystem { uuid: String::new(), devices: numbers(&[block::by_path(path)?]) })
}

/// That which a source in fstab names, as far as udev knows it. Devices lie in /dev: the source of a bind is not looked
/// at, for it may lie where looking mounts something (autofs(5)), or where a server is away.
pub fn named(what: &str) -> Option<FileSystem> {
    match what.split_once('=') {
        Some((tag, name)) if !what.starts_with('/') => {
            let (tag, name) = (tag.to_ascii_lowercase(), udev_encode(name.trim_matches('"')));
            of_path(&format!("/dev/disk/by-{tag}/{name}"))
        }
        _ if what.starts_with("/dev/") => of_path(what),
        _ => None,
    }
}

/// The mounts of a file system, and of what has its UUID on other devices. Many mounts have one number.
pub fn mounts_of<'a>(mounts: &'a [Mount], wanted: &FileSystem) -> Vec<(&'a Mount, Alike)> {
    let mut known: Vec<(&str, Option<Alike>)> = Vec::new();
    let mut found = Vec::new();
    for mount in mounts {
        let alike = match known.iter().find(|(number, _)| *number == mount.devno) {
            Some((_, alike)) => *alike,
            None => {
                let alike = of_mount(mount).alike(wanted);
                known.push((&mount.devno, alike));
                alike
            }
        };
        found.extend(alike.map(|alike| (mount, alike)));
    }
    found
}

/// Whether the mount is of that file system.
pub fn shows(mount: &Mount, wanted: &FileSystem) -> bool {
    numbers_of(mount).iter().any(|device| wanted.devices.contains(device))
}

/// Kernel names of the devices of a mounted file system, that of the mount's source first. None for one that has no
/// block device.
pub(crate) fn devices_of(mount: &Mount) -> Vec<String> {
    let Some(uuid) = on_btrfs(mount) else {
        return block::by_number(&mount.devno).into_iter().collect();
    };
    let mut names = sorted(block::entries(&format!("{BTRFS}/{uuid}/devices")));
    let source = block::by_path(&mount.source);
    to_front(&mut names, |name| Some(name) == source.as_ref());
    names
}

/// A path to a device of a mounted file system: the mount's source if it leads there, else the kernel's own.
pub fn node_of(mount: &Mount) -> Option<String> {
    let devices = devices_of(mount);
    let leads = block::by_path(&mount.source).is_some_and(|name| devices.contains(&name));
    if leads {
        return Some(mount.source.clone());
    }
    let mut nodes = devices.iter().map(|name| (name, block::node(name)));
    nodes.find(|(name, node)| block::by_path(node).as_ref() == Some(*name)).map(|(_, node)| node)
}

/// Bytes of all devices of a mounted file system.
pub(crate) fn device_bytes(mount: &Mount) -> u64 {
    let sectors = devices_of(mount).into_iter().filter_map(|name| block::sysfs(&name, "size").parse::<u64>().ok());
    // sysfs counts in 512 bytes, whatever the device has.
    sectors.fold(0, |all, sectors| all.saturating_add(sectors.saturating_mul(512)))
}

/// UUID of the mounted btrfs that has a device with this name.
pub(crate) fn mounted_btrfs(name: &str) -> Option<String> {
    let is_there = |uuid: &String| std::fs::symlink_metadata(format!("{BTRFS}/{uuid}/devices/{name}")).is_ok();
    block::entries(BTRFS).into_iter().find(is_there)
}

/// UUID of the btrfs that a mount is of. Its source is a device of it, but the path may be gone; the mount point may
/// be covered.
fn on_btrfs(mount: &Mount) -> Option<String> {
    if mount.fstype != "btrfs" {
        return None;
    }
    let by_source = block::by_path(&mount.source).and_then(|name| mounted_btrfs(&name));
    by_source.or_else(|| btrfs::uuid(&mount.at))
}

fn numbers(names: &[String]) -> Vec<String> {
    names.iter().map(|name| block::sysfs(name, "dev")).filter(|number| !number.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_block_device_is_nothing() {
        let mount = |fstype: &str| Mount {
            fstype: fstype.into(),
            source: "/dev/no-such-device".into(),
            devno: "0:41".into(),
            at: "/nowhere".into(),
            ..Mount::default()
        };
        for fstype in ["btrfs", "ext4", "nfs4", "overlay"] {
            let mount = mount(fstype);
            assert_eq!((of_mount(&mount), node_of(&mount)), (FileSystem::default(), None), "{fstype}");
            assert!(!shows(&mount, &FileSystem::default()));
            assert_eq!(mounts_of(&[mount], &FileSystem::default()), []);
        }
        assert_eq!((of_path("/dev/null"), named("LABEL=no such label, surely"), named("tmpfs")), (None, None, None));
    }
}
