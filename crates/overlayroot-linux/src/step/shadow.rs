// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds what an upper hides of its lower that has changed since the upper was begun. Reads names, times and
//! one attribute; follows no link.

use overlayroot_core::feature::stale::{Kind, Shadow, Shadows};
use overlayroot_core::value::order::sorted;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the search ends.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Directory entries looked at, of upper and lower together.
    pub entries: u64,
    /// Instant.
    pub until: Option<Instant>,
    /// Paths listed; those beyond are only counted.
    pub listed: usize,
}

/// Compares an upper with its lower. A path counts where the inode below has changed (ctime, which nothing
/// sets back) later than `since`, seconds since 1970. `hidden` is where in the root the upper itself lies.
pub fn find(upper: &str, lower: &str, since: i64, hidden: Option<&str>, limits: Limits) -> Shadows {
    let hidden = hidden.map(|path| PathBuf::from(path.trim_start_matches('/')));
    let (upper, lower) = (Path::new(upper), Path::new(lower));
    let mut walk = Walk { upper, lower, since, hidden, limits, looked: 0, spent: false, found: Shadows::default() };
    walk.merged();
    walk.found.complete = !walk.spent;
    walk.found
}

struct Walk<'a> {
    upper: &'a Path,
    lower: &'a Path,
    since: i64,
    hidden: Option<PathBuf>,
    limits: Limits,
    looked: u64,
    spent: bool,
    found: Shadows,
}

impl Walk<'_> {
    /// Directories that both have, from the top.
    fn merged(&mut self) {
        let mut waiting = vec![PathBuf::new()];
        while let Some(directory) = waiting.pop() {
            for name in self.names(&self.upper.join(&directory)) {
                let path = directory.join(name);
                if !self.goes_on() {
                    return;
                }
                if self.hidden.as_ref() != Some(&path) && self.entry(&path) {
                    waiting.push(path);
                }
            }
        }
    }

    /// Sorted, so that two looks list the same. One more than will be looked at: a directory can have millions.
    fn names(&self, directory: &Path) -> Vec<OsString> {
        let most = self.limits.entries.saturating_sub(self.looked).saturating_add(1);
        let entries = fs::read_dir(directory).into_iter().flatten().take(usize::try_from(most).unwrap_or(usize::MAX));
        sorted(entries.filter_map(|entry| Some(entry.ok()?.file_name())).collect())
    }

    fn goes_on(&mut self) -> bool {
        const FEW: u64 = 64;
        self.looked += 1;
        let late = self.looked % FEW == 0 && self.limits.until.is_some_and(|until| Instant::now() >= until);
        self.spent |= late || self.looked > self.limits.entries;
        !self.spent
    }

    /// Whether this is a directory that both have. What the lower does not have hides nothing.
    fn entry(&mut self, path: &Path) -> bool {
        let stat = |top: &Path| fs::symlink_metadata(top.join(path)).ok();
        let (Some(above), Some(below)) = (stat(self.upper), stat(self.lower)) else {
            return false;
        };
        if above.is_dir() && below.is_dir() && !opaque(&self.upper.join(path)) {
            return true;
        }
        if self.later(&below) || (below.is_dir() && self.later_below(path)) {
            self.found.count += 1;
            if self.found.paths.len() < self.limits.listed {
                let path = format!("/{}", path.to_string_lossy());
                self.found.paths.push(Shadow { path, kind: kind(&above) });
            }
        }
        false
    }

    fn later(&self, below: &Metadata) -> bool {
        below.ctime() > self.since
    }

    /// Whether anything below a directory of the lower, none of which is seen, has changed.
    fn later_below(&mut self, path: &Path) -> bool {
        let mut waiting = vec![path.to_path_buf()];
        while let Some(directory) = waiting.pop() {
            for name in self.names(&self.lower.join(&directory)) {
                let path = directory.join(name);
                if !self.goes_on() {
                    return false;
                }
                let Ok(below) = fs::symlink_metadata(self.lower.join(&path)) else { continue };
                if self.hidden.as_ref() == Some(&path) {
                    continue;
                }
                if self.later(&below) {
                    return true;
                }
                if below.is_dir() {
                    waiting.push(path);
                }
            }
        }
        false
    }
}

fn kind(above: &Metadata) -> Kind {
    match (above.is_dir(), above.file_type().is_char_device() && above.rdev() == 0) {
        (true, _) => Kind::Directory,
        (_, true) => Kind::Removed,
        _ => Kind::File,
    }
}

/// Whether overlayfs shows nothing of the lower in this directory (kernel: overlayfs.rst).
fn opaque(directory: &Path) -> bool {
    let mut value = [0; 8];
    let len = rustix::fs::lgetxattr(directory, "trusted.overlay.opaque", &mut value);
    matches!(len.ok().and_then(|len| value.get(..len)), Some(b"y"))
}

#[cfg(test)]
mod tests;
