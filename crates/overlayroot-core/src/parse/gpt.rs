// SPDX-License-Identifier: GPL-2.0-or-later
//! One entry of a GPT is changed so that a cut at any instant leaves a table that the kernel reads.
//!
//! The header holds a checksum of all entries, and Linux does not look at the copy of a table whose first header
//! or entries do not fit (kernel: block/partitions/efi.c, `find_valid_gpt`, without the argument `gpt`). So a header
//! and an entry that are written one after the other leave, in between, a disk without partitions. Here the header
//! is not written at all: four bytes that mean nothing are chosen such that the checksum stays. What changes lies
//! in one sector, which a disk writes whole or not at all.

use std::ops::Range;

/// Bytes of an entry; the kernel takes no other size.
pub const ENTRY: usize = 128;
/// Entries that are read at most; 128 are usual.
const MOST: u32 = 1024;
/// Linux file system data, as it stands on a disk.
const LINUX: [u8; 16] =
    [0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4];

const KIND: Range<usize> = 0..16;
const UUID: Range<usize> = 16..32;
const FIRST: Range<usize> = 32..40;
const LAST: Range<usize> = 40..48;
const NAME: Range<usize> = 56..128;

/// What matters of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Sector of the other header.
    pub alternate: u64,
    /// Last sector that a partition may have.
    pub last_usable: u64,
    /// Sector in which the entries begin.
    pub entries: u64,
    /// Bytes of all entries.
    pub bytes: usize,
    checksum: u32,
}

impl Header {
    /// Reads the header that lies in sector `at`; `None` where there is none that is whole.
    pub fn parse(sector: &[u8], at: u64) -> Option<Self> {
        let size = usize::try_from(number(sector, 12..16)?).ok().filter(|size| (92..=512).contains(size))?;
        let mut header = sector.get(..size)?.to_vec();
        header.get_mut(16..20)?.fill(0);
        let count = u32::try_from(number(sector, 80..84)?).ok().filter(|count| (1..=MOST).contains(count))?;
        let sound = sector.starts_with(b"EFI PART")
            && u64::from(checksum(&header)) == number(sector, 16..20)?
            && number(sector, 24..32)? == at
            && number(sector, 84..88)? == ENTRY as u64;
        sound.then_some(Self {
            alternate: number(sector, 32..40)?,
            last_usable: number(sector, 48..56)?,
            entries: number(sector, 72..80)?,
            bytes: usize::try_from(count).ok()? * ENTRY,
            checksum: u32::try_from(number(sector, 88..92)?).ok()?,
        })
    }

    /// Whether these are its entries.
    pub fn fits(&self, entries: &[u8]) -> bool {
        entries.len() == self.bytes && checksum(entries) == self.checksum
    }
}

/// Bytes to write into the entries, all in one sector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where, from the first entry on.
    pub offset: u64,
    /// What.
    pub bytes: Vec<u8>,
}

/// What the entries are, and the entry that is to change.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// All of them.
    pub entries: &'a [u8],
    /// Bytes of a sector.
    pub sector: u64,
    /// The entry's number, from 1.
    pub number: u32,
    /// Its first sector.
    pub first: u64,
    /// Its last sector.
    pub last: u64,
}

