// SPDX-License-Identifier: GPL-2.0-or-later
//! What a guest acknowledged, held against the files it shows after the cut.

use std::collections::BTreeMap;

use super::root::{BLOCK, GONE, OVER, gone, over, record};

/// The guest's files below /data and /records.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// A write the guest began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its number, which says what was written.
    pub(crate) number: u32,
    /// The first number of its boot.
    pub(crate) first: u32,
    /// Whether the guest said that it is on the disk. One that was not may be there or not, or in part.
    pub(crate) acked: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// Acknowledged and there.
    pub(crate) found: usize,
    /// Acknowledged and not there, or not whole.
    pub(crate) lost: Vec<String>,
    /// There, and nobody wrote it so.
    pub(crate) strange: Vec<String>,
}

impl Judgement {
    pub(crate) fn is_good(&self) -> bool {
        self.lost.is_empty() && self.strange.is_empty()
    }

    fn acked(&mut self, there: bool, what: impl FnOnce() -> String) {
        if there {
            self.found += 1;
        } else {
            self.lost.push(what());
        }
    }
}

/// Judges the files by all writes since the upper was new.
pub(crate) fn judge(seed: u64, entries: &[Entry], files: &Files) -> Judgement {
    let mut judgement = Judgement::default();
    let kind = |wanted: fn(u32) -> bool| entries.iter().filter(move |entry| wanted(entry.number));
    let mut known: Vec<String> = Vec::new();
    for entry in kind(|n| n % 8 == 0) {
        let path = format!("records/new/{}", entry.number);
        if entry.acked {
            let there = files.get(&path).is_some_and(|bytes| *bytes == record(seed, entry.number));
            judgement.acked(there, || format!("record {} in {path}", entry.number));
        }
        known.push(path);
    }
    let appended: Vec<_> = kind(|n| n % 8 > 2).copied().collect();
    for boot in appended.chunk_by(|a, b| a.first == b.first) {
        known.extend(log(seed, boot, files, &mut judgement));
    }
    let overwritten: Vec<_> = kind(|n| n % 8 == 1).copied().collect();
    (0..OVER).for_each(|k| over_file(seed, k, &overwritten, files, &mut judgement));
    let removed: Vec<_> = kind(|n| n % 8 == 2).copied().collect();
    (0..GONE).for_each(|k| gone_file(k, &removed, files, &mut judgement));
    let unknown = files.keys().filter(|path| path.starts_with("records/") && !known.contains(path));
    judgement.strange.extend(unknown.map(|path| format!("{path} should not be there")));
    judgement
}

/// The records that one boot appended to its log.
fn log(seed: u64, boot: &[Entry], files: &Files, judgement: &mut Judgement) -> Option<String> {
    let path = format!("records/log.{}", boot.first()?.first);
    let empty = Vec::new();
    let bytes = files.get(&path).unwrap_or(&empty);
    let mut blocks = bytes.chunks(BLOCK);
    for entry in boot {
        let block = blocks.next();
        if entry.acked {
            let there = block.is_some_and(|block| block == record(seed, entry.number));
            judgement.acked(there, || format!("record {} in {path}", entry.number));
        }
    }
    if blocks.next().is_some() {
        judgement.strange.push(format!("{path} has {} bytes, of {} records", bytes.len(), boot.len()));
    }
    Some(path)
}

/// A file of the lower with its second block overwritten, perhaps more than once.
fn over_file(seed: u64, k: u32, overwritten: &[Entry], files: &Files, judgement: &mut Judgement) {
    let path = format!("data/over/{k}");
    let mut may = vec![over(k).get(BLOCK..2 * BLOCK).unwrap_or_default().to_vec()];
    let mut whole = true;
    let mut last = None;
    for entry in overwritten.iter().filter(|entry| (entry.number / 8) % OVER == k) {
        if entry.acked {
            may.clear();
            (whole, last) = (true, Some(entry.number));
        } else {
            whole = false;
        }
        may.push(record(seed, entry.number));
    }
    let original = over(k);
    let bytes = files.get(&path).map(Vec::as_slice).unwrap_or_default();
    let outside = |bytes: &[u8]| [bytes.get(..BLOCK), bytes.get(2 * BLOCK..)].map(|part| part.map(<[u8]>::to_vec));
    let block = bytes.get(BLOCK..2 * BLOCK).unwrap_or_default();
    let rest = outside(bytes) == outside(&original);
    // one that was not acknowledged may be there in part
    let good = rest && (!whole || may.iter().any(|one| one == block));
    match last {
        Some(number) => judgement.acked(good, || format!("record {number} in {path}")),
        None if !good => judgement.strange.push(format!("{path} is neither the lower's nor overwritten")),
        None => {}
    }
}

