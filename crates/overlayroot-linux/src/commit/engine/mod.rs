// SPDX-License-Identifier: GPL-2.0-or-later
//! The walk through the upper, and what is done at each path: `entry` decides, the files beside do it.

mod batch;
mod directory;
mod frame;
mod put;

use crate::commit::calls::{Calls, Weight, weight};
use crate::commit::choice::Take;
use crate::commit::scratch::{self, SCRATCH, Scratch};
use crate::commit::{Done, Ended, Found, Request, below, marks};
use crate::sys::attributes::times;
use crate::sys::descent::{self, is_directory};
use anyhow::{Context, Result};
use batch::{Batch, Last};
use frame::{Frame, Next};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Stat, fstat, futimens, statat, syncfs};
use rustix::io::Errno;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

/// Most directories in one another: three descriptors are open for each.
const DEEPEST: usize = 100;
/// How often all is gone through where the kernel has passed over names of a directory that others were removed from.
const PASSES: u32 = 3;

pub(super) struct Engine<'a> {
    request: &'a Request<'a>,
    found: &'a Found,
    calls: &'a mut Calls,
    upper: Rc<OwnedFd>,
    lower: Rc<OwnedFd>,
    /// Of the upper and of the lower, as they were.
    tops: [Stat; 2],
    /// Both are directories of one file system.
    by_rename: bool,
    batch: Batch,
    scratch: Option<Scratch>,
    /// From the root to where this is.
    way: PathBuf,
    done: Done,
    /// A directory that should have been empty was not.
    again: bool,
}

impl<'a> Engine<'a> {
    pub(super) fn begin(request: &'a Request<'_>, found: &'a Found, calls: &'a mut Calls) -> Result<Self> {
        let open = |path: &Path| descent::open(CWD, path).with_context(|| format!("opening {}", path.display()));
        let (upper, lower) = (open(request.upper)?, open(request.lower)?);
        let tops = [fstat(&upper)?, fstat(&lower)?];
        let done = Done { entries: 0, bytes: 0, left: Vec::new(), left_count: 0, ended: Ended::Whole };
        Ok(Self {
            request,
            found,
            calls,
            by_rename: tops.iter().all(|top| top.st_dev == tops[0].st_dev),
            upper: Rc::new(upper),
            lower: Rc::new(lower),
            tops,
            batch: Batch::default(),
            scratch: None,
            way: PathBuf::new(),
            done,
            again: false,
        })
    }

    pub(super) fn run(mut self) -> Result<Done> {
        for _ in 0..PASSES {
            (self.done.left, self.done.left_count, self.again) = (Vec::new(), 0, false);
            self.way = PathBuf::new();
            self.done.ended = match self.pass() {
                Ok(ended) => ended,
                Err(error) => {
                    self.cut(&error)?;
                    let path = self.way.display();
                    Ended::Failed(format!("/{path}: {error:#}"))
                }
            };
            if !self.again || self.done.ended != Ended::Whole {
                break;
            }
        }
        if self.again {
            self.note(Path::new(""), "a directory that everything was moved from is not empty".to_owned());
        }
        self.finish()
    }

    /// Hands on the end by a test.
    fn cut(&self, error: &anyhow::Error) -> Result<()> {
        match weight(error) {
            Weight::Cut => Err(crate::commit::Cut.into()),
            Weight::Ends | Weight::OfThis => Ok(()),
        }
    }

    fn pass(&mut self) -> Result<Ended> {
        let take = self.request.choice.of_top();
        let mut frames = vec![Frame::new(Rc::clone(&self.upper), Rc::clone(&self.lower), take)?];
        while let Some(mut frame) = frames.pop() {
            if self.batch.is_full() {
                self.flush()?;
            }
            if self.request.until.is_some_and(|until| Instant::now() >= until) {
                frames.push(frame);
                for frame in &frames {
                    self.later(Last::Times(Rc::clone(&frame.upper), times(&frame.stat)))?;
                }
                self.flush()?;
                return Ok(Ended::Time);
            }
            let Some(entry) = frame.names.next() else {
                let stays = self.leave(&frame, frames.last())?;
                if let Some(outer) = frames.last_mut() {
                    outer.stays |= stays;
                }
                continue;
            };
            let entry = entry.context("reading a directory")?;
            let inner = self.name(&mut frame, entry.file_name(), frames.len())?;
            frames.push(frame);
            frames.extend(inner);
        }
        self.flush()?;
        Ok(Ended::Whole)
    }