impl Line<'_> {
    fn at(&self) -> Option<usize> {
        usize::try_from(self.number.checked_sub(1)?).ok()?.checked_mul(ENTRY)
    }

    /// Takes an entry that is free. Four bytes of `uuid`, which is random, become others.
    ///
    /// # Errors
    /// Where it is not free, in words.
    pub fn add(&self, name: &str, uuid: [u8; 16]) -> Result<Change, String> {
        let mut new = self.entries.to_vec();
        let at = self.at().unwrap_or(usize::MAX);
        let entry = piece(&mut new, at).filter(|entry| unused(entry));
        let entry = entry.ok_or_else(|| format!("entry {} is not free", self.number))?;
        let mut letters = Vec::from_iter(name.encode_utf16().flat_map(u16::to_le_bytes));
        letters.resize(NAME.len(), 0);
        let (first, last) = (self.first.to_le_bytes(), self.last.to_le_bytes());
        let fields: [&[u8]; 6] = [&LINUX, &uuid, &first, &last, &[0; 8], &letters];
        entry.copy_from_slice(&fields.concat());
        self.change(new, at + UUID.start)
    }

    /// Gives the entry, which begins where it did, another end. The four bytes are those behind the end of its name,
    /// or in an entry beside it that is free.
    ///
    /// # Errors
    /// Where it is another entry, or there is no such place, in words.
    pub fn resize(&self) -> Result<Change, String> {
        let mut new = self.entries.to_vec();
        let at = self.at().unwrap_or(usize::MAX);
        let entry = piece(&mut new, at).filter(|entry| !unused(entry) && number(entry, FIRST) == Some(self.first));
        let entry = entry.ok_or_else(|| format!("entry {} is another one", self.number))?;
        entry.get_mut(LAST).unwrap_or_default().copy_from_slice(&self.last.to_le_bytes());
        let place = self.spare(at).ok_or_else(|| format!("entry {} and those beside it are full", self.number))?;
        self.change(new, place)
    }

    /// Where four bytes mean nothing, in the sector of the entry at `at`.
    fn spare(&self, at: usize) -> Option<usize> {
        let name = self.entries.get(at..)?.get(NAME)?;
        let (head, _) = name.split_at_checked(NAME.len() - 4)?;
        if head.chunks(2).any(|letter| letter == [0, 0]) {
            return Some(at + NAME.end - 4);
        }
        let sector = usize::try_from(self.sector).ok()?;
        let begin = at.checked_div(sector)? * sector;
        let beside = (begin..begin + sector).step_by(ENTRY);
        let mut free = beside.filter(|at| self.entries.get(*at..at + ENTRY).is_some_and(unused));
        Some(free.next()? + UUID.start)
    }

    /// What makes `new` of the entries, the four bytes at `place` chosen so that the checksum stays.
    fn change(&self, mut new: Vec<u8>, place: usize) -> Result<Change, String> {
        let fill = filling(&new, place, self.entries).ok_or("no place for the filling")?;
        new.get_mut(place..place + 4).unwrap_or_default().copy_from_slice(&fill);
        let differ = |at: &usize| new.get(*at) != self.entries.get(*at);
        let (from, to) = ((0..new.len()).find(differ).unwrap_or(0), (0..new.len()).rfind(differ).unwrap_or(0));
        let sector = usize::try_from(self.sector).unwrap_or(0);
        if from.checked_div(sector) != to.checked_div(sector) || checksum(&new) != checksum(self.entries) {
            return Err("the change would not fit into a sector".to_owned());
        }
        Ok(Change { offset: from as u64, bytes: new.get(from..=to).unwrap_or_default().to_vec() })
    }
}

fn piece(entries: &mut [u8], at: usize) -> Option<&mut [u8]> {
    entries.get_mut(at..at.checked_add(ENTRY)?)
}

fn unused(entry: &[u8]) -> bool {
    entry.get(KIND).is_some_and(|kind| kind.iter().all(|byte| *byte == 0))
}

/// A number as disks have it, the lowest byte first.
pub(crate) fn number(bytes: &[u8], at: Range<usize>) -> Option<u64> {
    Some(bytes.get(at)?.iter().rev().fold(0, |all, byte| (all << 8) | u64::from(*byte)))
}

/// The polynomial of CRC-32 as UEFI has it, its bits reversed.
const POLYNOMIAL: u32 = 0xedb8_8320;

fn checksum(bytes: &[u8]) -> u32 {
    !forward(!0, bytes)
}

fn forward(state: u32, bytes: &[u8]) -> u32 {
    let step = |state: u32, _| (state >> 1) ^ if state & 1 == 1 { POLYNOMIAL } else { 0 };
    bytes.iter().fold(state, |state, byte| (0..8).fold(state ^ u32::from(*byte), step))
}

/// The state before `bytes`, where `state` is the one behind them.
fn backward(state: u32, bytes: &[u8]) -> u32 {
    let step = |state: u32, _| match state >> 31 {
        0 => state << 1,
        _ => ((state ^ POLYNOMIAL) << 1) | 1,
    };
    bytes.iter().rev().fold(state, |state, byte| (0..8).fold(state, step) ^ u32::from(*byte))
}

/// The four bytes that `new` must have at `place` for the checksum of `old`. The register has 32 bits, too, so
/// there is always one answer.
fn filling(new: &[u8], place: usize, old: &[u8]) -> Option<[u8; 4]> {
    let (before, behind) = (new.get(..place)?, new.get(place.checked_add(4)?..)?);
    let wanted = backward(backward(forward(!0, old), behind), &[0; 4]);
    Some((forward(!0, before) ^ wanted).to_le_bytes())
}

#[cfg(test)]
mod tests;
