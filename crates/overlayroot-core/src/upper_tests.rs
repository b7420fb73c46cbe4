// SPDX-License-Identifier: GPL-2.0-or-later
//! What `rd.overlay=` may say, value by value.

use super::*;

#[test]
fn the_table_of_dracut_ng() {
    let plain = Upper::Tmpfs(Tmpfs::default());
    let device = |d| (Upper::Device(d), 0);
    let table = [
        ("", (plain.clone(), 0)),
        ("1", (plain.clone(), 0)),
        ("yes", (plain.clone(), 0)),
        ("vdb", (plain.clone(), 1)),
        ("none", (plain.clone(), 1)),
        ("LABEL=", (plain.clone(), 1)),
        ("/dev/../etc/shadow", (plain.clone(), 1)),
        ("LABEL=a b,c", device(Device::Label("a b,c".into()))),
        ("UUID=1-2", device(Device::Uuid("1-2".into()))),
        ("PARTLABEL=x", device(Device::PartLabel("x".into()))),
        ("PARTUUID=y", device(Device::PartUuid("y".into()))),
        ("/dev/vdb", device(Device::Path("/dev/vdb".into()))),
        ("/dev/a:/b", device(Device::Path("/dev/a:/b".into()))),
    ];
    for (value, (upper, problems)) in table {
        let got = parse_upper(value);
        assert_eq!((got.0, got.1.len()), (upper, problems), "rd.overlay={value}");
    }
}

#[test]
fn a_misspelt_kind_names_the_right_one() {
    let (_, problems) = parse_upper("LABLE=persist");
    assert_eq!(problems[0].nearest.as_deref(), Some("LABEL="));
    let (_, problems) = parse_upper("tmpsf:size=1G");
    assert_eq!(problems[0].nearest.as_deref(), Some("tmpfs:"));
}

#[test]
fn tmpfs_parameters_are_checked_one_by_one() {
    let (tmpfs, problems) = parse_tmpfs("size=32M,nr_inodes=100000,,foo=1,nr_blocks=,sise=1");
    assert_eq!(tmpfs.options(), "size=32M,nr_inodes=100000,mode=0700");
    assert_eq!(problems.len(), 3);
    assert_eq!(problems[2].nearest.as_deref(), Some("size"));
}

#[test]
fn sizes() {
    for good in ["0", "512", "32M", "1g", "100%", "7%"] {
        assert!(is_size(good, true), "{good}");
    }
    for bad in ["", "%", "0%", "101%", "1.5G", "0x10", "-1", "1GB", "M", "99999999999T", "1é"] {
        assert!(!is_size(bad, true), "{bad}");
    }
    assert!(!is_size("50%", false));
}
