// SPDX-License-Identifier: GPL-2.0-or-later
//! What there is to move, before anything is: read only, so that it also answers on the running host.

use crate::commit::choice::{Choice, Take};
use crate::commit::marks;
use crate::step::tree::followed;
use crate::sys::attributes::beside;
use crate::sys::descent::{self, Visitor, is_directory};
use crate::sys::quota;
use anyhow::{Context, Result, bail};
use rustix::fd::BorrowedFd;
use rustix::fs::{CWD, FileType, Stat};
use std::collections::HashSet;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What was found in the upper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Files, links, removals and directories that are to go.
    pub entries: u64,
    /// Bytes of the files among them, as they lie on the disk.
    pub bytes: u64,
    /// Files by their number, of which one name goes and another stays: they must be copied.
    pub(super) split: HashSet<u64>,
    /// The upper is in the project whose quota limits it.
    pub(super) limited: bool,
}

/// Looks through the upper.
///
/// # Errors
/// Where it can't be read; where it has what can't be moved: files that have their content elsewhere (metacopy), names
/// that are others in the lower (`redirect_dir`), something in the place of a directory that the upper itself is below.
pub fn scan(upper: &Path, choice: &Choice) -> Result<Found> {
    let top = descent::open(CWD, upper).with_context(|| format!("opening {}", upper.display()))?;
    let limited = quota::project_of(&File::from(top.try_clone()?)).is_ok_and(|(of, _)| of == quota::PROJECT);
    let mut scan = Scan {
        choice,
        way: PathBuf::new(),
        depth: 0,
        found: Found { limited, ..Found::default() },
        going: HashSet::new(),
        staying: HashSet::new(),
    };
    descent::walk_open(top, "the upper", &mut scan)?;
    let Scan { mut found, going, staying, .. } = scan;
    found.split = going.intersection(&staying).copied().collect();
    Ok(found)
}

struct Scan<'a> {
    choice: &'a Choice,
    way: PathBuf,
    depth: usize,
    found: Found,
    /// Files with several names, by whether this one goes.
    going: HashSet<u64>,
    staying: HashSet<u64>,
}

impl Scan<'_> {
    /// Once for each entry that may go.
    fn check(&self, directory: BorrowedFd<'_>, name: &CStr, stat: &Stat, path: &Path) -> Result<()> {
        let at = PathBuf::from(OsStr::from_bytes(&beside(directory, name)));
        let kind = FileType::from_raw_mode(stat.st_mode);
        if matches!(kind, FileType::RegularFile | FileType::Directory) {
            followed(&at).with_context(|| format!("/{}", path.display()))?;
        }
        let hides = kind != FileType::Directory || crate::step::layers::is_opaque(&at);
        match self.choice.own_below(path).filter(|_| hides) {
            Some(own) => bail!("/{} takes the place of a directory that has the upper in it (/{})", path.display(), {
                own.display()
            }),
            None => Ok(()),
        }
    }
}

impl Visitor for Scan<'_> {
    fn entry(&mut self, directory: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<bool> {
        let path = self.way.join(OsStr::from_bytes(name.to_bytes()));
        let take = self.choice.of(&path);
        let inner = is_directory(stat);
        let asked = take == Take::Yes || (take == Take::Through && inner);
        if asked && path != Path::new(super::SCRATCH) {
            self.check(directory, name, stat, &path)?;
        }
        let goes = take == Take::Yes;
        let several = stat.st_nlink > 1 && !inner && !marks::is_whiteout(stat);
        let first = !several || if goes { self.going.insert(stat.st_ino) } else { self.staying.insert(stat.st_ino) };
        if goes {
            self.found.entries += 1;
            if first && FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
                self.found.bytes += u64::try_from(stat.st_blocks).unwrap_or_default() * 512;
            }
        }
        Ok(inner)
    }

    fn enter(&mut self, name: &CStr) {
        self.way.push(OsStr::from_bytes(name.to_bytes()));
        self.depth += 1;
    }

    fn leave(&mut self, _directory: BorrowedFd<'_>) -> Result<()> {
        if self.depth > 0 {
            self.way.pop();
            self.depth -= 1;
        }
        Ok(())
    }
}
