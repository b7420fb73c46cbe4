// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a file system can fold the case of names: mount options do not tell, its superblock does.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// The kinds that can.
pub const KINDS: [&str; 2] = ["ext4", "f2fs"];
/// Where both have their first superblock.
const SUPERBLOCK: u64 = 1024;
/// ext4: place of the incompatible features, and EXT4_FEATURE_INCOMPAT_CASEFOLD (kernel: fs/ext4/ext4.h).
const EXT4: (u64, u32) = (SUPERBLOCK + 0x60, 0x2_0000);
/// f2fs: place of the features, and F2FS_FEATURE_CASEFOLD (kernel: include/linux/f2fs_fs.h, fs/f2fs/f2fs.h).
const F2FS: (u64, u32) = (SUPERBLOCK + 2180, 0x1000);

/// Whether the file system of that type on a device can; false where it can't be read.
pub fn has(device: &str, fstype: &str) -> bool {
    let (at, bit) = match fstype {
        "ext4" => EXT4,
        "f2fs" => F2FS,
        _ => return false,
    };
    let mut features = [0; 4];
    let read = File::open(device).and_then(|file| file.read_exact_at(&mut features, at));
    read.is_ok() && u32::from_le_bytes(features) & bit != 0
}

/// Whether the kernel mounts no such file system. What it can of a kind it lists as soon as it has that kind
/// (kernel: fs/ext4/sysfs.c, fs/f2fs/sysfs.c).
pub fn no_unicode() -> bool {
    lists_none("/sys/fs")
}

fn lists_none(base: &str) -> bool {
    let of = |fstype| Path::new(base).join(fstype).join("features");
    let mut known = KINDS.into_iter().map(of).filter(|features| features.is_dir());
    known.any(|features| !features.join("casefold").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_lists() {
        let dir = tempfile::tempdir().unwrap();
        let none = || lists_none(dir.path().to_str().unwrap());
        assert!(!none(), "neither kind is loaded: not known");
        std::fs::create_dir_all(dir.path().join("f2fs/features")).unwrap();
        assert!(none());
        std::fs::write(dir.path().join("f2fs/features/casefold"), "").unwrap();
        assert!(!none());
        std::fs::create_dir_all(dir.path().join("ext4/features/encryption")).unwrap();
        assert!(none());
    }

    #[test]
    fn the_bit_of_each() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        file.as_file().set_len(8192).unwrap();
        assert!(!has(path, "ext4") && !has(path, "f2fs") && !has("/nowhere", "ext4"));
        file.as_file().write_all_at(&[0xff, 0xff, 0xfd, 0xff], 1024 + 0x60).unwrap();
        assert!(!has(path, "ext4"), "every feature but this one");
        file.as_file().write_all_at(&[0xc2, 0x02, 0x02, 0x00], 1024 + 0x60).unwrap();
        file.as_file().write_all_at(&[0, 0x10, 0, 0], 1024 + 2180).unwrap();
        assert!(has(path, "ext4") && has(path, "f2fs") && !has(path, "xfs"));
    }
}
