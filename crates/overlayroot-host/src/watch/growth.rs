// SPDX-License-Identifier: GPL-2.0-or-later
//! Which directories of an upper grew: sizes by directory in bounded memory, and a ranking of what two such
//! tables differ by. Must not walk itself.

use crate::watch::levels::Resource;
use overlayroot_core::value::path::is_in;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// What lies in one directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Bytes in blocks.
    pub bytes: u64,
    /// Files, directories and all else.
    pub inodes: u64,
}

impl Tally {
    /// Counts more in.
    pub fn add(&mut self, more: Self) {
        self.bytes = self.bytes.saturating_add(more.bytes);
        self.inodes = self.inodes.saturating_add(more.inodes);
    }

    fn of(self, resource: Resource) -> u64 {
        if resource == Resource::Inodes { self.inodes } else { self.bytes }
    }
}

/// Sizes of the directories of a tree, each without the directories in it. What lies deeper than the table goes
/// counts for the directory above; where there are too many, the table becomes less deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    depth: usize,
    most: usize,
    held: usize,
    of: BTreeMap<String, Tally>,
}

/// How deep a table goes at most: `/var/lib/docker/overlay2/ID/diff` and two more.
const DEEPEST: usize = 8;
/// What an entry takes beside its name, about.
const ENTRY: usize = 96;
/// First word of a stored table.
const HEAD: &str = "overlayroot-sizes-1";

impl Default for Sizes {
    /// A table of at most 2 MiB.
    fn default() -> Self {
        Self::with_room(2 << 20)
    }
}

impl Sizes {
    /// An empty table that takes at most so many bytes.
    pub fn with_room(most: usize) -> Self {
        Self { depth: DEEPEST, most, held: 0, of: BTreeMap::new() }
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Counts what lies in `directory`, which begins with a slash: the tree's own top is `/`.
    pub fn add(&mut self, directory: &str, tally: Tally) {
        let key = cut(directory, self.depth);
        if let Some(known) = self.of.get_mut(key) {
            known.add(tally);
            return;
        }
        // One line each in a log and in the stored table.
        let key = key.replace(char::is_control, "\u{fffd}");
        self.held += key.len() + ENTRY;
        self.of.entry(key).or_default().add(tally);
        while self.held > self.most && self.depth > 0 {
            self.fold(self.depth - 1);
        }
    }

    /// Makes the table no deeper than `depth`.
    fn fold(&mut self, depth: usize) {
        if depth >= self.depth {
            return;
        }
        self.depth = depth;
        for (key, tally) in std::mem::take(&mut self.of) {
            self.of.entry(cut(&key, depth).to_owned()).or_default().add(tally);
        }
        self.held = self.of.keys().map(|key| key.len() + ENTRY).sum();
    }

    /// The table as text, a line an entry.
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEAD} {}\n", self.depth);
        for (key, tally) in &self.of {
            let _ = writeln!(text, "{} {} {key}", tally.bytes, tally.inodes);
        }
        text
    }

    /// Reads such a text; `None` where it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let depth = lines.next()?.strip_prefix(HEAD)?.trim().parse().ok()?;
        let mut sizes = Self { depth, ..Self::default() };
        for line in lines {
            let mut words = line.splitn(3, ' ');
            let (bytes, inodes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
            sizes.add(words.next().filter(|key| key.starts_with('/'))?, Tally { bytes, inodes });
        }
        Some(sizes)
    }
}

/// The first `depth` parts of an absolute path; `/` for none.
fn cut(path: &str, depth: usize) -> &str {
    let path = path.trim_end_matches('/');
    let end = path.match_indices('/').nth(depth).map_or(path.len(), |(at, _)| at);
    match path.get(..end) {
        None | Some("") => "/",
        Some(head) => head,
    }
}

fn parent(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) | None => "/",
        Some((head, _)) => head,
    }
}

/// A directory that grew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grown {
    /// As seen in the merged root.
    pub directory: String,
    /// By how much, what is in other directories of the list left out.
    pub by: Tally,
}

/// The directories that grew most, the one that grew most first. A directory is named where much of the growth is
/// in it and not in one directory further down; a tree of many small files is named by its top.
pub fn ranking(before: &Sizes, now: &Sizes, resource: Resource, most: usize) -> Vec<Grown> {
    let (mut before, mut now) = (before.clone(), now.clone());
    let depth = before.depth.min(now.depth);
    before.fold(depth);
    now.fold(depth);
    let mut grown: BTreeMap<String, Tally> = BTreeMap::new();
    for (key, tally) in &now.of {
        let old = before.of.get(key).copied().unwrap_or_default();
        let by =
            Tally { bytes: tally.bytes.saturating_sub(old.bytes), inodes: tally.inodes.saturating_sub(old.inodes) };
        if by.of(resource) > 0 {
            grown.insert(key.clone(), by);
        }
    }
    let all: u64 = grown.values().map(|by| by.of(resource)).sum();
    let least = if resource == Resource::Inodes { 8 } else { 64 << 10 };
    let mut list: Vec<Grown> = Vec::new();
    // What holds a tenth is told first; then smaller shares, as long as there is room in the list.
    for part in [10, 40, 160, 2560] {
        if list.len() >= most || grown.is_empty() {
            break;
        }
        let mut found = heavy(&grown, resource, (all / part).max(least));
        found.sort_by_key(|one| std::cmp::Reverse(one.by.of(resource)));
        grown.retain(|key, _| !found.iter().any(|one| is_in(key, &one.directory)));
        list.append(&mut found);
    }
    list.sort_by_key(|one| std::cmp::Reverse(one.by.of(resource)));
    list.truncate(most);
    list
}

