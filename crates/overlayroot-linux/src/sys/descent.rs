// SPDX-License-Identifier: GPL-2.0-or-later
//! Goes through a tree by descriptors: no link is followed, and however deep it is, two of them are enough. Whoever
//! could write somewhere may have nested directories further than a path can be long.

use anyhow::{Context, Result, ensure};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dev, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use std::ffi::{CStr, CString};

/// What is done on the way.
pub(crate) trait Visitor {
    /// Something in an open directory. True where it is a directory, and what is in it is to come, too.
    fn entry(&mut self, directory: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<bool>;
    /// What is in this directory comes next: one of those that are in the one before.
    fn enter(&mut self, _name: &CStr) {}
    /// Everything in a directory was visited.
    fn leave(&mut self, directory: BorrowedFd<'_>) -> Result<()>;
}

/// Opens a directory that is no link.
pub(crate) fn open(at: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Visits all that is in a directory, then what is in its directories, and then itself. Of names it remembers those of
/// directories only: there may be millions of others.
///
/// # Errors
/// The first of the file system or of the visitor; where directories are moved meanwhile.
pub(crate) fn walk(directory: &str, visitor: &mut impl Visitor) -> Result<()> {
    let here = open(CWD, directory).with_context(|| format!("opening {directory}"))?;
    walk_open(here, directory, visitor)
}

/// The same of a directory that is open; errors call it `directory`.
///
/// # Errors
/// As [`walk`].
pub(crate) fn walk_open(mut here: OwnedFd, directory: &str, visitor: &mut impl Visitor) -> Result<()> {
    let mut left = look(&here, directory, visitor)?;
    // Of each directory above: what is left in it, and which one it is.
    let mut above: Vec<(Vec<Inner>, (Dev, u64))> = Vec::new();
    loop {
        if let Some((name, wanted)) = left.pop() {
            let context = || format!("looking at {} below {directory}", name.to_string_lossy());
            let inner = open(&here, &name).with_context(context)?;
            ensure!(which(&fstat(&inner)?) == wanted, "{} was exchanged", name.to_string_lossy());
            visitor.enter(&name);
            let inside = look(&inner, directory, visitor)?;
            above.push((std::mem::replace(&mut left, inside), which(&fstat(&here)?)));
            here = inner;
            continue;
        }
        visitor.leave(here.as_fd())?;
        let Some((names, outer)) = above.pop() else { return Ok(()) };
        here = open(&here, "..").with_context(|| format!("going back below {directory}"))?;
        ensure!(which(&fstat(&here)?) == outer, "a directory below {directory} was moved");
        left = names;
    }
}

/// A directory that is to be gone into, and which one it is.
type Inner = (CString, (Dev, u64));

/// Visits what is in a directory, and gives back what is to be gone into.
fn look(here: &OwnedFd, below: &str, visitor: &mut impl Visitor) -> Result<Vec<Inner>> {
    let mut inner = Vec::new();
    for entry in Dir::read_from(here).context("reading a directory")? {
        let entry = entry.context("reading a directory")?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = statat(here, name, AtFlags::SYMLINK_NOFOLLOW);
        let stat = stat.with_context(|| format!("looking at {} below {below}", name.to_string_lossy()))?;
        if visitor.entry(here.as_fd(), name, &stat)? {
            inner.push((name.to_owned(), which(&stat)));
        }
    }
    Ok(inner)
}

pub(crate) fn which(stat: &Stat) -> (Dev, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Whether it is a directory, by what stat(2) says.
pub(crate) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

pub(crate) fn names(directory: &OwnedFd) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).context("reading a directory")? {
        let entry = entry.context("reading a directory")?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    Ok(names)
}
