// SPDX-License-Identifier: GPL-2.0-or-later
//! Two looks at the upper, and what grew between them. A look keeps 16 bytes for each file.

use overlayroot_diff::Stat;
use overlayroot_diff::usage::{Counter, Sum, count};
use std::collections::HashMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;

/// Files that are kept of those that grew.
const FILES: usize = 64;

/// One look.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// All of it.
    pub all: Sum,
    directories: HashMap<Vec<u8>, Sum>,
    files: HashMap<u64, u64>,
    grown: Vec<Row>,
}

/// More than before; less than none where it shrank.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Growth {
    /// Bytes in blocks.
    pub bytes: i64,
    /// Inodes.
    pub inodes: i64,
}

impl Growth {
    fn of(now: Sum, before: Sum) -> Self {
        Self { bytes: difference(now.bytes, before.bytes), inodes: difference(now.inodes, before.inodes) }
    }
}

/// What grew, by how much, and how large it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// By how much.
    pub growth: Growth,
    /// How large it is.
    pub sum: Sum,
    /// In the root.
    pub path: Vec<u8>,
}

/// What two looks tell, the most first.
#[derive(Debug, Default)]
pub struct Grown {
    /// All of it.
    pub all: Growth,
    /// Directories, without those in which a single one below did all of it.
    pub directories: Vec<Row>,
    /// Files.
    pub files: Vec<Row>,
}

struct Taking<'a> {
    depth: usize,
    before: Option<&'a Snapshot>,
    now: Snapshot,
}

impl Counter for Taking<'_> {
    fn directory(&mut self, path: &[u8], depth: usize, sum: Sum, _: Sum) {
        if depth == 0 {
            self.now.all = sum;
        }
        if depth <= self.depth {
            self.now.directories.insert(path.to_vec(), sum);
        }
    }

    fn file(&mut self, path: &[u8], stat: &Stat) -> ControlFlow<()> {
        let bytes = stat.allocated();
        if bytes > 0 {
            self.now.files.insert(stat.ino, bytes);
        }
        if let Some(before) = self.before {
            let earlier = before.files.get(&stat.ino).copied();
            let growth = Growth { bytes: difference(bytes, earlier.unwrap_or(0)), inodes: 0 };
            if growth.bytes > 0 {
                self.now.grown.push(Row { growth, sum: Sum { bytes, inodes: 1 }, path: path.to_vec() });
                if self.now.grown.len() >= 2 * FILES {
                    keep_most(&mut self.now.grown);
                }
            }
        }
        ControlFlow::Continue(())
    }

    // What can't be read counts as nothing; a screen has no place for errors.
    fn problem(&mut self, _: &[u8], _: io::Error) {}
}

fn keep_most(rows: &mut Vec<Row>) {
    sort(rows, false);
    rows.truncate(FILES);
}

/// The most first, by what runs out first.
fn sort(rows: &mut [Row], by_inodes: bool) {
    let most = |growth: Growth| match by_inodes {
        true => (growth.inodes, growth.bytes),
        false => (growth.bytes, growth.inodes),
    };
    rows.sort_by(|a, b| most(b.growth).cmp(&most(a.growth)).then_with(|| a.path.cmp(&b.path)));
}

fn difference(now: u64, before: u64) -> i64 {
    let less = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    less(now) - less(before)
}

impl Snapshot {
    /// Looks.
    ///
    /// # Errors
    /// Those of [`count`].
    pub fn take(upper: &Path, path: &[u8], depth: usize, before: Option<&Self>) -> io::Result<Self> {
        let mut taking = Taking { depth, before, now: Self::default() };
        count(upper, path, &mut taking)?;
        keep_most(&mut taking.now.grown);
        Ok(taking.now)
    }

