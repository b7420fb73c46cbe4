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
    directories: HashMap<Vec<u8>, u64>,
    files: HashMap<u64, u64>,
    grown: Vec<Row>,
}

/// What grew, by how many bytes, and how large it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Bytes more than before; less than none where it shrank.
    pub growth: i64,
    /// Bytes in blocks.
    pub bytes: u64,
    /// In the root.
    pub path: Vec<u8>,
}

/// What two looks tell, the most first.
#[derive(Debug, Default)]
pub struct Grown {
    /// All of it.
    pub all: i64,
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
            self.now.directories.insert(path.to_vec(), sum.bytes);
        }
    }

    fn file(&mut self, path: &[u8], stat: &Stat) -> ControlFlow<()> {
        let bytes = stat.allocated();
        if bytes > 0 {
            self.now.files.insert(stat.ino, bytes);
        }
        if let Some(before) = self.before {
            let growth = difference(bytes, before.files.get(&stat.ino).copied().unwrap_or(0));
            if growth > 0 {
                self.now.grown.push(Row { growth, bytes, path: path.to_vec() });
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
    rows.sort_by(|a, b| b.growth.cmp(&a.growth).then_with(|| a.path.cmp(&b.path)));
    rows.truncate(FILES);
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

    /// What grew since `before`.
    pub fn grown(&self, before: &Self) -> Grown {
        let mut growth: HashMap<&[u8], i64> = HashMap::new();
        for (path, bytes) in &self.directories {
            growth.insert(path, difference(*bytes, before.directories.get(path).copied().unwrap_or(0)));
        }
        for (path, bytes) in before.directories.iter().filter(|(path, _)| !self.directories.contains_key(*path)) {
            growth.insert(path, difference(0, *bytes));
        }
        let alone = |path: &[u8], by: i64| {
            // one below did all of it
            growth.iter().any(|(other, growth)| *growth == by && parent(other) == Some(path))
        };
        let rows = growth.iter().filter(|(path, by)| **by != 0 && !alone(path, **by));
        let mut directories: Vec<Row> = rows
            .map(|(path, growth)| Row {
                growth: *growth,
                bytes: self.directories.get(*path).copied().unwrap_or(0),
                path: path.to_vec(),
            })
            .collect();
        directories.sort_by(|a, b| b.growth.cmp(&a.growth).then_with(|| a.path.cmp(&b.path)));
        Grown { all: difference(self.all.bytes, before.all.bytes), directories, files: self.grown.clone() }
    }

    /// The largest directories, the largest first.
    pub fn largest(&self, most: usize) -> Vec<(u64, Vec<u8>)> {
        let mut all: Vec<_> = self.directories.iter().map(|(path, bytes)| (*bytes, path.clone())).collect();
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
        let grown = second.grown(&first);
        let names =
            |rows: &[Row]| rows.iter().map(|row| String::from_utf8(row.path.clone()).unwrap()).collect::<Vec<_>>();
        assert_eq!(names(&grown.files), ["/var/log/app/old", "/var/log/new"]);
        assert_eq!(names(&grown.directories), ["/var/log", "/var/log/app", "/", "/srv"], "/var is /var/log's doing");
        assert!(grown.all < 0 && grown.directories[0].growth >= 100_000, "{grown:?}");
        let third = take(Some(&second));
        let still = third.grown(&second);
        assert!(still.all == 0 && still.directories.is_empty() && still.files.is_empty(), "{still:?}");
    }

    #[test]
    fn parents() {
        let all: [(&[u8], Option<&[u8]>); 3] = [(b"/", None), (b"/a", Some(b"/")), (b"/a/b", Some(b"/a"))];
        for (path, want) in all {
            assert_eq!(parent(path), want);
        }
    }
}
