// SPDX-License-Identifier: GPL-2.0-or-later
//! The harsher cut: of what was written after the last flush, a random part is lost. QEMU's blklogwrites
//! keeps the log (the format of the kernel's dm-log-writes: admin-guide/device-mapper/log-writes.rst).

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Result, ensure};

use super::rng::Rng;

const SECTOR: u64 = 512;
/// What a disk writes in one go.
const PIECE: usize = 4096;
const FLUSH: u64 = 1;
const DISCARD: u64 = 1 << 2;
const MARK: u64 = 1 << 3;

/// A write or a flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    /// Where on the disk, in bytes.
    at: u64,
    /// Where its data lies in the log.
    data: u64,
    length: u64,
    flush: bool,
}

/// Makes `disk`, as it was when the guest started, one that the cut may have left, and says how many pieces
/// written after the last flush were lost, of how many. With `anywhere` the cut comes at any write of the log:
/// seconds go by without one, so instants by the clock seldom hit much that is not flushed.
///
/// # Errors
/// Where a file can't be read or written.
pub(crate) fn replay(disk: &Path, log: &Path, anywhere: bool, rng: &mut Rng) -> Result<(usize, usize)> {
    let bytes = fs::read(log)?;
    let mut entries = entries(&bytes)?;
    if anywhere {
        entries.truncate(usize::try_from(rng.below(entries.len() as u64 + 1))?);
    }
    let flushed = entries.iter().rposition(|entry| entry.flush).map_or(0, |at| at + 1);
    let (sure, unsure) = entries.split_at(flushed);
    let disk = OpenOptions::new().write(true).open(disk)?;
    let write = |(at, from, length): (u64, u64, u64)| -> Result<()> {
        let (from, to) = (usize::try_from(from)?, usize::try_from(from + length)?);
        Ok(disk.write_all_at(bytes.get(from..to).unwrap_or_default(), at)?)
    };
    sure.iter().try_for_each(|entry| write((entry.at, entry.data, entry.length)))?;
    let of_four = rng.below(5);
    let (mut lost, mut all) = (0, 0);
    for piece in unsure.iter().flat_map(pieces) {
        all += 1;
        if rng.below(4) < of_four {
            write(piece)?;
        } else {
            lost += 1;
        }
    }
    Ok((lost, all))
}

/// Where on the disk, where in the log, and how long.
fn pieces(entry: &Entry) -> impl Iterator<Item = (u64, u64, u64)> + use<> {
    let Entry { at, data, length, .. } = *entry;
    (0..length).step_by(PIECE).map(move |off| (at + off, data + off, (length - off).min(PIECE as u64)))
}

