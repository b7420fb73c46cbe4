// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;
use overlayroot_core::parse::meminfo::Memory;

const MIB: u64 = 1 << 20;

fn upper() -> Reading {
    let memory = Memory { ram: 1000 * MIB, available: 500 * MIB, swap: 200 * MIB, swap_free: 200 * MIB, shared: 0 };
    Reading {
        bytes: 512 * MIB,
        used: 300 * MIB,
        available: 212 * MIB,
        inodes: 1000,
        inodes_used: 400,
        memory: Some(memory),
        outer: None,
    }
}

fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

#[test]
fn sizes() {
    assert_eq!(amount("2G"), Amount::Exactly(2 << 30));
    assert_eq!(amount("50%"), Amount::Percent(50));
    assert_eq!(amount("+512M"), Amount::More(512 * MIB));
    assert_eq!(amount("1024"), Amount::Exactly(1024));
    for bad in ["", "0", "+0", "0%", "+50%", "-1G", "++1", "+", "%", "1.5G", "2GX", "+-1", "1001%", "G", " 1G"] {
        assert!(Amount::parse(bad).unwrap_err().contains("50%"), "{bad}");
    }
    assert_eq!(Amount::parse_count("200k"), Ok(Amount::Exactly(204_800)));
    assert_eq!((amount("2GiB"), amount("+1gb")), (Amount::Exactly(2 << 30), Amount::More(1 << 30)));
    for bad in ["50%", "x", "200kB", "+1MiB", "0", "++1"] {
        assert!(Amount::parse_count(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_tmpfs_grows_and_shrinks_down_to_what_is_in_it() {
    let bytes = |text: &str| tmpfs(Some(amount(text)), None, &upper(), false).map(|limits| limits.bytes.unwrap() / MIB);
    assert_eq!((bytes("800M"), bytes("+100M"), bytes("40%"), bytes("300M")), (Ok(800), Ok(612), Ok(400), Ok(300)));
    assert_eq!(bytes("299M").unwrap_err(), "299M is less than the 300M in use");
    assert!(bytes("1").is_err());
    let whole = tmpfs(Some(amount("400M")), None, &upper(), false).unwrap();
    assert_eq!((whole.options(), whole.warnings.len()), ("size=419430400".to_owned(), 0));
}

#[test]
fn more_than_ram_and_swap_takes_force() {
    let set = |text: &str, force| tmpfs(Some(amount(text)), None, &upper(), force);
    let text = "1201M is larger than RAM and swap (1200M): the system would run out of memory";
    assert_eq!(set("1201M", false).unwrap_err(), format!("{text}; --force resizes it anyway"));
    assert!(set("200%", false).is_err() && set("+700M", false).is_err());
    let limits = set("1201M", true).unwrap();
    assert_eq!((limits.warnings, limits.bytes), (vec![text.to_owned()], Some(1201 * MIB)));
    assert!(set("299M", true).is_err(), "nothing is thrown away by force");
    assert!(tmpfs(Some(amount("1200M")), None, &upper(), false).unwrap().warnings.is_empty());
}

#[test]
fn inodes_of_a_tmpfs() {
    let set = |text: &str| tmpfs(None, Some(Amount::parse_count(text).unwrap()), &upper(), false);
    assert_eq!(set("+1000").unwrap().options(), "nr_inodes=2000");
    assert_eq!(set("399").unwrap_err(), "399 inodes are less than the 400 in use");
    let both = tmpfs(Some(amount("1000M")), Some(Amount::Exactly(5000)), &upper(), false).unwrap();
    assert_eq!(both.options(), "size=1048576000,nr_inodes=5000");
}

#[test]
fn what_has_no_limit_gets_none() {
    let free = Reading { bytes: 0, inodes: 0, ..upper() };
    assert!(tmpfs(Some(amount("1G")), None, &free, false).unwrap_err().contains("no limit of bytes"));
    assert!(tmpfs(None, Some(Amount::More(5)), &free, false).unwrap_err().contains("no limit of inodes"));
}

#[test]
fn a_file_only_grows() {
    assert_eq!(file(amount("+100M"), 128 * MIB, 1000 * MIB), Ok(228 * MIB));
    assert_eq!(file(amount("50%"), 128 * MIB, 1001 * MIB), Ok(500 * MIB));
    for less in ["128M", "10%", "1k"] {
        assert!(file(amount(less), 128 * MIB, 1000 * MIB).unwrap_err().contains("not made smaller"), "{less}");
    }
}

#[test]
fn a_directory_without_a_limit_is_refused() {
    let limited = Reading { bytes: 64 * MIB, used: 60 * MIB, available: 4 * MIB, ..Reading::default() };
    assert_eq!(quota(amount("+64M"), &limited, 1000 * MIB), Ok(128 * MIB));
    assert!(quota(amount("60M"), &limited, 1000 * MIB).unwrap_err().contains("60M in use"));
    assert!(quota(amount("+1M"), &limited, 64 * MIB).unwrap_err().contains("not held to a size"));
}

#[test]
fn the_first_size_is_remembered() {
    let first = Resized { bytes_before: 512 * MIB, bytes: 800 * MIB, ..Resized::none(false, 1) };
    let second =
        Resized { bytes_before: 800 * MIB, bytes: 1024 * MIB, inodes_before: 100, inodes: 200, ..first.clone() };
    let both = second.after(Some(first));
    assert_eq!(both.to_string(), "1G instead of 512M, 200 inodes instead of 100; until the next boot");
    let inodes = Resized { inodes_before: 200, inodes: 300, ..Resized::none(false, 3) };
    let all = inodes.after(Some(both));
    assert_eq!((all.bytes, all.inodes_before, all.inodes, all.at), (1024 * MIB, 100, 300, 3));
}

/// As the core's test of the same name: one size everywhere that takes one.
#[test]
fn every_spelling_of_a_size_is_taken() {
    for size in ["2G", "2g", "2GB", "2gb", "2GiB", "2048M", "2048MB", "2048MiB", "2097152KiB", "2097152k", "2147483648"]
    {
        assert_eq!(Amount::parse(&format!("+{size}")).unwrap(), Amount::More(2 << 30), "{size}");
    }
}
