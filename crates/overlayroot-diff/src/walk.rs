// SPDX-License-Identifier: GPL-2.0-or-later
//! The walk: directory by directory, names sorted, in memory for the directories that are open.

mod entry;
mod frame;
mod now;
mod order;

use crate::ahead::Ahead;
use crate::content::At;
use crate::judge::{Kind, What};
use crate::layers::{Found, Layers, terminated};
use crate::names::{BUFFER, Names};
use crate::stat::{Stat, Type};
use crate::way::Way;
use crate::xattr::{Of, Xattrs};
use frame::Frame;
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::ScopedJoinHandle;

/// What is asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Fill in [`Change::now`] and [`Change::was`] of every change. Without it a new file is not looked at, only named.
    pub stat: bool,
    /// Tell of changed content also whether attributes differ.
    pub detail: bool,
    /// Also yield what was copied up and is the same.
    pub same: bool,
    /// A time of the last change that differs is a change. Directories' times are not compared.
    pub times: bool,
    /// Yield also what is in removed and in renamed directories, as removed and added.
    pub expand: bool,
    /// Paths that are passed over, such as where the upper itself lies in the root.
    pub hidden: Vec<Vec<u8>>,
}

/// One path that changed.
pub struct Change<'a> {
    /// From the top, with a slash in front. Bytes.
    pub path: &'a [u8],
    /// What became of it.
    pub kind: Kind,
    /// What of it differs, where it is there before and after.
    pub what: What,
    /// Its type; of a removed path, the one it had.
    pub is: Type,
    /// What it is now, where there is anything, and where it was looked at.
    pub now: Option<Stat>,
    /// What it was.
    pub was: Option<Stat>,
    /// Where a renamed directory was, as the layers have it.
    pub from: Option<&'a [u8]>,
    /// The inode was yielded before under another name: its size counts once.
    pub again: bool,
    pub(crate) layers: &'a Layers,
    pub(crate) now_at: Option<At<'a>>,
    pub(crate) was_at: Option<At<'a>>,
}

impl Change<'_> {
    /// Opens the content it has now; none where it is no regular file.
    ///
    /// # Errors
    /// Those of opening; ESTALE where a lower has lost the data that the upper counts on.
    pub fn open_now(&self) -> io::Result<Option<File>> {
        self.open(self.now_at, self.now.map_or(self.is, |stat| stat.kind))
    }

    /// Opens the content it had.
    ///
    /// # Errors
    /// As [`Change::open_now`].
    pub fn open_was(&self) -> io::Result<Option<File>> {
        self.open(self.was_at, self.was.map_or(Type::Unknown, |stat| stat.kind))
    }

    fn open(&self, at: Option<At<'_>>, kind: Type) -> io::Result<Option<File>> {
        match at {
            Some(at) if kind == Type::File => Ok(Some(self.layers.data(at, &mut Xattrs::new(self.layers.user))?)),
            _ => Ok(None),
        }
    }
}

/// Takes what is found.
pub trait Visitor {
    /// A change. `Break` ends the walk.
    fn change(&mut self, change: &Change<'_>) -> ControlFlow<()>;
    /// What could not be read; the walk goes on.
    fn problem(&mut self, path: &[u8], error: io::Error);
}

/// What the walk has besides the directories that are open.
pub(crate) struct Walk<'a> {
    layers: &'a Layers,
    options: &'a Options,
    visitor: &'a mut dyn Visitor,
    xattrs: Xattrs,
    buffers: crate::content::Buffers,
    room: Vec<MaybeUninit<u8>>,
    path: Vec<u8>,
    links: HashSet<((u32, u32), u64)>,
    ahead: Ahead,
    stop: bool,
}

/// Yields every change at or below `path`, each directory's entries sorted by bytes, a directory before what is in it.
/// What vanishes meanwhile is passed over. The visitor is called from another thread, whose current directory is any.
///
/// # Errors
/// `NotFound` where neither the upper nor a lower has `path`; those of looking at the directories on the way to it.
/// What can't be looked at later goes to [`Visitor::problem`].
pub fn walk(layers: &Layers, path: &[u8], options: &Options, visitor: &mut (dyn Visitor + Send)) -> io::Result<()> {
    let there = &mut *visitor;
    let walked = std::thread::scope(move |scope| {
        let thread = std::thread::Builder::new().name("walk".to_owned());
        let run = move || Walk::new(layers, options, there, Way::own()).run(path);
        thread.spawn_scoped(scope, run).ok().map(ScopedJoinHandle::join)
    });
    match walked {
        Some(Ok(done)) => done,
        Some(Err(panic)) => std::panic::resume_unwind(panic),
        // more slowly where there may be no other thread
        None => Walk::new(layers, options, visitor, Way::by_proc()).run(path),
    }
}

