// SPDX-License-Identifier: GPL-2.0-or-later
//! The top level of a btrfs, in which its subvolumes lie.

use crate::sys::{filesystem, mounts};
use anyhow::Result;
use overlayroot_core::layout::paths::SYSROOT;
use overlayroot_core::parse::mountinfo;
use rustix::mount::MountFlags;

/// Mounts the top level of the file system of `device`. The superblock is the root's: the mount begins as
/// writable as that, because kernels differ in what they make of a mount that is not.
///
/// # Errors
/// Those of mount(2).
pub fn mount_top(device: &str, at: &str, read_only: bool) -> Result<()> {
    let mounts = mounts::read()?;
    let wanted = filesystem::of_path(device);
    let is_it = |mount: &&mountinfo::Mount| wanted.as_ref().is_none_or(|wanted| filesystem::shows(mount, wanted));
    let root = mountinfo::at(&mounts, SYSROOT).filter(|mount| mount.fstype == "btrfs").filter(is_it);
    // The path by which it was mounted may be gone.
    let node = root.and_then(filesystem::node_of).unwrap_or_else(|| device.to_owned());
    let mut flags = MountFlags::empty();
    flags.set(MountFlags::RDONLY, root.is_none_or(mountinfo::Mount::super_read_only));
    mounts::mount_fs(&node, at, "btrfs", flags, "subvolid=5")?;
    if read_only && !flags.contains(MountFlags::RDONLY) {
        mounts::remount_bind(at, true).inspect_err(|_| {
            let _ = mounts::unmount(at);
        })?;
    }
    Ok(())
}
