// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the root's file system can hold a directory to a size by a project quota.

use crate::sys::filesystem::node_of;
use overlayroot_core::facts::ProjectQuota;
use overlayroot_core::parse::mountinfo::Mount;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// ext4's superblock (kernel: Documentation/filesystems/ext4/super.rst).
const SUPERBLOCK: u64 = 1024;
const MAGIC: (usize, u16) = (0x38, 0xef53);
const RO_COMPAT: usize = 0x64;
const PROJECT_QUOTA_INODE: usize = 0x26c;
const FEATURES: u32 = 0x100 | 0x2000;

/// What the mounted file system can do. xfs takes the option at its first mount only, so it must be there already.
pub fn support(mount: &Mount) -> ProjectQuota {
    let on = mount.super_options.split(',').any(|option| matches!(option, "prjquota" | "pquota"));
    match mount.fstype.as_str() {
        "xfs" if on => ProjectQuota::On,
        "ext4" if !node_of(mount).is_some_and(|node| ext4_can(&node)) => ProjectQuota::None,
        "ext4" if on => ProjectQuota::On,
        "ext4" => ProjectQuota::Remount,
        _ => ProjectQuota::None,
    }
}

/// Whether the ext4 on a device has the features `quota` and `project`, and keeps quotas of projects
/// (`mke2fs -E quotatype=` may leave them out).
pub fn ext4_can(device: &str) -> bool {
    let mut superblock = [0; 1024];
    let read = File::open(device).and_then(|file| file.read_exact_at(&mut superblock, SUPERBLOCK));
    read.is_ok() && features(&superblock)
}

fn features(superblock: &[u8]) -> bool {
    let bytes = |at: usize, len: usize| {
        let field = superblock.get(at..at + len).unwrap_or_default();
        field.iter().rev().fold(0_u32, |all, byte| (all << 8) | u32::from(*byte))
    };
    bytes(MAGIC.0, 2) == u32::from(MAGIC.1)
        && bytes(RO_COMPAT, 4) & FEATURES == FEATURES
        && bytes(PROJECT_QUOTA_INODE, 4) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn superblock(ro_compat: u32, inode: u32) -> Vec<u8> {
        let mut block = vec![0; 1024];
        block[0x38..0x3a].copy_from_slice(&[0x53, 0xef]);
        block[RO_COMPAT..RO_COMPAT + 4].copy_from_slice(&ro_compat.to_le_bytes());
        block[PROJECT_QUOTA_INODE..PROJECT_QUOTA_INODE + 4].copy_from_slice(&inode.to_le_bytes());
        block
    }

    #[test]
    fn ext4_needs_both_features_and_the_inode() {
        assert!(features(&superblock(0x2d00 | 0x400, 12)));
        for (ro_compat, inode) in [(0x100, 12), (0x2000, 12), (0x2100, 0), (0, 0)] {
            assert!(!features(&superblock(ro_compat, inode)), "{ro_compat:x} {inode}");
        }
        assert!(!features(&[0; 1024]) && !features(&[]));
    }

    #[test]
    fn xfs_has_them_on_or_not_at_all() {
        let mount = |fstype: &str, options: &str| Mount {
            fstype: fstype.into(),
            source: "/dev/no-such-device".into(),
            super_options: options.into(),
            ..Mount::default()
        };
        assert_eq!(support(&mount("xfs", "ro,attr2,prjquota")), ProjectQuota::On);
        for options in ["ro,noquota", "rw,pqnoenforce", "rw,usrquota"] {
            assert_eq!(support(&mount("xfs", options)), ProjectQuota::None);
        }
        assert_eq!(support(&mount("btrfs", "rw,prjquota")), ProjectQuota::None);
        assert_eq!(support(&mount("ext4", "rw,prjquota")), ProjectQuota::None, "an ext4 that can't be read");
    }
}
