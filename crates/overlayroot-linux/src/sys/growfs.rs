// SPDX-License-Identifier: GPL-2.0-or-later
//! Lets a mounted file system fill its device, by the ioctls that resize2fs, xfs_growfs and btrfs use:
//! none of the three programs has to be in the initramfs. A file system that fills it already stays as it is.
#![allow(unsafe_code, reason = "ioctls on a descriptor that lives through the call")]

use anyhow::{Context, Result, bail};
use rustix::ioctl::{Getter, Opcode, Setter, ioctl, opcode};
use std::fs::File;

/// `struct xfs_fsop_geom_v1` (kernel: fs/xfs/libxfs/xfs_fs.h).
#[repr(C)]
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

const EXT4_RESIZE: Opcode = opcode::write::<u64>(b'f', 16);
const XFS_GEOMETRY: Opcode = opcode::read::<Geometry>(b'X', 100);
const XFS_GROW: Opcode = opcode::write::<Growth>(b'X', 110);
const BTRFS_RESIZE: Opcode = opcode::write::<Volume>(0x94, 3);

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
    let context = || format!("growing the {fstype} on {at}");
    match fstype {
        "ext4" => {
            let stat = rustix::fs::statvfs(at).with_context(context)?;
            let blocks = bytes.checked_div(stat.f_bsize).unwrap_or(0);
            // SAFETY: a number, as the kernel reads it.
            unsafe { ioctl(&directory, Setter::<EXT4_RESIZE, _>::new(blocks)) }.with_context(context)?;
        }
        "xfs" => grow_xfs(&directory, bytes).with_context(context)?,
        "btrfs" => {
            let mut volume = Volume { fd: 0, name: [0; 4088] };
            for (to, from) in volume.name.iter_mut().zip(b"max") {
                *to = *from;
            }
            // SAFETY: a structure as the kernel has it, its name ended by NUL.
            unsafe { ioctl(&directory, Setter::<BTRFS_RESIZE, _>::new(volume)) }.with_context(context)?;
        }
        other => bail!("{other} can't grow while it is mounted"),
    }
    Ok(())
}

fn grow_xfs(directory: &File, bytes: u64) -> rustix::io::Result<()> {
    // SAFETY: a structure as the kernel fills it.
    let geometry = unsafe { ioctl(directory, Getter::<XFS_GEOMETRY, Geometry>::new()) }?;
    let blocks = bytes.checked_div(u64::from(geometry.block_size)).unwrap_or(0);
    if blocks <= geometry.data_blocks {
        return Ok(());
    }
    let growth = Growth { blocks, inode_percent: geometry.inode_percent };
    // SAFETY: a structure as the kernel reads it.
    unsafe { ioctl(directory, Setter::<XFS_GROW, _>::new(growth)) }
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
