// SPDX-License-Identifier: GPL-2.0-or-later
//! What goes from the upper once the lower has it for certain.

use super::Engine;
use crate::commit::{Left, MOST_LEFT};
use anyhow::{Context, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Timestamps, futimens, syncfs, unlinkat};
use rustix::io::Errno;
use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Most that waits: each entry is a name in memory, each directory a descriptor.
const MOST_ENTRIES: usize = 4096;
const MOST_DIRECTORIES: usize = 256;
const MOST_BYTES: u64 = 512 << 20;

/// One change of the upper.
pub(super) enum Last {
    /// A name that is no directory's.
    Unlink(Rc<OwnedFd>, CString),
    /// A directory that everything is gone from.
    RemoveDirectory(Rc<OwnedFd>, CString),
    /// The mark of a directory that hides the lower's: that is empty now, or has nothing but what this one has.
    NotOpaque(Rc<OwnedFd>),
    /// Of a directory that stays: removing names has changed them.
    Times(Rc<OwnedFd>, Timestamps),
}

impl Last {
    pub(super) fn perform(&self) -> rustix::io::Result<()> {
        match self {
            Self::Unlink(directory, name) => unlinkat(directory, name, AtFlags::empty()),
            Self::RemoveDirectory(directory, name) => unlinkat(directory, name, AtFlags::REMOVEDIR),
            Self::NotOpaque(directory) => rustix::fs::fremovexattr(directory, "trusted.overlay.opaque"),
            Self::Times(directory, times) => futimens(directory, times),
        }
    }
}

/// What waits, in the order in which it is done.
#[derive(Default)]
pub(super) struct Batch {
    waiting: Vec<(Last, PathBuf)>,
    directories: usize,
    bytes: u64,
}

impl Batch {
    pub(super) fn push(&mut self, last: Last, path: PathBuf) {
        self.directories += usize::from(!matches!(last, Last::Unlink(..)));
        self.waiting.push((last, path));
    }

    /// So much was copied since.
    pub(super) fn copied(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MOST_ENTRIES || self.directories >= MOST_DIRECTORIES || self.bytes >= MOST_BYTES
    }

    pub(super) fn take(&mut self) -> Vec<(Last, PathBuf)> {
        std::mem::take(self).waiting
    }
}

impl Engine<'_> {
    /// Changes the upper, once the lower is durable.
    pub(super) fn later(&mut self, last: Last) -> Result<()> {
        let path = self.way.clone();
        if self.by_rename && self.batch.is_empty() {
            // One journal has both changes in their order.
            return self.perform(&last, &path);
        }
        self.batch.push(last, path);
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        self.calls.next()?;
        let synced = syncfs(&self.lower);
        // What is not on the disk is never taken from the upper. The kernel tells of an error once: a second sync would
        // succeed.
        let waiting = self.batch.take();
        synced.context("syncing the lower")?;
        for (last, path) in waiting {
            self.perform(&last, &path)?;
        }
        Ok(())
    }

    pub(super) fn perform(&mut self, last: &Last, path: &Path) -> Result<()> {
        self.calls.next()?;
        match (last, last.perform()) {
            (Last::Unlink(..) | Last::RemoveDirectory(..), Ok(())) => self.done.entries += 1,
            (Last::NotOpaque(_) | Last::Times(..), Ok(())) | (Last::NotOpaque(_), Err(Errno::NODATA)) => {}
            (Last::RemoveDirectory(..), Err(Errno::NOTEMPTY | Errno::EXIST)) => self.again = true,
            // What comes behind would show the lower's.
            (Last::NotOpaque(_), Err(error)) => return Err(error).context("removing the mark of an opaque directory"),
            // Of a directory that stays: nothing depends on them.
            (Last::Times(..), Err(_)) => {}
            (Last::Unlink(..) | Last::RemoveDirectory(..), Err(error)) => {
                self.note(path, format!("removing it from the upper: {error}"));
            }
        }
        Ok(())
    }

    pub(super) fn note(&mut self, path: &Path, why: String) {
        self.done.left_count += 1;
        if self.done.left.len() < MOST_LEFT {
            self.done.left.push(Left { path: path.to_owned(), why });
        }
    }
}
