// SPDX-License-Identifier: GPL-2.0-or-later
//! What `rd.overlay=` may say, value by value.

use super::*;
use crate::value::size::limit;

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
    let (tmpfs, problems) = parse_tmpfs("size=2GiB,nr_inodes=100k,nr_blocks=1KB");
    assert_eq!((tmpfs.options(), problems.len()), ("size=2G,nr_inodes=100k,mode=0700".to_owned(), 1));
    let (_, problems) = parse_tmpfs("foo=1,nr_blocks=,sise=1");
    assert_eq!(problems[2].nearest.as_deref(), Some("size"));
}

#[test]
fn sizes() {
    for good in ["0", "512", "32M", "1g", "100%", "7%", "1GB", "1GiB"] {
        assert!(limit("size", good).is_ok(), "{good}");
    }
    for bad in ["", "%", "0%", "101%", "+5%", "1.5G", "0x10", "-1", "1GX", "M", "99999999999T", "1é"] {
        assert!(limit("size", bad).is_err(), "{bad}");
    }
    for bad in ["50%", "200kB", "200KiB"] {
        assert!(limit("nr_inodes", bad).is_err(), "{bad}");
    }
}

/// One size everywhere that takes one, spelled as people spell it.
#[test]
fn every_spelling_of_a_size_is_taken_wherever_one_stands() {
    for size in ["2G", "2g", "2GB", "2gb", "2GiB", "2048M", "2048MB", "2048MiB", "2097152KiB", "2097152k", "2147483648"]
    {
        for value in ["dir:/d,", "loop:/f,", "part:x,", "loop:/f,reserve="] {
            let value = if value.ends_with('=') { format!("{value}{size}") } else { format!("{value}size={size}") };
            let (upper, problems) = parse_upper(&value);
            assert!(problems.is_empty() && upper.to_string().contains("=2G"), "{value}: {upper} {problems:?}");
        }
        let bytes = |limit: &str| crate::value::size::bytes_of(limit);
        assert_eq!(bytes(&parse_tmpfs(&format!("size={size}")).0.size.unwrap()), Some(2 << 30), "{size}");
        let asked = crate::path::parse(&format!("volatile:/x,size={size}")).unwrap();
        assert_eq!(bytes(asked[0].params.size.as_deref().unwrap()), Some(2 << 30), "{size}");
        let ubuntu = crate::config::ubuntu::parse(&format!("tmpfs:size={size}")).unwrap();
        assert!(ubuntu.problems.is_empty(), "{size}");
    }
    // The kernel's tmpfs knows no B: it must not get one.
    assert_eq!(crate::path::parse("volatile:/x,size=2GB").unwrap()[0].params.options(), "size=2G");
}

#[test]
fn what_is_no_kind_names_the_kinds_or_the_nearest() {
    for (value, near) in [
        ("label=persist", "LABEL="),
        ("Label=persist", "LABEL="),
        ("LABLE=x", "LABEL="),
        ("uuid=1-2", "UUID="),
        ("partlabel=x", "PARTLABEL="),
        ("DIR:/x", "dir:"),
        ("pat:x", "part:"),
        ("subvl:x", "subvol:"),
        ("/dve/vdb", "/dev/"),
        ("false", "0"),
        ("OFF", "0"),
        ("disabled", "0"),
    ] {
        let (upper, problems) = parse_upper(value);
        assert_eq!(upper, Upper::Tmpfs(Tmpfs::default()), "{value}");
        assert_eq!(problems[0].nearest.as_deref(), Some(near), "{value}");
    }
    assert!(parse_upper("persist").1[0].text.contains("LABEL=NAME"));
    assert_eq!(parse_upper("crypt:dev=/dev/vdb,pass=x").1[0].text, "an encrypted upper is not supported");
}