    /// What grew since `before`; by inodes first where those run out first.
    pub fn grown(&self, before: &Self, by_inodes: bool) -> Grown {
        let mut growth: HashMap<&[u8], Growth> = HashMap::new();
        for (path, sum) in &self.directories {
            growth.insert(path, Growth::of(*sum, before.directories.get(path).copied().unwrap_or_default()));
        }
        for (path, sum) in before.directories.iter().filter(|(path, _)| !self.directories.contains_key(*path)) {
            growth.insert(path, Growth::of(Sum::default(), *sum));
        }
        let alone = |path: &[u8], by: Growth| {
            // one below did all of it
            growth.iter().any(|(other, growth)| *growth == by && parent(other) == Some(path))
        };
        let rows = growth.iter().filter(|(path, by)| **by != Growth::default() && !alone(path, **by));
        let mut directories: Vec<Row> = rows
            .map(|(path, growth)| Row {
                growth: *growth,
                sum: self.directories.get(*path).copied().unwrap_or_default(),
                path: path.to_vec(),
            })
            .collect();
        sort(&mut directories, by_inodes);
        Grown { all: Growth::of(self.all, before.all), directories, files: self.grown.clone() }
    }

    /// The largest directories, the largest first.
    pub fn largest(&self, most: usize) -> Vec<(u64, Vec<u8>)> {
        let mut all: Vec<_> = self.directories.iter().map(|(path, sum)| (sum.bytes, path.clone())).collect();
        all.sort_by(|(a, left), (b, right)| b.cmp(a).then_with(|| left.cmp(right)));
        all.truncate(most);
        all
    }
}

fn parent(path: &[u8]) -> Option<&[u8]> {
    let at = path.iter().rposition(|byte| *byte == b'/')?;
    match (at, path.len()) {
        (0, 1) => None,
        (0, _) => Some(b"/"),
        _ => path.get(..at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn what_grew_is_named_where_it_grew() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("var/log/app")).unwrap();
        fs::create_dir_all(at("srv")).unwrap();
        fs::write(at("var/log/app/old"), vec![1; 40_000]).unwrap();
        fs::write(at("srv/gone"), vec![1; 400_000]).unwrap();
        let take = |before: Option<&Snapshot>| Snapshot::take(dir.path(), b"/", 4, before).unwrap();
        let first = take(None);
        assert_eq!(first.largest(1)[0].1, b"/");
        fs::write(at("var/log/app/old"), vec![1; 140_000]).unwrap();
        fs::write(at("var/log/new"), vec![1; 20_000]).unwrap();
        fs::remove_file(at("srv/gone")).unwrap();
        let second = take(Some(&first));
        let grown = second.grown(&first, false);
        let names =
            |rows: &[Row]| rows.iter().map(|row| String::from_utf8(row.path.clone()).unwrap()).collect::<Vec<_>>();
        assert_eq!(names(&grown.files), ["/var/log/app/old", "/var/log/new"]);
        assert_eq!(names(&grown.directories), ["/var/log", "/var/log/app", "/", "/srv"], "/var is /var/log's doing");
        assert!(grown.all.bytes < 0 && grown.directories[0].growth.bytes >= 100_000, "{grown:?}");
        // One file came and one went.
        assert_eq!((grown.all.inodes, grown.directories[3].growth.inodes), (0, -1), "{grown:?}");
        let third = take(Some(&second));
        let still = third.grown(&second, false);
        assert!(still.all == Growth::default() && still.directories.is_empty() && still.files.is_empty(), "{still:?}");
    }

    #[test]
    fn files_without_a_byte_grow_too() {
        let dir = tempfile::tempdir().unwrap();
        let take = |before: Option<&Snapshot>| Snapshot::take(dir.path(), b"/", 4, before).unwrap();
        for name in ["many", "large"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let first = take(None);
        (0..40).for_each(|number| fs::write(dir.path().join(format!("many/{number}")), "").unwrap());
        fs::write(dir.path().join("large/one"), vec![1; 900_000]).unwrap();
        let second = take(Some(&first));
        let names = |by_inodes| {
            let grown = second.grown(&first, by_inodes);
            let below = grown.directories.iter().filter(|row| row.path != b"/");
            below.map(|row| String::from_utf8(row.path.clone()).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(
            (names(false), names(true)),
            (vec!["/large".into(), "/many".into()], vec!["/many".into(), "/large".into()])
        );
        assert_eq!(second.grown(&first, true).all.inodes, 41);
    }

    #[test]
    fn parents() {
        let all: [(&[u8], Option<&[u8]>); 3] = [(b"/", None), (b"/a", Some(b"/")), (b"/a/b", Some(b"/a"))];
        for (path, want) in all {
            assert_eq!(parent(path), want);
        }
    }
}
