// SPDX-License-Identifier: GPL-2.0-or-later
//! Entries of a GPT: the checksum stays, and what is hostile is not believed.

use super::*;

fn entries(used: &[(usize, &str)]) -> Vec<u8> {
    let mut all = vec![0; 128 * ENTRY];
    for (number, name) in used {
        let at = (number - 1) * ENTRY;
        let before = all.clone();
        let line = Line { entries: &before, sector: 512, number: *number as u32, first: 2048, last: 4095 };
        let change = line.add(name, [*number as u8; 16]).unwrap();
        all[at..at + ENTRY].copy_from_slice(&change.bytes_of_entry(&before, at));
    }
    all
}

impl Change {
    fn on(&self, entries: &[u8]) -> Vec<u8> {
        let at = self.offset as usize;
        let mut new = entries.to_vec();
        new[at..at + self.bytes.len()].copy_from_slice(&self.bytes);
        new
    }

    fn bytes_of_entry(&self, entries: &[u8], at: usize) -> Vec<u8> {
        self.on(entries)[at..at + ENTRY].to_vec()
    }
}

#[test]
fn the_checksum_is_that_of_uefi_and_can_be_walked_back() {
    assert_eq!(checksum(b"123456789"), 0xcbf4_3926);
    assert_eq!(backward(forward(0x1234_5678, b"some bytes"), b"some bytes"), 0x1234_5678);
}

#[test]
fn a_new_entry_keeps_the_checksum_and_all_others() {
    let old = entries(&[(1, "boot"), (2, "root")]);
    for (sector, number) in [(512, 3), (512, 5), (512, 128), (4096, 3), (4096, 33)] {
        let line = Line { entries: &old, sector, number, first: 8192, last: 16383 };
        let change = line.add("persist", [7; 16]).unwrap();
        let new = change.on(&old);
        assert_eq!(checksum(&new), checksum(&old));
        let at = (number as usize - 1) * ENTRY;
        assert_eq!((&new[..at], &new[at + ENTRY..]), (&old[..at], &old[at + ENTRY..]));
        let entry = &new[at..at + ENTRY];
        assert_eq!((number_of(entry, FIRST), number_of(entry, LAST)), (8192, 16383));
        assert_eq!((&entry[..16], &entry[20..32], &entry[48..56]), (&LINUX[..], &[7; 12][..], &[0; 8][..]));
        assert_eq!(entry[NAME][..16], *b"p\0e\0r\0s\0i\0s\0t\0\0\0");
    }
    let taken = Line { entries: &old, sector: 512, number: 2, first: 1, last: 2 };
    assert!(taken.add("x", [0; 16]).unwrap_err().contains("not free"));
    for number in [0, 129, u32::MAX] {
        assert!(Line { number, ..taken }.add("x", [0; 16]).is_err() && Line { number, ..taken }.resize().is_err());
    }
}

fn number_of(entry: &[u8], at: Range<usize>) -> u64 {
    number(entry, at).unwrap()
}

#[test]
fn a_larger_entry_keeps_the_checksum_its_name_and_its_uuid() {
    let long = "thirty-six-letters-are-a-name-in-gpt";
    for (last_name, full) in [("data", false), (long, false), (long, true)] {
        let mut used = vec![(1, long), (2, long), (3, last_name)];
        used.extend(full.then_some((4, long)));
        let old = entries(&used);
        let line = Line { entries: &old, sector: 512, number: 3, first: 2048, last: 99_999 };
        let change = line.resize();
        if full {
            assert!(change.unwrap_err().contains("full"));
            continue;
        }
        let change = change.unwrap();
        let new = change.on(&old);
        assert_eq!(checksum(&new), checksum(&old));
        assert_eq!(change.offset / 512, (change.offset + change.bytes.len() as u64 - 1) / 512);
        let (was, is) = (&old[2 * ENTRY..3 * ENTRY], &new[2 * ENTRY..3 * ENTRY]);
        assert_eq!((number_of(is, LAST), &is[..40], &is[48..124]), (99_999, &was[..40], &was[48..124]));
        assert_eq!(new[..2 * ENTRY], old[..2 * ENTRY]);
        assert!(unused(&new[3 * ENTRY..4 * ENTRY]));
        let again = Line { entries: &new, last: 200_000, ..line }.resize().unwrap();
        assert_eq!(checksum(&again.on(&new)), checksum(&old));
    }
    let old = entries(&[(3, "data")]);
    let other = Line { entries: &old, sector: 512, number: 3, first: 4096, last: 99_999 };
    assert!(other.resize().unwrap_err().contains("another"));
}

fn header() -> Vec<u8> {
    let mut sector = vec![0; 512];
    sector[..8].copy_from_slice(b"EFI PART");
    let fields: [(usize, u64, usize); 9] = [
        (12, 92, 4),
        (24, 1, 8),
        (32, 8191, 8),
        (40, 34, 8),
        (48, 8158, 8),
        (72, 2, 8),
        (80, 128, 4),
        (84, 128, 4),
        (88, checksum(&entries(&[(1, "x")])).into(), 4),
    ];
    for (at, value, length) in fields {
        sector[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
    }
    sealed(sector)
}

fn sealed(mut sector: Vec<u8>) -> Vec<u8> {
    sector[16..20].fill(0);
    let sum = checksum(&sector[..92]);
    sector[16..20].copy_from_slice(&sum.to_le_bytes());
    sector
}

#[test]
fn a_header_that_is_not_whole_is_none() {
    let sector = header();
    let read = Header::parse(&sector, 1).unwrap();
    assert_eq!((read.alternate, read.last_usable, read.entries, read.bytes), (8191, 8158, 2, 16384));
    assert!(read.fits(&entries(&[(1, "x")])) && !read.fits(&[]) && !read.fits(&[1; 16384]));
    assert_eq!(Header::parse(&sector, 2), None);
    assert_eq!(Header::parse(&sector[..91], 1), None);
    assert_eq!(Header::parse(&[], 1), None);
    for at in 0..92 {
        let mut bad = sector.clone();
        bad[at] ^= 1;
        assert_eq!(Header::parse(&bad, 1), None, "{at}");
    }
    // Whole, and yet not to be believed.
    for (at, bytes) in [(12, [0xff; 4]), (80, [0xff; 4]), (80, [0; 4]), (84, [1, 1, 0, 0])] {
        let mut bad = sector.clone();
        bad[at..at + 4].copy_from_slice(&bytes);
        assert_eq!(Header::parse(&sealed(bad), 1), None, "{at}");
    }
}
