// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;
use overlayroot_core::parse::meminfo::Memory;
use std::fs;

const MIB: u64 = 1 << 20;

#[test]
fn the_scarcest_is_told() {
    let mut reading = Reading { bytes: 512 * MIB, used: 384 * MIB, available: 128 * MIB, ..Reading::default() };
    let told = |reading: &Reading| sentence(reading, "tmpfs", "tmpfs", None);
    assert_eq!(told(&reading), "the upper is 75 % full: 384.0 MiB of 512.0 MiB");
    (reading.inodes, reading.inodes_used) = (1000, 912);
    assert_eq!(told(&reading), "91 % of the upper's inodes are in use: 912 of 1000");
    reading.memory = Some(Memory { available: 8 * MIB, swap_free: 8 * MIB, ..Memory::default() });
    let want = "memory for the upper is 96 % in use: 384.0 MiB in it, 16.0 MiB of RAM and swap left";
    assert_eq!(told(&reading), want);
}

/// A card that is full of other things, with 32 KiB of upper on it; 50 MiB are kept back for root.
#[test]
fn a_file_system_that_is_full_is_not_called_the_upper() {
    let card = Reading { bytes: 1050 * MIB, used: 860 * MIB, available: 140 * MIB, ..Reading::default() };
    let told = |own| sentence(&card, "ext4", "/dev/mmcblk0p2", own);
    let head = "the upper's file system /dev/mmcblk0p2 (ext4) is 86 % full: 860.0 MiB of 1000.0 MiB";
    assert_eq!(told(None), head);
    let own = Own { bytes: 32 << 10, inodes: 9, whole: true };
    assert_eq!(told(Some(own)), format!("{head}, 32.0 KiB of it the upper's own files"));
    assert!(own.is_little(&card, Resource::Bytes));
    let most = Own { bytes: 400 * MIB, inodes: 9, whole: false };
    assert_eq!(told(Some(most)), format!("{head}, at least 400.0 MiB of it the upper's own files"));
    assert!(!most.is_little(&card, Resource::Bytes) && !Own { whole: false, ..own }.is_little(&card, Resource::Bytes));
    let inodes = Reading { inodes: 100, inodes_used: 95, ..card };
    let want = "95 % of the inodes of the upper's file system /dev/mmcblk0p2 (ext4) are in use: 95 of 100, 9 of them \
                the upper's own";
    assert_eq!(sentence(&inodes, "ext4", "/dev/mmcblk0p2", Some(own)), want);
    assert!(own.is_little(&inodes, Resource::Inodes));
}

#[test]
fn of_a_directory_with_a_size_both_are_told_apart() {
    let outer = Some(Space { used: 950 * MIB, available: 50 * MIB });
    let held = Reading { bytes: 100 * MIB, used: 10 * MIB, available: 90 * MIB, outer, ..Reading::default() };
    let want = "the upper's file system /dev/vda2 (xfs) is 95 % full: 950.0 MiB of 1000.0 MiB; the upper has 10.0 MiB of \
                100.0 MiB";
    assert_eq!(sentence(&held, "xfs", "/dev/vda2", None), want);
    let full = Reading { used: 99 * MIB, available: MIB, ..held };
    assert_eq!(sentence(&full, "xfs", "/dev/vda2", None), "the upper is 99 % full: 99.0 MiB of 100.0 MiB");
}

#[test]
fn the_upper_s_own_files_are_counted_in_time() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    fs::write(dir.path().join("a/b/file"), vec![1; 100_000]).unwrap();
    let upper = dir.path().to_str().unwrap();
    let own = Own::of(upper, Duration::from_secs(60)).unwrap();
    assert!(own.whole && own.inodes == 4 && (100_000..400_000).contains(&own.bytes), "{own:?}");
    assert_eq!(Own::of("/nowhere/at/all", Duration::ZERO), None);
    // Directories alone, too.
    for number in 0..600 {
        fs::create_dir(dir.path().join(number.to_string())).unwrap();
    }
    let cut = Own::of(upper, Duration::ZERO).unwrap();
    assert!(!cut.whole && cut.inodes < 600, "{cut:?}");
}
