// SPDX-License-Identifier: GPL-2.0-or-later
//! In which order names are looked at, and told. A directory is looked at when the one before it is about to be walked,
//! so that the other thread has its names to ask for while this one is told.

use super::Walk;
use super::entry::Looked;
use super::frame::Frame;
use crate::stat::Type;
use std::io;

/// Each that is looked at early is as many files open: a deep tree needs them for itself.
const DEPTH: usize = 64;

/// A directory that is being walked, and what comes next in it.
struct Level {
    frame: Frame,
    early: Option<Early>,
    /// The names up to this one are no directory that could be looked at early.
    sought: usize,
}

/// A name that was looked at, and the directory in it.
struct Early {
    number: usize,
    looked: Looked,
    child: Frame,
}

impl Level {
    fn new(frame: Frame) -> Self {
        Self { frame, early: None, sought: 0 }
    }

    /// The next directory of the upper behind a name.
    fn directory_after(&mut self, number: usize) -> Option<usize> {
        let names = &self.frame.names;
        let is = |number: &usize| names.get(*number).is_some_and(|entry| entry.upper && entry.kind == Type::Directory);
        let found = (self.sought.max(number + 1)..names.len()).find(is);
        self.sought = found.unwrap_or(names.len());
        found
    }
}

impl Walk<'_> {
    /// Yields what is at a path, and everything below.
    pub fn run(mut self, path: &[u8]) -> io::Result<()> {
        let Some(first) = self.start(path)? else { return Ok(()) };
        let mut open = vec![Level::new(first)];
        while let Some(level) = open.last_mut() {
            let Some(number) = level.frame.advance().filter(|_| !self.stop) else {
                open.pop();
                continue;
            };
            match self.turn(level, number) {
                Ok(None) => {}
                Ok(Some(child)) => {
                    if open.len() < DEPTH && self.ahead.runs() {
                        self.look_early(open.last_mut(), number);
                    }
                    open.push(Level::new(child));
                }
                Err(error) => self.visitor.problem(&self.path, error),
            }
        }
        Ok(())
    }

    /// A name whose turn it is: looks at it, tells of it, and gives back the directory to walk next.
    fn turn(&mut self, level: &mut Level, number: usize) -> io::Result<Option<Frame>> {
        level.frame.ask_from(number, self.options, &mut self.ahead);
        let early = level.early.take_if(|early| early.number == number);
        let frame = &level.frame;
        let Some(entry) = frame.names.get(number) else { return Ok(None) };
        self.go_to(frame, number);
        if let Some(Early { looked, child, .. }) = early {
            self.tell(frame, entry, &looked);
            return Ok(Some(child));
        }
        let [window, _] = &frame.windows;
        let asked = window.as_ref().and_then(|window| window.come_to(number, &mut self.xattrs));
        let Some(looked) = self.look(frame, entry, asked)? else { return Ok(None) };
        self.tell(frame, entry, &looked);
        let child = self.child(frame, entry.name, &looked, false)?;
        child.map(|child| self.ready(child)).transpose()
    }

    /// The next directory behind a name. What fails is looked at again when its turn comes, and told then.
    fn look_early(&mut self, level: Option<&mut Level>, number: usize) {
        let Some(level) = level.filter(|level| level.early.is_none() && !self.stop) else { return };
        let Some(next) = level.directory_after(number) else { return };
        self.go_to(&level.frame, next);
        level.early = self.early(&level.frame, next).ok().flatten();
        self.go_to(&level.frame, number);
    }

    fn early(&mut self, frame: &Frame, number: usize) -> io::Result<Option<Early>> {
        let Some(entry) = frame.names.get(number) else { return Ok(None) };
        let asked = frame.windows.iter().flatten().find_map(|window| window.peek(number));
        let Some(looked) = self.look(frame, entry, asked)? else { return Ok(None) };
        let Some(child) = self.child(frame, entry.name, &looked, false)? else { return Ok(None) };
        let child = self.ready(child)?;
        Ok(Some(Early { number, looked, child }))
    }

    /// Makes the path that of a name.
    fn go_to(&mut self, frame: &Frame, number: usize) {
        self.path.truncate(frame.path_len);
        if let Some(entry) = frame.names.get(number) {
            self.path.push(b'/');
            self.path.extend_from_slice(entry.name.to_bytes());
        }
    }
}