/// What the log holds, as far as it is whole. QEMU reserves a place for an entry before it writes it
/// (block/blklogwrites.c), so one that was on its way at the kill may be missing before others that are there, also
/// before a flush: that is of what was complete when it was asked for. The guest was told of neither, so all of such a
/// write may be lost. Its place is zeroes, for nothing was written there, and the header of an entry is not.
fn entries(log: &[u8]) -> Result<Vec<Entry>> {
    let number = |at: u64| -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        Some(u64::from_le_bytes(log.get(at..at + 8)?.try_into().ok()?))
    };
    let mut entries = Vec::new();
    // the first sector is a header, which QEMU writes at its end
    let mut at = SECTOR;
    while let (Some(sector), Some(sectors), Some(flags)) = (number(at), number(at + 8), number(at + 16)) {
        if sectors == 0 && flags == 0 {
            let behind = log.get(usize::try_from(at)?..).unwrap_or_default();
            match behind.chunks_exact(512).position(|sector| sector.iter().any(|byte| *byte != 0)) {
                Some(sectors) => at += u64::try_from(sectors)? * SECTOR,
                None => break,
            }
            continue;
        }
        // the disk takes no discards, and nobody sets marks
        let known = flags & (DISCARD | MARK) == 0 && sectors < 1 << 21;
        ensure!(known, "the log of writes can't be read at {at}");
        let data = at + SECTOR;
        let length = sectors * SECTOR;
        at = data + length.next_multiple_of(SECTOR);
        if at > log.len() as u64 {
            break;
        }
        entries.push(Entry { at: sector * SECTOR, data, length, flush: flags & FLUSH != 0 });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn logged(entries: &[(u64, u64, u8)]) -> Vec<u8> {
        let mut log = vec![0; 512];
        for &(sector, flags, fill) in entries {
            let length = if flags & FLUSH == 0 { PIECE as u64 } else { 0 };
            for field in [sector, length / SECTOR, flags, 0] {
                log.extend_from_slice(&field.to_le_bytes());
            }
            log.resize(log.len().next_multiple_of(512), 0);
            log.resize(log.len() + usize::try_from(length).unwrap(), fill);
        }
        log
    }

    #[test]
    fn what_was_flushed_stays_and_the_rest_may() {
        let dir = std::env::temp_dir().join(format!("powercut-reorder-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (before, log) = (dir.join("before"), dir.join("log"));
        let mut whole = logged(&[(0, 0, 1), (8, 0, 2), (0, FLUSH, 0), (16, 0, 3), (24, 0, 4)]);
        // a last one that is cut off
        whole.extend_from_slice(&[1; 600]);
        fs::write(&log, &whole[..whole.len() - 600]).unwrap();
        let block = |fill: u8| vec![fill; 4096];
        let mut seen = BTreeSet::new();
        for stream in 0..64 {
            fs::write(&before, vec![0; 4 * 4096]).unwrap();
            let (lost, of) = replay(&before, &log, false, &mut Rng::new(1, stream)).unwrap();
            let disk = fs::read(&before).unwrap();
            assert_eq!(disk[..8192], [block(1), block(2)].concat());
            assert_eq!((of, disk[8192..].chunks(4096).filter(|c| c[0] == 0).count()), (2, lost));
            seen.insert((disk[8192], disk[12288]));
        }
        assert_eq!(seen.len(), 4, "{seen:?}");
        let most = (0..64).map(|stream| {
            fs::write(&before, vec![0; 4 * 4096]).unwrap();
            replay(&before, &log, true, &mut Rng::new(1, stream)).unwrap().1
        });
        assert_eq!(most.collect::<BTreeSet<_>>(), BTreeSet::from([0, 1, 2]));
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_log_that_is_cut_off_is_read_as_far_as_it_goes() {
        let whole = logged(&[(0, 0, 1), (8, FLUSH, 0), (16, 0, 3)]);
        assert_eq!(entries(&whole).unwrap().len(), 3);
        assert_eq!(entries(&whole[..whole.len() - 1]).unwrap().len(), 2);
        assert_eq!(entries(&[]).unwrap(), []);
        let mut zeroes = whole;
        zeroes.resize(zeroes.len() + 4096, 0);
        assert_eq!(entries(&zeroes).unwrap().len(), 3);
    }

    #[test]
    fn what_was_on_its_way_at_the_kill_is_lost_and_what_was_flushed_meanwhile_stays() {
        let mut log = logged(&[(0, 0, 1), (8, 0, 2), (16, 0, 3), (0, FLUSH, 0), (24, 0, 4)]);
        assert_eq!(entries(&log).unwrap().len(), 5);
        // the second was on its way
        log[512 + 512 + 4096..][..512 + 4096].fill(0);
        let found = entries(&log).unwrap();
        assert_eq!(
            found.iter().map(|entry| (entry.at, entry.flush)).collect::<Vec<_>>(),
            [(0, false), (16 * SECTOR, false), (0, true), (24 * SECTOR, false)]
        );
        assert!(log[usize::try_from(found[1].data).unwrap()..][..4096].iter().all(|byte| *byte == 3));
        // and so was the last
        let end = log.len() - 512 - 4096;
        log[end..].fill(0);
        assert_eq!(entries(&log).unwrap().len(), 3);
    }
}
