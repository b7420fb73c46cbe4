// SPDX-License-Identifier: GPL-2.0-or-later
//! The disk that the root is on, as a fact, and what is free on it.

use crate::facts::free_space::Left;
use serde::{Deserialize, Serialize};

/// Partitions begin and end at a multiple of this many bytes.
pub const ALIGNED: u64 = 1 << 20;

/// The whole disk that holds the root's partition.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Disk {
    /// Its node; empty where the root is not on a partition.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// Bytes of a logical sector, in which the table counts.
    pub sector: u64,
    /// Whether it refuses writes.
    pub read_only: bool,
    /// Whether sfdisk can be run here.
    pub sfdisk: bool,
    /// Its partitions, as the kernel has them.
    pub partitions: Vec<Partition>,
    /// Its table, as sfdisk reads it; `None` where that was not asked, or could not.
    pub table: Option<Table>,
    /// What lies where a partition would be made; `None` where nothing is, or that was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left: Option<Left>,
}

/// A partition as the kernel has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Partition {
    /// Its node.
    pub path: String,
    /// Its number in the table, from 1.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub bytes: u64,
    /// Its name in the table.
    pub name: String,
    /// Label of the file system on it.
    pub label: String,
}

/// A partition table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Table {
    /// `gpt`, `dos`, or another word of sfdisk's.
    pub kind: String,
    /// Its partitions.
    pub entries: Vec<Entry>,
}

/// A line of a partition table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Entry {
    /// Number, from 1.
    pub number: u32,
    /// First byte.
    pub start: u64,
    /// Bytes.
    pub bytes: u64,
    /// Type, as sfdisk writes it: a GUID, or a number in hexadecimal digits.
    pub kind: String,
}

impl Entry {
    /// First byte behind it.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes)
    }
}

impl Disk {
    /// The partitions that `label` means: those of that name, else those whose file system has that label.
    pub fn named(&self, label: &str) -> Vec<&Partition> {
        let by = |of: fn(&Partition) -> &str| self.partitions.iter().filter(move |part| of(part) == label);
        let names: Vec<&Partition> = by(|part| &part.name).collect();
        if names.is_empty() { by(|part| &part.label).collect() } else { names }
    }

    /// The node of a partition with this number: the kernel puts a `p` behind a digit.
    pub fn node(&self, number: u32) -> String {
        let digit = self.path.ends_with(|c: char| c.is_ascii_digit());
        format!("{}{}{number}", self.path, if digit { "p" } else { "" })
    }

    /// The table, if it is one that may be written: of a kind that is known, without an extended partition,
    /// and the same as the kernel has it.
    ///
    /// # Errors
    /// What stands against it, in words.
    pub fn table(&self) -> Result<&Table, String> {
        let path = &self.path;
        let Some(table) = &self.table else {
            return Err(format!("sfdisk can't read the partition table of {path}"));
        };
        if !matches!(table.kind.as_str(), "gpt" | "dos") {
            return Err(format!("{path} has a partition table of the kind '{}', not gpt or dos", table.kind));
        }
        let extended = |entry: &&Entry| matches!(entry.kind.as_str(), "5" | "f" | "85");
        if let Some(entry) = table.entries.iter().find(|entry| table.kind == "dos" && extended(entry)) {
            let node = self.node(entry.number);
            return Err(format!("{node} is an extended partition: this version adds to tables without one only"));
        }
        let same = |entry: &Entry, part: &Partition| {
            (entry.number, entry.start, entry.bytes) == (part.number, part.start, part.bytes)
        };
        let known = |entry: &Entry| self.partitions.iter().any(|part| same(entry, part));
        if table.entries.len() != self.partitions.len() || !table.entries.iter().all(known) {
            return Err(format!("the partition table of {path} is not the one that the kernel has read"));
        }
        Ok(table)
    }

    /// Where the table ends what partitions may take: the copy of a GPT lies at the disk's end.
    fn limit(&self, table: &Table) -> u64 {
        let keep = if table.kind == "gpt" { ALIGNED } else { 0 };
        // Sectors have 32 bits in a DOS table (sfdisk: libfdisk/src/dos.c).
        let most = if table.kind == "dos" { u64::from(u32::MAX).saturating_mul(self.sector) } else { u64::MAX };
        self.bytes.saturating_sub(keep).min(most) / ALIGNED * ALIGNED
    }

    /// What is free behind the last partition: first byte, and bytes.
    pub fn rest(&self, table: &Table) -> (u64, u64) {
        let used = table.entries.iter().map(Entry::end).max().unwrap_or(0).max(ALIGNED);
        let start = used.div_ceil(ALIGNED).saturating_mul(ALIGNED);
        (start, self.limit(table).saturating_sub(start))
    }

