// SPDX-License-Identifier: GPL-2.0-or-later
//! A directory of the upper: renamed as a whole where the lower has nothing that shows in it, else gone into.

use super::{Engine, Frame, Last, Next};
use crate::commit::calls::{Weight, weight};
use crate::commit::choice::Take;
use crate::commit::{below, marks};
use crate::sys::descent::{self, is_directory, which};
use anyhow::{Context, Result, ensure};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, Mode, Stat, fstat, mkdirat, renameat, syncfs, unlinkat};
use rustix::io::Errno;
use std::ffi::CStr;
use std::rc::Rc;

impl Engine<'_> {
    pub(super) fn directory(
        &mut self,
        frame: &Frame,
        name: &CStr,
        stat: &Stat,
        below: Option<&Stat>,
        take: Take,
    ) -> Result<Next> {
        let upper = Rc::new(descent::open(&frame.upper, name)?);
        ensure!(which(&fstat(&upper)?) == which(stat), "it was exchanged");
        let mut opaque = marks::is_opaque(&upper);
        let merged = below.is_some_and(is_directory) && !opaque;
        if take == Take::Through && below.is_some_and(is_directory) {
            // As a cut may have left one that is made for what comes below it.
            let lower = descent::open(&frame.lower, name)?;
            if descent::names(&lower)?.is_empty() {
                return self.begun(upper, lower, stat, opaque);
            }
        }
        if below.is_some() && !merged {
            if take == Take::Through {
                let why = "takes the place of what the lower has; commit it as a whole";
                return Ok(Next::Stays(Some(why.to_owned())));
            }
            if let Some(kept) = self.request.choice.kept_below(&self.way) {
                return Ok(Next::Stays(Some(format!("hides /{}, which stays", kept.display()))));
            }
        }
        let whole = !merged && take == Take::Yes && self.by_rename && self.request.choice.is_whole(&self.way);
        if whole && self.rename_whole(frame, name, &upper, stat, below)? {
            return Ok(Next::Goes);
        }
        let lower = match below {
            Some(below) if is_directory(below) => {
                let lower = descent::open(&frame.lower, name)?;
                if opaque {
                    below::empty(self.calls, &lower)?;
                }
                lower
            }
            Some(_) | None => {
                if opaque {
                    // It hides nothing: no directory is below.
                    self.perform(&Last::NotOpaque(Rc::clone(&upper)), &self.way.clone())?;
                    opaque = false;
                }
                self.remove_file(frame, name, below)?;
                self.made(frame, name, &upper, stat)?
            }
        };
        if opaque {
            // What is put into the lower's must show when it has left this one, and a rename does not wait.
            if self.by_rename {
                self.flush()?;
            }
            self.later(Last::NotOpaque(Rc::clone(&upper)))?;
        }
        Ok(Next::Into(Frame::new(upper, Rc::new(lower), take)?))
    }

    /// Where a file is below a directory that hides it.
    fn remove_file(&mut self, frame: &Frame, name: &CStr, below: Option<&Stat>) -> Result<()> {
        if below.is_none() {
            return Ok(());
        }
        self.calls.next()?;
        match unlinkat(&frame.lower, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).context("removing the lower's file"),
        }
    }

    /// Goes into a directory of which not all is asked for, and whose lower's is empty.
    fn begun(&mut self, upper: Rc<OwnedFd>, lower: OwnedFd, stat: &Stat, opaque: bool) -> Result<Next> {
        self.calls.next()?;
        marks::of_directory(&upper, stat, &lower)?;
        if opaque {
            self.flush()?;
            syncfs(&self.lower).context("syncing the lower")?;
            self.perform(&Last::NotOpaque(Rc::clone(&upper)), &self.way.clone())?;
        }
        Ok(Next::Into(Frame::new(upper, Rc::new(lower), Take::Through)?))
    }

    /// The same directory in the lower, empty: the upper's hides it or merges with it.
    fn made(&mut self, frame: &Frame, name: &CStr, upper: &OwnedFd, stat: &Stat) -> Result<OwnedFd> {
        self.calls.next()?;
        mkdirat(&frame.lower, name, Mode::RWXU).context("making the directory in the lower")?;
        let lower = descent::open(&frame.lower, name)?;
        self.calls.next()?;
        marks::of_directory(upper, stat, &lower)?;
        Ok(lower)
    }

    /// False where it must be gone into: something in it stays, or is on another file system.
    fn rename_whole(
        &mut self,
        frame: &Frame,
        name: &CStr,
        upper: &OwnedFd,
        stat: &Stat,
        below: Option<&Stat>,
    ) -> Result<bool> {
        let limited = self.found.limited;
        let seen = match marks::strip_below(self.calls, upper, &self.found.split, limited) {
            Ok(seen) => seen,
            Err(error) => {
                return match weight(&error) {
                    Weight::Cut | Weight::Ends => Err(error),
                    Weight::OfThis => Ok(false),
                };
            }
        };
        match below {
            // An empty directory is replaced by the rename.
            Some(below) if is_directory(below) => below::empty(self.calls, &descent::open(&frame.lower, name)?)?,
            Some(_) | None => self.remove_file(frame, name, below)?,
        }
        marks::strip(self.calls, &frame.upper, name, stat, limited)?;
        self.calls.next()?;
        match renameat(&frame.upper, name, &frame.lower, name) {
            Err(Errno::XDEV) => {
                self.by_rename = false;
                return Ok(false);
            }
            result => result.context("moving it to the lower")?,
        }
        self.done.entries += seen + 1;
        Ok(true)
    }
}