impl<'a> Walk<'a> {
    fn new(layers: &'a Layers, options: &'a Options, visitor: &'a mut dyn Visitor, way: Way) -> Self {
        Self {
            layers,
            options,
            visitor,
            xattrs: Xattrs::by(way, layers.user),
            buffers: crate::content::Buffers::default(),
            room: vec![MaybeUninit::uninit(); BUFFER],
            path: Vec::new(),
            links: HashSet::new(),
            ahead: Ahead::NotYet(layers.user),
            stop: false,
        }
    }
}

impl Walk<'_> {
    /// Goes down to `path`, yields what became of it, and gives back the directory to go on in.
    fn start(&mut self, path: &[u8]) -> io::Result<Option<Frame>> {
        let lowers = self.layers.lowers.clone();
        let mut frame = Frame::merged(self.layers.upper.clone(), lowers);
        let mut names = path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).peekable();
        if names.peek().is_none() {
            self.top()?;
        }
        while let Some(name) = names.next() {
            let mut room = [0; 256];
            let name = terminated(name, &mut room)?;
            self.path.push(b'/');
            self.path.extend_from_slice(name.to_bytes());
            let Some(entry) = self.named(&frame, name)? else { return Ok(None) };
            let Some(looked) = self.look(&frame, entry, None)? else { return Ok(None) };
            let through = names.peek().is_some();
            if !through {
                self.tell(&frame, entry, &looked);
            }
            match self.child(&frame, name, &looked, through)? {
                Some(child) => frame = child,
                None if names.peek().is_none() => return Ok(None),
                None => return Err(Errno::NOENT.into()),
            }
        }
        self.ready(frame).map(Some)
    }

    /// A name on the way to the path asked for; none where the upper leaves it as it is.
    fn named<'n>(&mut self, frame: &Frame, name: &'n std::ffi::CStr) -> io::Result<Option<crate::names::Entry<'n>>> {
        let stat = match frame.upper.as_ref().map(|upper| Stat::at(upper.fd(), name)) {
            None | Some(Err(Errno::NOENT)) => None,
            Some(stat) => Some(stat?),
        };
        if stat.is_none() {
            let find = |dirs, xattrs: &mut Xattrs| self.layers.find(dirs, None, name.to_bytes(), xattrs);
            let was = find(&frame.was, &mut self.xattrs)?;
            if matches!(was, Found::Nothing) && matches!(find(frame.now(), &mut self.xattrs)?, Found::Nothing) {
                return Err(Errno::NOENT.into());
            }
            if frame.same {
                return Ok(None);
            }
        }
        let kind = stat.map_or(Type::Unknown, |stat| stat.kind);
        Ok(Some(crate::names::Entry { name, kind, upper: stat.is_some() }))
    }

    /// The root directory itself.
    fn top(&mut self) -> io::Result<()> {
        let Some(lower) = self.layers.lowers.first() else { return Ok(()) };
        let (now, was) = (Stat::of(self.layers.upper.fd())?, Stat::of(lower.fd())?);
        let (mut what, _) = crate::judge::judge(&now, &was, self.options.times);
        what.xattrs = !self.xattrs.same(Of::Open(self.layers.upper.fd()), Of::Open(lower.fd()))?;
        if what.kind() == Kind::Metadata {
            let change = Change {
                path: b"/",
                kind: Kind::Metadata,
                what,
                is: Type::Directory,
                now: Some(now),
                was: Some(was),
                from: None,
                again: false,
                layers: self.layers,
                now_at: None,
                was_at: None,
            };
            self.stop |= self.visitor.change(&change).is_break();
        }
        Ok(())
    }

    /// Reads the names of a directory that is to be walked.
    fn ready(&mut self, mut frame: Frame) -> io::Result<Frame> {
        frame.path_len = self.path.len();
        let mut names = Names::default();
        if let Some(upper) = &frame.upper {
            names.read(upper.fd(), true, &mut self.room)?;
        }
        if !frame.same {
            for dir in frame.was.iter().chain(&frame.from) {
                names.read(dir.fd(), false, &mut self.room)?;
            }
        }
        names.sort();
        frame.names = Arc::new(names);
        frame.ask_from(0, self.options, &mut self.ahead);
        Ok(frame)
    }
}

#[cfg(test)]
mod tests;
