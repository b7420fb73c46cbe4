// SPDX-License-Identifier: GPL-2.0-or-later
//! The way from the top of a tree to where a copy is just now, and the way to directories that will be wanted again:
//! those in which files with several names have their first. Trees may be deep, and such files many, so a directory is
//! remembered once, and two of them that are wanted in turn are opened once each.

use crate::sys::descent;
use anyhow::{Context, Result};
use rustix::fd::OwnedFd;
use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The first of the homes.
const TOP: usize = 0;

pub(crate) struct Way {
    top: OwnedFd,
    /// Names from there on, each with its number among the homes if it has one.
    names: Vec<(CString, Option<usize>)>,
    /// Directories that will be wanted, and those on the way there: what each is in, and its name.
    homes: Vec<(usize, CString)>,
    /// The one that was opened last.
    reached: Option<(usize, OwnedFd)>,
}

impl Way {
    pub(crate) fn from(top: OwnedFd) -> Self {
        Self { top, names: Vec::new(), homes: vec![(TOP, CString::default())], reached: None }
    }

    pub(crate) fn push(&mut self, name: CString) {
        self.names.push((name, None));
    }

    pub(crate) fn pop(&mut self) {
        self.names.pop();
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.names.iter().map(|(name, _)| OsStr::from_bytes(name.to_bytes())).collect()
    }

    /// The number by which the directory that this is in can be reached again.
    pub(crate) fn home(&mut self) -> usize {
        let known = self.names.iter().rposition(|(_, number)| number.is_some());
        let mut at = known.and_then(|known| self.names.get(known)?.1).unwrap_or(TOP);
        for (name, number) in self.names.iter_mut().skip(known.map_or(0, |known| known + 1)) {
            self.homes.push((at, name.clone()));
            at = self.homes.len() - 1;
            *number = Some(at);
        }
        at
    }

    /// One of the homes; `here` is where this is.
    ///
    /// # Errors
    /// Where it is not there any more.
    pub(crate) fn reach(&mut self, home: usize, here: &OwnedFd) -> Result<OwnedFd> {
        if self.names.last().map_or(Some(TOP), |(_, number)| *number) == Some(home) {
            return Ok(here.try_clone()?);
        }
        if let Some((_, reached)) = self.reached.as_ref().filter(|(number, _)| *number == home) {
            return Ok(reached.try_clone()?);
        }
        let (mut names, mut at) = (Vec::new(), home);
        while at != TOP {
            let (above, name) = self.homes.get(at).context("no such directory")?;
            names.push(name);
            at = *above;
        }
        let mut fd = self.top.try_clone()?;
        for name in names.into_iter().rev() {
            fd = descent::open(&fd, name)?;
        }
        self.reached = Some((home, fd.try_clone()?));
        Ok(fd)
    }
}
