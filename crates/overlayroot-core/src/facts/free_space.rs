// SPDX-License-Identifier: GPL-2.0-or-later
//! What lies in the free space of the root's disk, where a partition would begin. A table may have lost an entry.

use crate::parse::gpt;
use serde::{Deserialize, Serialize};

/// Bytes from the beginning that [`superblock`] wants: btrfs has its first superblock at 64 KiB.
pub const HEAD: usize = 68 << 10;

/// Something that libblkid knows, or that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Left {
    /// Type of the file system or other content.
    pub fstype: String,
    /// Label of the file system.
    pub label: String,
    /// Bytes of the file system, 0 where that is not known.
    pub bytes: u64,
    /// Nothing was ever put into it: it was never mounted writable, or its mkfs was cut.
    pub unused: bool,
    /// Why it could not be read; empty where it could.
    pub unread: String,
}

/// Bytes of the file system that begins with `head`, and whether it was never used; `None` where that can't be told.
pub fn superblock(fstype: &str, head: &[u8]) -> Option<(u64, bool)> {
    match fstype {
        "ext4" => ext4(head.get(1024..2048)?),
        "xfs" => xfs(head),
        "btrfs" => btrfs(head.get(64 << 10..)?),
        _ => None,
    }
}

/// kernel: fs/ext4/ext4.h, `struct ext4_super_block`. The kernel writes the time and count of a writable mount, and
/// waits for the disk, before anything else is written.
fn ext4(block: &[u8]) -> Option<(u64, bool)> {
    const INCOMPAT_64BIT: u64 = 0x80;
    let number = |at, length| gpt::number(block, at..at + length);
    let high = if number(0x60, 4)? & INCOMPAT_64BIT == 0 { 0 } else { number(0x150, 4)? };
    let size = 1024_u64.checked_shl(u32::try_from(number(0x18, 4)?).ok().filter(|log| *log <= 6)?)?;
    let bytes = ((high << 32) | number(4, 4)?).checked_mul(size)?;
    Some((bytes, number(0x2c, 4)? == 0 && number(0x34, 2)? == 0))
}

/// kernel: fs/xfs/libxfs/xfs_format.h, `struct xfs_dsb`; mkfs.xfs takes `sb_inprogress` away at its end.
fn xfs(block: &[u8]) -> Option<(u64, bool)> {
    let number = |at: usize, length: usize| {
        Some(block.get(at..at + length)?.iter().fold(0, |all: u64, byte| (all << 8) | u64::from(*byte)))
    };
    Some((number(4, 4)?.checked_mul(number(8, 8)?)?, number(126, 1)? != 0))
}

/// kernel: include/uapi/linux/btrfs_tree.h, `struct btrfs_super_block`. mkfs.btrfs writes the magic at its end.
fn btrfs(block: &[u8]) -> Option<(u64, bool)> {
    let alone = gpt::number(block, 0x88..0x88 + 8)? == 1;
    alone.then_some((gpt::number(block, 0x70..0x70 + 8)?, false))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(head: &mut [u8], at: usize, bytes: &[u8]) {
        head[at..at + bytes.len()].copy_from_slice(bytes);
    }

    #[test]
    fn sizes_and_whether_they_were_used() {
        let mut head = vec![0; HEAD];
        put(&mut head, 1024 + 4, &2560_u32.to_le_bytes());
        put(&mut head, 1024 + 0x18, &2_u32.to_le_bytes());
        assert_eq!(superblock("ext4", &head), Some((10 << 20, true)));
        put(&mut head, 1024 + 0x34, &[1]);
        put(&mut head, 1024 + 0x60, &[0x80]);
        put(&mut head, 1024 + 0x150, &[1]);
        assert_eq!(superblock("ext4", &head), Some(((1 << 44) + (10 << 20), false)));
        let mut head = vec![0; HEAD];
        put(&mut head, 4, &4096_u32.to_be_bytes());
        put(&mut head, 8, &76800_u64.to_be_bytes());
        assert_eq!(superblock("xfs", &head), Some((300 << 20, false)));
        put(&mut head, 126, &[1]);
        assert_eq!(superblock("xfs", &head), Some((300 << 20, true)));
        let mut head = vec![0; HEAD];
        put(&mut head, 0x10070, &(200_u64 << 20).to_le_bytes());
        assert_eq!(superblock("btrfs", &head), None);
        put(&mut head, 0x10088, &[1]);
        assert_eq!(superblock("btrfs", &head), Some((200 << 20, false)));
    }

    #[test]
    fn what_is_short_or_mad_is_not_told() {
        for fstype in ["ext4", "xfs", "btrfs", "vfat", ""] {
            assert_eq!(superblock(fstype, &[]), None, "{fstype}");
            assert_eq!(superblock(fstype, &[0xff; HEAD]), None, "{fstype}");
        }
    }
}