/// The directories that hold `least` without what was found further down in them.
fn heavy(grown: &BTreeMap<String, Tally>, resource: Resource, least: u64) -> Vec<Grown> {
    let mut rest = grown.clone();
    let mut found = Vec::new();
    let depth_of = |key: &str| if key == "/" { 0 } else { key.matches('/').count() };
    for depth in (0..=DEEPEST).rev() {
        let here: BTreeSet<String> = rest.keys().filter(|key| depth_of(key) == depth).cloned().collect();
        for directory in here {
            let by = rest.remove(&directory).unwrap_or_default();
            if by.of(resource) >= least {
                found.push(Grown { directory, by });
            } else if depth > 0 {
                rest.entry(parent(&directory).to_owned()).or_default().add(by);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn sizes(entries: &[(&str, u64)]) -> Sizes {
        let mut sizes = Sizes::default();
        for (path, mib) in entries {
            sizes.add(path, Tally { bytes: mib * MIB, inodes: 1 });
        }
        sizes
    }

    fn names(before: &Sizes, now: &Sizes) -> Vec<(String, u64)> {
        let found = ranking(before, now, Resource::Bytes, 5);
        found.into_iter().map(|one| (one.directory, one.by.bytes / MIB)).collect()
    }

    #[test]
    fn the_directory_of_a_runaway_log_and_not_those_above() {
        let before = sizes(&[("/var/log/app", 10), ("/var/lib", 500), ("/etc", 1)]);
        let now = sizes(&[("/var/log/app", 310), ("/var/lib", 500), ("/etc", 3), ("/var/cache/apt", 20)]);
        let want = [("/var/log/app".to_owned(), 300), ("/var/cache/apt".to_owned(), 20), ("/etc".to_owned(), 2)];
        assert_eq!(names(&before, &now), want);
    }

    #[test]
    fn a_tree_of_many_small_directories_is_named_by_its_top() {
        let mut now = sizes(&[("/var/log", 5)]);
        for number in 0..400 {
            now.add(&format!("/home/u/project/node_modules/m{number}/lib"), Tally { bytes: MIB, inodes: 30 });
        }
        let found = names(&Sizes::default(), &now);
        assert_eq!(found, [("/home/u/project/node_modules".to_owned(), 400), ("/var/log".to_owned(), 5)]);
        let found = ranking(&Sizes::default(), &now, Resource::Inodes, 1);
        assert_eq!((found[0].directory.as_str(), found[0].by.inodes), ("/home/u/project/node_modules", 12_000));
    }

    #[test]
    fn at_most_so_many_the_largest_first_and_no_shrinking() {
        let now: Vec<(String, u64)> = (1..=9).map(|n| (format!("/d{n}"), n * 10)).collect();
        let now = sizes(&now.iter().map(|(path, mib)| (path.as_str(), *mib)).collect::<Vec<_>>());
        let before = sizes(&[("/d9", 500), ("/gone", 3)]);
        let found = names(&before, &now);
        assert_eq!(found.len(), 5);
        assert_eq!(found[0], ("/d8".to_owned(), 80));
        assert!(found.iter().all(|(path, _)| path != "/d9" && path != "/gone"), "{found:?}");
        assert_eq!(names(&now, &now), []);
    }

    #[test]
    fn memory_is_bounded_and_the_sum_stays() {
        let mut sizes = Sizes::with_room(64 << 10);
        for number in 0..100_000_u64 {
            let path = format!("/srv/mail/u{}/cur/{number}/x/y/z/deeper/still", number % 7);
            sizes.add(&path, Tally { bytes: 1, inodes: 1 });
        }
        assert!(sizes.held <= 64 << 10 && sizes.of.len() < 700, "{} entries", sizes.of.len());
        assert_eq!(sizes.of.values().map(|tally| tally.bytes).sum::<u64>(), 100_000);
        let found = ranking(&Sizes::default(), &sizes, Resource::Inodes, 9);
        assert!(found.iter().all(|one| one.directory.starts_with("/srv/mail")), "{found:?}");
        // Nothing can be too many.
        let mut flat = Sizes::with_room(1);
        flat.add("/a/b", Tally { bytes: 5, inodes: 1 });
        assert_eq!(flat.of.keys().collect::<Vec<_>>(), ["/"]);
    }

    #[test]
    fn tables_of_different_depth_are_compared() {
        let mut before = sizes(&[("/var/log/app/a/b", 10), ("/x", 1)]);
        before.fold(2);
        let now = sizes(&[("/var/log/app/a/b", 15), ("/x", 1)]);
        assert_eq!(names(&before, &now), [("/var/log".to_owned(), 5)]);
    }

    #[test]
    fn a_table_survives_its_text() {
        let mut table = sizes(&[("/", 1), ("/var/log/my app", 7)]);
        table.add("/bad\nname", Tally { bytes: 3, inodes: 4 });
        assert_eq!(Sizes::parse(&table.to_text()), Some(table.clone()));
        assert!(table.to_text().lines().count() == 4, "{}", table.to_text());
        for bad in ["", "x", "overlayroot-sizes-1 8\nx", "overlayroot-sizes-1 8\n1 2 etc", "overlayroot-sizes-1 x\n"] {
            assert_eq!(Sizes::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn paths_are_cut_at_the_depth() {
        assert_eq!((cut("/", 3), cut("/a/b/c", 2), cut("/a/b", 8), cut("/a/b", 0)), ("/", "/a/b", "/a/b", "/"));
        assert_eq!((parent("/a"), parent("/a/b")), ("/", "/a"));
        assert!(is_in("/a/b", "/a") && is_in("/a", "/a") && !is_in("/ab", "/a") && is_in("/x", "/"));
    }
}
