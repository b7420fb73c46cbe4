// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;
use crate::state::fill::Own;
use overlayroot_core::config::thresholds::Thresholds;
use overlayroot_core::parse::mountinfo::Mount;
use overlayroot_host::watch::levels::Reading;

fn fill(fstype: &str, reading: Reading) -> Fill {
    let mount = Mount { fstype: fstype.into(), source: "/dev/vda2".into(), ..Mount::default() };
    Fill::of(&mount, "/run/x", reading, Thresholds { warn: 70, critical: 90 })
}

#[test]
fn the_share_is_of_what_it_stands_beside() {
    const GIB: u64 = 1 << 30;
    // ext4 keeps 2 of 30 GiB back.
    let card = Reading { bytes: 30 * GIB, used: 24 * GIB, available: 4 * GIB, ..Reading::default() };
    let mut shown = fill("ext4", card);
    assert!(bar(&shown).ends_with(" 85 %  24.0 GiB of 28.0 GiB"), "{}", bar(&shown));
    assert!(own(&shown).contains("/dev/vda2 (ext4)") && own(&shown).contains("run as root"));
    shown.own = Some(Own { bytes: 32 << 10, inodes: 9, whole: true });
    let want = "of the file system /dev/vda2 (ext4); the upper's own files: 32.0 KiB in 9 inodes";
    assert_eq!(own(&shown), want);
    let outer = Some(Space { used: 24 * GIB, available: 4 * GIB });
    let held = Reading { bytes: 2 * GIB, used: GIB, available: GIB, outer, ..Reading::default() };
    let want = " 85 %  file system: 24.0 GiB of 28.0 GiB; the upper's size: 1.0 GiB of 2.0 GiB";
    assert!(bar(&fill("ext4", held)).ends_with(want), "{}", bar(&fill("ext4", held)));
    let free = Reading { used: GIB, inodes: 10, inodes_used: 5, ..Reading::default() };
    assert!(bar(&fill("tmpfs", free)).ends_with(" 50 %  inodes: 5 of 10; bytes: 1.0 GiB, no limit"));
}
