// SPDX-License-Identifier: GPL-2.0-or-later
//! Lets a mounted file system fill its device, by the ioctls that resize2fs, xfs_growfs and btrfs use:
//! none of the three programs has to be in the initramfs. A file system that fills it already stays as it is.
#![allow(unsafe_code, reason = "ioctls on a descriptor that lives through the call")]

use anyhow::{Context, Result, bail};
use std::fs::File;
use std::os::fd::{AsRawFd, RawFd};

/// `struct xfs_fsop_geom_v1` (kernel: fs/xfs/libxfs/xfs_fs.h).
#[repr(C)]
#[derive(Default)]
struct Geometry {
    block_size: u32,
    extent_size: u32,
    group_blocks: u32,
    groups: u32,
    log_blocks: u32,
    sector_size: u32,
    inode_size: u32,
    inode_percent: u32,
    data_blocks: u64,
    rest: [u64; 9],
}

/// `struct xfs_growfs_data`.
#[repr(C)]
struct Growth {
    blocks: u64,
    inode_percent: u32,
}

/// `struct btrfs_ioctl_vol_args` (kernel: include/uapi/linux/btrfs.h).
#[repr(C)]
struct Volume {
    fd: i64,
    name: [u8; 4088],
}

mod call {
    use super::{Geometry, Growth, Volume};
    nix::ioctl_write_ptr!(ext4_resize, b'f', 16, u64);
    nix::ioctl_read!(xfs_geometry, b'X', 100, Geometry);
    nix::ioctl_write_ptr!(xfs_grow, b'X', 110, Growth);
    nix::ioctl_write_ptr!(btrfs_resize, 0x94, 3, Volume);
}

/// Whether this kind can grow while it is mounted.
pub fn can(fstype: &str) -> bool {
    matches!(fstype, "ext4" | "xfs" | "btrfs")
}

/// Grows the file system mounted at `at` to `bytes`, the size of its device.
///
/// # Errors
/// Where the kernel refuses, or `fstype` can't grow while it is mounted.
pub fn grow(at: &str, fstype: &str, bytes: u64) -> Result<()> {
    let directory = File::open(at).with_context(|| format!("opening {at}"))?;
    let fd = directory.as_raw_fd();
    let context = || format!("growing the {fstype} on {at}");
    match fstype {
        "ext4" => {
            let stat = rustix::fs::statvfs(at).with_context(context)?;
            let blocks = bytes.checked_div(stat.f_bsize).unwrap_or(0);
            // SAFETY: a number that lives through the call.
            unsafe { call::ext4_resize(fd, &raw const blocks) }.with_context(context)?;
        }
        "xfs" => grow_xfs(fd, bytes).with_context(context)?,
        "btrfs" => {
            let mut volume = Volume { fd: 0, name: [0; 4088] };
            for (to, from) in volume.name.iter_mut().zip(b"max") {
                *to = *from;
            }
            // SAFETY: a structure as the kernel has it, its name ended by NUL.
            unsafe { call::btrfs_resize(fd, &raw const volume) }.with_context(context)?;
        }
        other => bail!("{other} can't grow while it is mounted"),
    }
    Ok(())
}

fn grow_xfs(fd: RawFd, bytes: u64) -> nix::Result<()> {
    let mut geometry = Geometry::default();
    // SAFETY: a structure as the kernel fills it.
    unsafe { call::xfs_geometry(fd, &raw mut geometry) }?;
    let blocks = bytes.checked_div(u64::from(geometry.block_size)).unwrap_or(0);
    if blocks <= geometry.data_blocks {
        return Ok(());
    }
    let growth = Growth { blocks, inode_percent: geometry.inode_percent };
    // SAFETY: a structure as the kernel reads it.
    unsafe { call::xfs_grow(fd, &raw const growth) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_sizes() {
        assert_eq!(size_of::<Geometry>(), 112);
        assert_eq!(size_of::<Growth>(), 16);
        assert_eq!(size_of::<Volume>(), 4096);
    }
}