/// A file of the lower which was removed, or not.
fn gone_file(k: u32, removed: &[Entry], files: &Files, judgement: &mut Judgement) {
    let path = format!("data/gone/{k}");
    let entries: Vec<_> = removed.iter().filter(|entry| entry.number / 8 == k).collect();
    let is = files.get(&path);
    if entries.iter().any(|entry| entry.acked) {
        judgement.acked(is.is_none(), || format!("the removal of {path}"));
    } else if is.map_or(entries.is_empty(), |bytes| *bytes != gone(k)) {
        judgement.strange.push(format!("{path} is not as the lower has it"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 5;

    fn entries(first: u32, acked: u32) -> Vec<Entry> {
        (first..=first + acked).map(|number| Entry { number, first, acked: number < first + acked }).collect()
    }

    /// The files after all of these writes.
    fn written(entries: &[Entry]) -> Files {
        let mut files = Files::new();
        (0..OVER).for_each(|k| drop(files.insert(format!("data/over/{k}"), over(k))));
        (0..GONE).for_each(|k| drop(files.insert(format!("data/gone/{k}"), gone(k))));
        for entry in entries {
            let (number, k, bytes) = (entry.number, entry.number / 8, record(SEED, entry.number));
            match number % 8 {
                0 => drop(files.insert(format!("records/new/{number}"), bytes)),
                1 => {
                    let file = files.get_mut(&format!("data/over/{}", k % OVER)).unwrap();
                    file.splice(BLOCK..2 * BLOCK, bytes);
                }
                2 => drop(files.remove(&format!("data/gone/{k}"))),
                _ => files.entry(format!("records/log.{}", entry.first)).or_default().extend(bytes),
            }
        }
        files
    }

    #[test]
    fn what_was_acknowledged_must_be_there_and_the_last_one_may_be() {
        for count in [0, 1, 2, 3, 9, 11, 300, 530] {
            let mut all = entries(0, count);
            all.extend(entries(count + 1, 40));
            let good = judge(SEED, &all, &written(&all));
            assert!(good.is_good(), "{count}: {good:?}");
            let acked: Vec<_> = all.iter().filter(|entry| entry.acked).copied().collect();
            let without = judge(SEED, &all, &written(&acked));
            // an append in the middle of nowhere is the next boot's own file
            assert!(without.is_good(), "{count}: {without:?}");
        }
    }

    #[test]
    fn what_is_missing_or_torn_or_unknown_is_told() {
        let all = entries(0, 80);
        for path in ["records/new/8", "records/log.0", "data/over/0", "data/over/20", "data/gone/63"] {
            let mut files = written(&all);
            files.remove(path);
            assert!(!judge(SEED, &all, &files).is_good(), "{path} removed");
            let mut files = written(&all);
            files.get_mut(path).unwrap().truncate(100);
            assert!(!judge(SEED, &all, &files).is_good(), "{path} torn");
        }
        let mut files = written(&all);
        files.insert("data/gone/3".to_owned(), gone(3));
        assert_eq!(judge(SEED, &all, &files).lost, ["the removal of data/gone/3"]);
        // a mix of before and after a reset
        assert!(!judge(SEED, &[], &written(&all[..4])).is_good());
        assert!(!judge(SEED, &all, &written(&[])).is_good());
        assert!(judge(SEED, &[], &written(&[])).is_good());
    }
}