    /// One name of a directory; what is gone into next, if anything is.
    fn name(&mut self, frame: &mut Frame, name: &CStr, depth: usize) -> Result<Option<Frame>> {
        if matches!(name.to_bytes(), b"." | b"..") {
            return Ok(None);
        }
        self.way.push(OsStr::from_bytes(name.to_bytes()));
        let stays = match self.entry(frame, name, depth) {
            Ok(Next::Into(inner)) => return Ok(Some(inner)),
            Ok(Next::Goes) => None,
            Ok(Next::Stays(why)) => Some(why),
            Err(error) => match weight(&error) {
                Weight::Cut | Weight::Ends => return Err(error),
                Weight::OfThis => Some(Some(format!("{error:#}"))),
            },
        };
        if let Some(why) = stays {
            frame.stays = true;
            let path = self.way.clone();
            why.into_iter().for_each(|why| self.note(&path, why));
        }
        self.way.pop();
        Ok(None)
    }

    fn entry(&mut self, frame: &Frame, name: &CStr, depth: usize) -> Result<Next> {
        let choice = self.request.choice;
        let take = choice.of(&self.way);
        if take == Take::No || self.way == Path::new(SCRATCH) {
            return Ok(Next::Stays(None));
        }
        let look = |at: &OwnedFd| match statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(None),
            other => other.map(Some),
        };
        let Some(stat) = look(&frame.upper)? else { return Ok(Next::Goes) };
        let below = look(&frame.lower)?;
        let stays = |why: &str| Ok(Next::Stays(Some(why.to_owned())));
        if stat.st_dev != self.tops[0].st_dev {
            return stays("is on another file system than the upper");
        }
        if below.as_ref().is_some_and(|below| below.st_dev != self.tops[1].st_dev) {
            return stays("is a subvolume or a file system of its own in the lower");
        }
        if marks::is_fixed(frame.upper.as_fd(), name)? {
            return stays("is immutable or append-only (chattr)");
        }
        if is_directory(&stat) {
            return match depth < DEEPEST {
                true => self.directory(frame, name, &stat, below.as_ref(), take),
                false => stays("is too many directories deep"),
            };
        }
        if take == Take::Through {
            // Nothing that was asked for is in the merged tree; below, it may be.
            let why = below.map(|_| "takes the place of what the lower has; commit it as a whole".to_owned());
            return Ok(Next::Stays(why));
        }
        if let Some(kept) = choice.kept_below(&self.way) {
            return Ok(Next::Stays(Some(format!("hides /{}, which stays", kept.display()))));
        }
        if marks::is_whiteout(&stat) {
            if let Some(below) = &below {
                below::remove(self.calls, &frame.lower, name, below)?;
            }
            self.later(Last::Unlink(Rc::clone(&frame.upper), name.to_owned()))?;
            return Ok(Next::Goes);
        }
        self.put(frame, name, &stat, below.as_ref())
    }

    /// Everything in a directory had its turn; true where the directory stays in the upper.
    fn leave(&mut self, frame: &Frame, outer: Option<&Frame>) -> Result<bool> {
        let mut stays = frame.stays || frame.take != Take::Yes || outer.is_none();
        if frame.take == Take::Yes {
            self.calls.next()?;
            if let Err(error) = marks::of_directory(&frame.upper, &frame.stat, &frame.lower) {
                match weight(&error) {
                    Weight::Cut | Weight::Ends => return Err(error),
                    Weight::OfThis => self.note(&self.way.clone(), format!("{error:#}")),
                }
                stays = true;
            }
        }
        let name = self.way.file_name().and_then(|name| CString::new(name.as_bytes()).ok());
        let last = match (outer, name) {
            (Some(outer), Some(name)) if !stays => Last::RemoveDirectory(Rc::clone(&outer.upper), name),
            (Some(_) | None, _) => Last::Times(Rc::clone(&frame.upper), times(&frame.stat)),
        };
        self.later(last)?;
        self.way.pop();
        Ok(stays)
    }

    /// Tidies up, and makes all of it durable.
    fn finish(mut self) -> Result<Done> {
        if let Err(error) = self.flush() {
            self.cut(&error)?;
        }
        // A later run may need second names of files, also where this one did not come so far.
        let removed = match self.done.ended {
            Ended::Whole => scratch::remove(self.calls, &self.upper, &self.lower),
            Ended::Time | Ended::Failed(_) => Ok(()),
        };
        if let Err(error) = removed {
            self.cut(&error)?;
            self.done.ended = Ended::Failed(format!("{error:#}"));
        }
        // The names that came and went in both tops have changed them.
        let whole = self.done.ended == Ended::Whole && self.request.choice.of_top() == Take::Yes;
        let [upper, lower] = [&self.tops[0], if whole { &self.tops[0] } else { &self.tops[1] }];
        let _ = (futimens(&self.upper, &times(upper)), futimens(&self.lower, &times(lower)));
        self.calls.next()?;
        syncfs(&self.lower).context("syncing the lower")?;
        syncfs(&self.upper).context("syncing the upper")?;
        Ok(self.done)
    }
}