    /// Bytes that a partition may have where it is; `None` where another one lies behind it.
    pub fn most(&self, table: &Table, of: &Partition) -> Option<u64> {
        let last = table.entries.iter().all(|entry| entry.start <= of.start);
        last.then(|| self.limit(table).saturating_sub(of.start))
    }

    /// The first number without a partition; `None` where a DOS table has all four.
    pub fn number(&self, table: &Table) -> Option<u32> {
        let most = if table.kind == "dos" { 4 } else { 128 };
        (1..=most).find(|number| table.entries.iter().all(|entry| entry.number != *number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(kind: &str, mib: u64, parts: &[(u32, u64, u64)]) -> Disk {
        let part = |&(number, start, size): &(u32, u64, u64)| Partition {
            number,
            start: start << 20,
            bytes: size << 20,
            ..Partition::default()
        };
        let partitions: Vec<Partition> = parts.iter().map(part).collect();
        let entry = |p: &Partition| Entry { number: p.number, start: p.start, bytes: p.bytes, kind: "83".into() };
        let table = Table { kind: kind.into(), entries: partitions.iter().map(entry).collect() };
        Disk {
            path: "/dev/vda".into(),
            bytes: mib << 20,
            sector: 512,
            partitions,
            table: Some(table),
            ..Disk::default()
        }
    }

    #[test]
    fn the_room_behind_the_last() {
        // Numbers are not in the order of places; a hole between is not taken.
        let gpt = disk("gpt", 100, &[(1, 50, 10), (3, 1, 9)]);
        let table = gpt.table().unwrap();
        assert_eq!((gpt.rest(table), gpt.number(table)), ((60 << 20, 39 << 20), Some(2)));
        assert_eq!(gpt.most(table, &gpt.partitions[0]), Some(49 << 20));
        assert_eq!(gpt.most(table, &gpt.partitions[1]), None);
        let mut odd = disk("dos", 100, &[(1, 1, 49), (2, 50, 10)]);
        odd.partitions[1].bytes += 512;
        odd.table.as_mut().unwrap().entries[1].bytes += 512;
        odd.bytes += 4096;
        assert_eq!(odd.rest(odd.table().unwrap()), (61 << 20, 39 << 20));
        let full = disk("dos", 50, &[(1, 1, 49), (2, 1, 1), (3, 2, 1), (4, 3, 1)]);
        let table = full.table().unwrap();
        assert_eq!((full.rest(table).1, full.number(table)), (0, None));
    }

    #[test]
    fn a_dos_table_ends_at_32_bits() {
        let large = disk("dos", 3 << 20, &[(1, 1, 100)]);
        let (start, bytes) = large.rest(large.table().unwrap());
        assert!((start + bytes) / 512 <= u64::from(u32::MAX), "{start} {bytes}");
    }

    #[test]
    fn tables_that_are_not_touched() {
        let mut other = disk("sun", 100, &[(1, 1, 9)]);
        assert!(other.table().unwrap_err().contains("'sun'"));
        other.table = None;
        assert!(other.table().unwrap_err().contains("can't read"));
        let mut extended = disk("dos", 100, &[(1, 1, 9)]);
        extended.table.as_mut().unwrap().entries[0].kind = "f".into();
        assert!(extended.table().unwrap_err().contains("/dev/vda1 is an extended"));
        let mut stale = disk("gpt", 100, &[(1, 1, 9)]);
        stale.partitions[0].bytes += 512;
        assert!(stale.table().unwrap_err().contains("not the one"));
        stale.partitions.clear();
        assert!(stale.table().is_err());
    }

    #[test]
    fn names_come_before_labels() {
        let mut disk = disk("gpt", 100, &[(1, 1, 9), (2, 10, 9), (3, 20, 9)]);
        disk.partitions[0].label = "p".into();
        disk.partitions[1].label = "q".into();
        disk.partitions[2].name = "p".into();
        let numbers = |label: &str| disk.named(label).iter().map(|part| part.number).collect::<Vec<_>>();
        assert_eq!((numbers("p"), numbers("q"), numbers("")), (vec![3], vec![2], vec![1, 2]));
        let node = |path: &str| Disk { path: path.into(), ..Disk::default() }.node(2);
        assert_eq!((node("/dev/sda"), node("/dev/mmcblk0")), ("/dev/sda2".into(), "/dev/mmcblk0p2".into()));
    }
}
