// SPDX-License-Identifier: GPL-2.0-or-later
//! The walk: directory by directory, names sorted, in memory for the directories that are open.

mod entry;
mod frame;

use crate::ahead::{Ahead, begins};
use crate::content::At;
use crate::judge::{Kind, What};
use crate::layers::{Found, Layers, terminated};
use crate::names::BUFFER;
use crate::stat::{Stat, Type};
use crate::xattr::{Of, Xattrs};
use frame::Frame;
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;

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
/// What vanishes meanwhile is passed over.
///
/// # Errors
/// `NotFound` where neither the upper nor a lower has `path`; those of looking at the directories on the way to it.
/// What can't be looked at later goes to [`Visitor::problem`].
pub fn walk(layers: &Layers, path: &[u8], options: &Options, visitor: &mut dyn Visitor) -> io::Result<()> {
    let mut walk = Walk {
        layers,
        options,
        visitor,
        xattrs: Xattrs::new(layers.user),
        buffers: crate::content::Buffers::default(),
        room: vec![MaybeUninit::uninit(); BUFFER],
        path: Vec::new(),
        links: HashSet::new(),
        ahead: Ahead::NotYet,
        stop: false,
    };
    let Some(first) = walk.start(path)? else { return Ok(()) };
    let mut open = vec![first];
    while let Some(frame) = open.last_mut() {
        let Some(number) = frame.names.advance().filter(|_| !walk.stop) else {
            open.pop();
            continue;
        };
        walk.path.truncate(frame.path_len);
        if begins(number) {
            frame.window = walk.ahead.window(&frame.was, &frame.names, number);
        }
        let known = frame.window.as_ref().and_then(|window| window.answer(number));
        let Some(entry) = frame.names.get(number) else { continue };
        walk.path.push(b'/');
        walk.path.extend_from_slice(entry.name.to_bytes());
        match walk.entry(frame, entry, false, known).and_then(|child| child.map(|child| walk.ready(child)).transpose())
        {
            Ok(child) => open.extend(child),
            Err(error) => walk.visitor.problem(&walk.path, error),
        }
        if walk.stop {
            break;
        }
    }
    Ok(())
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
            match self.entry(&frame, entry, names.peek().is_some(), None)? {
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
        if let Some(upper) = &frame.upper {
            frame.names.read(upper.fd(), true, &mut self.room)?;
        }
        if !frame.same {
            for dir in frame.was.iter().chain(&frame.from) {
                frame.names.read(dir.fd(), false, &mut self.room)?;
            }
        }
        frame.names.sort();
        Ok(frame)
    }
}

#[cfg(test)]
mod tests;
