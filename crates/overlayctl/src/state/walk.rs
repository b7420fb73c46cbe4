// SPDX-License-Identifier: GPL-2.0-or-later
//! How much a directory holds, as du(1) counts: blocks, on one file system, no link followed.

use crate::output::out::CLEAR;
use anyhow::{Context, Result};
use serde::Serialize;
use std::collections::HashSet;
use std::fs;
use std::io::IsTerminal;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// What a directory holds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    /// Bytes in blocks, directories included.
    pub bytes: u64,
    /// Everything that is not a directory.
    pub files: u64,
}

/// Counts. What can't be read counts as nothing.
pub fn size(directory: &str) -> Result<Size> {
    let top = fs::symlink_metadata(directory).with_context(|| format!("looking at {directory}"))?;
    let mut size = Size { bytes: top.blocks() * 512, files: 0 };
    let mut seen = HashSet::new();
    let mut progress = Progress::new();
    let mut waiting = vec![PathBuf::from(directory)];
    while let Some(path) = waiting.pop() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.dev() != top.dev() {
                continue;
            }
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                size.files += 1;
            }
            if metadata.is_dir() || metadata.nlink() == 1 || seen.insert(metadata.ino()) {
                size.bytes += metadata.blocks() * 512;
            }
        }
        progress.show(size.files);
    }
    progress.clear();
    Ok(size)
}

/// A line on the terminal, where the walk takes long.
struct Progress {
    terminal: bool,
    next: Instant,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        let next = Instant::now() + Duration::from_secs(1);
        Self { terminal: std::io::stderr().is_terminal(), next, shown: false }
    }

    fn show(&mut self, files: u64) {
        if self.terminal && Instant::now() >= self.next {
            eprint!("{CLEAR}{files} files");
            (self.shown, self.next) = (true, Instant::now() + Duration::from_millis(200));
        }
    }

    fn clear(&self) {
        if self.shown {
            eprint!("{CLEAR}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_count_once_and_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("a")).unwrap();
        fs::write(at("a/file"), vec![1; 100_000]).unwrap();
        let one = size(dir.path().to_str().unwrap()).unwrap();
        assert!(one.files == 1 && one.bytes >= 100_000);
        fs::hard_link(at("a/file"), at("a/again")).unwrap();
        std::os::unix::fs::symlink("/", at("a/root")).unwrap();
        let two = size(dir.path().to_str().unwrap()).unwrap();
        assert_eq!(two.files, 3);
        assert!(two.bytes < one.bytes + 50_000);
    }
}
