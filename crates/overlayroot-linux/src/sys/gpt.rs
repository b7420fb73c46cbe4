// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads a GPT whole, and writes one change into both of its lists of entries. What is written, and why that
//! survives a cut, is in overlayroot-core's `gpt.rs`.

use anyhow::{Context, Result};
use overlayroot_core::parse::gpt::{Change, Header};
use std::fs::File;
use std::io::{Seek, SeekFrom};
use std::os::unix::fs::FileExt;

/// Where the first header lies.
const FIRST: u64 = 1;

/// A table as it is on the disk.
pub struct Gpt {
    /// All entries.
    pub entries: Vec<u8>,
    sector: u64,
    /// First sectors of the entries, the copy's before the first's.
    places: [u64; 2],
    /// Last sector that a partition may have, 0 where the copy is not at the disk's end, or not the same.
    last_usable: u64,
}

impl Gpt {
    /// Reads the table of a disk whose sectors have `sector` bytes.
    ///
    /// # Errors
    /// Where the first header or its entries are not whole: Linux does not look at the copy either.
    pub fn read(mut disk: &File, sector: u64) -> Result<Self> {
        let end = disk.seek(SeekFrom::End(0))?.checked_div(sector).and_then(|sectors| sectors.checked_sub(1));
        let (header, entries) = table(disk, sector, FIRST).context("the first header or its entries are damaged")?;
        let copy = table(disk, sector, header.alternate);
        let same = |(copy, same): &(Header, Vec<u8>)| {
            Some(header.alternate) == end
                && (copy.alternate, copy.last_usable) == (FIRST, header.last_usable)
                && *same == entries
        };
        let copy = copy.filter(same).map(|(copy, _)| copy.entries);
        let last_usable = if copy.is_some() { header.last_usable } else { 0 };
        Ok(Self { entries, sector, places: [copy.unwrap_or(0), header.entries], last_usable })
    }

    /// Whether a partition may have sector `last`, and the copy lies where it belongs and is one.
    pub fn reaches(&self, last: u64) -> bool {
        last <= self.last_usable
    }

    /// Writes it into the copy, and when that is on the disk, into the first list. Each is a change of one sector,
    /// after which the header still fits.
    ///
    /// # Errors
    /// Where the disk does not take it.
    pub fn write(&self, disk: &File, change: &Change) -> Result<()> {
        for place in self.places {
            let at = place.checked_mul(self.sector).and_then(|at| at.checked_add(change.offset));
            disk.write_all_at(&change.bytes, at.context("no such sector")?)?;
            disk.sync_all()?;
        }
        Ok(())
    }
}

fn table(disk: &File, sector: u64, at: u64) -> Option<(Header, Vec<u8>)> {
    let mut bytes = vec![0; usize::try_from(sector).ok()?];
    disk.read_exact_at(&mut bytes, at.checked_mul(sector)?).ok()?;
    let header = Header::parse(&bytes, at)?;
    let mut entries = vec![0; header.bytes];
    disk.read_exact_at(&mut entries, header.entries.checked_mul(sector)?).ok()?;
    header.fits(&entries).then_some((header, entries))
}
