// SPDX-License-Identifier: GPL-2.0-or-later
//! One name: what it is now, what it was, and what that makes of it.

use super::frame::Frame;
use super::{Change, Walk};
use crate::content::{At, target};
use crate::judge::{Content, Kind, What, judge};
use crate::layers::{Dir, Found, Leaf, open_directory};
use crate::names::Entry;
use crate::stat::{Answer, Stat, Type};
use crate::xattr::{Marks, Of};
use rustix::io::Errno;
use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

/// What a name is now.
enum Now {
    Nothing,
    /// Not a directory, in the upper; not looked at where that was not needed.
    Upper(Option<Stat>),
    /// A directory of the upper.
    UpperDir(Dir, Stat, Marks),
    /// Only a lower has it, and shows it here.
    Lower(Found),
}

impl Now {
    fn stat(&self) -> Option<Stat> {
        match self {
            Self::Upper(stat) => *stat,
            Self::UpperDir(_, stat, _) | Self::Lower(Found::Dirs(_, stat)) => Some(*stat),
            Self::Lower(Found::Leaf(leaf)) => Some(leaf.stat),
            Self::Nothing | Self::Lower(_) => None,
        }
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing | Self::Lower(Found::Nothing))
    }
}

impl Found {
    fn stat(&self) -> Option<Stat> {
        match self {
            Self::Nothing => None,
            Self::Leaf(leaf) => Some(leaf.stat),
            Self::Dirs(_, stat) => Some(*stat),
        }
    }

    fn dirs(self) -> Vec<Dir> {
        match self {
            Self::Dirs(dirs, _) => dirs,
            Self::Nothing | Self::Leaf(_) => Vec::new(),
        }
    }
}

/// What is yielded of a name.
#[derive(Clone, Copy)]
struct Verdict {
    kind: Kind,
    what: What,
}

impl Walk<'_> {
    /// Yields what became of a name, and gives back the directory to walk next. `through`: it is only on the way.
    /// `known`: its inode in the first of the lowers, where the thread has it.
    pub fn entry(
        &mut self,
        frame: &Frame,
        entry: Entry<'_>,
        through: bool,
        known: Option<Answer>,
    ) -> io::Result<Option<Frame>> {
        if self.options.hidden.contains(&self.path) {
            return Ok(None);
        }
        let name = entry.name;
        let was = match frame.was.is_empty() {
            true => Found::Nothing,
            false => self.layers.find_known(&frame.was, None, name.to_bytes(), known, &mut self.xattrs)?,
        };
        let now = match entry.upper {
            true => self.upper(frame, entry, !matches!(was, Found::Nothing))?,
            false => Some(Now::Lower(self.layers.find(frame.now(), None, name.to_bytes(), &mut self.xattrs)?)),
        };
        // gone since its name was read
        let Some(now) = now else { return Ok(None) };
        let redirect = match &now {
            Now::UpperDir(_, _, Marks { redirect: Some(to), opaque: false, .. }) => self.redirect(frame, to)?,
            Now::Nothing | Now::Upper(_) | Now::UpperDir(..) | Now::Lower(_) => None,
        };
        let renamed = redirect.is_some() && !self.options.expand;
        let verdict = match (now.is_nothing(), was.stat()) {
            (true, None) => return Ok(None),
            (true, Some(_)) => Verdict { kind: Kind::Removed, what: What::default() },
            (false, _) if renamed => Verdict { kind: Kind::Renamed, what: What::default() },
            (false, None) => Verdict { kind: Kind::Added, what: What::default() },
            (false, Some(before)) => self.compare(frame, name, &now, &was, &before)?,
        };
        if !through && (verdict.kind != Kind::Same || self.options.same) {
            let from = redirect.as_ref().filter(|_| renamed).map(|(from, _)| from.as_slice());
            self.yielded(frame, entry, &now, &was, verdict, from);
        }
        self.child(frame, name, now, was, redirect, through)
    }

    /// What the upper has. A file of which the name is enough is not looked at.
    fn upper(&mut self, frame: &Frame, entry: Entry<'_>, compared: bool) -> io::Result<Option<Now>> {
        let Some(upper) = &frame.upper else { return Ok(Some(Now::Nothing)) };
        let named = match entry.kind {
            Type::File => !upper.xwhiteouts(),
            Type::Symlink | Type::Block | Type::Fifo | Type::Socket => true,
            Type::Directory | Type::Char | Type::Unknown => false,
        };
        if named && !compared && !self.options.stat {
            return Ok(Some(Now::Upper(None)));
        }
        let gone = |error: Errno| if error == Errno::NOENT { Ok(None) } else { Err(error.into()) };
        let stat = match entry.kind {
            // what is opened anyway need not be found twice
            Type::Directory => None,
            Type::File | Type::Symlink | Type::Block | Type::Char | Type::Fifo | Type::Socket | Type::Unknown => {
                match Stat::at(upper.fd(), entry.name) {
                    Ok(stat) => Some(stat),
                    Err(error) => return gone(error),
                }
            }
        };
        match stat {
            Some(stat) if upper.is_whiteout(entry.name, &stat, &mut self.xattrs)? => Ok(Some(Now::Nothing)),
            Some(stat) if stat.kind != Type::Directory => Ok(Some(Now::Upper(Some(stat)))),
            _ => {
                let fd = match open_directory(upper.fd(), entry.name) {
                    Ok(fd) => fd,
                    Err(error) => return gone(error),
                };
                let stat = Stat::of(fd.as_fd())?;
                let marks = self.xattrs.marks(fd.as_fd())?;
                Ok(Some(Now::UpperDir(Dir::new(fd, usize::MAX, marks.xwhiteouts), stat, marks)))
            }
        }
    }

    /// Where a redirect leads: the path that the lowers have, and the directories; nothing where they have none.
    fn redirect(&mut self, frame: &Frame, to: &[u8]) -> io::Result<Option<(Vec<u8>, Vec<Dir>)>> {
        let found = self.layers.find(frame.now(), None, to, &mut self.xattrs)?;
        let path = match to.first() {
            Some(b'/') => to.to_vec(),
            _ => {
                let parent = self.path.rsplitn(2, |byte| *byte == b'/').nth(1).unwrap_or_default();
                [frame.origin.as_deref().unwrap_or(parent), b"/", to].concat()
            }
        };
        Ok(Some(found.dirs()).filter(|dirs| !dirs.is_empty()).map(|dirs| (path, dirs)))
    }

    /// Of what is there before and after.
    fn compare(&mut self, frame: &Frame, name: &CStr, now: &Now, was: &Found, before: &Stat) -> io::Result<Verdict> {
        let Some(after) = now.stat() else { return Ok(Verdict { kind: Kind::Added, what: What::default() }) };
        if after.kind != before.kind {
            return Ok(Verdict { kind: Kind::TypeChanged, what: What::default() });
        }
        let (mut what, content) = judge(&after, before, self.options.times);
        if let (Content::Read, Found::Leaf(leaf)) = (content, was) {
            what.content = !self.same_content(frame, name, now, leaf)?;
        }
        if !what.content || self.options.detail {
            what.xattrs = match (of(frame, name, now), of_found(was)) {
                (Some(now), Some(was)) => !self.xattrs.same(now, was)?,
                _ => false,
            };
        }
        Ok(Verdict { kind: what.kind(), what })
    }

    /// Reads both: bytes or targets.
    fn same_content(&mut self, frame: &Frame, name: &CStr, now: &Now, was: &Leaf) -> io::Result<bool> {
        let Some(at) = now_at(frame, name, now) else { return Ok(true) };
        if was.stat.kind == Type::Symlink {
            return Ok(target(at.dir.fd(), at.name)? == target(was.dir.fd(), &was.name)?);
        }
        let now = self.layers.data(at, &mut self.xattrs)?;
        let was = self.layers.data(At { dir: &was.dir, name: &was.name, below: &frame.was }, &mut self.xattrs)?;
        self.buffers.same(now, was)
    }

    fn yielded(
        &mut self,
        frame: &Frame,
        entry: Entry<'_>,
        now: &Now,
        was: &Found,
        verdict: Verdict,
        from: Option<&[u8]>,
    ) {
        let (after, before) = (now.stat(), was.stat());
        let is = match verdict.kind {
            Kind::Removed => before.map_or(Type::Unknown, |stat| stat.kind),
            Kind::Added | Kind::Modified | Kind::Metadata | Kind::TypeChanged | Kind::Renamed | Kind::Same => {
                after.map_or(entry.kind, |stat| stat.kind)
            }
        };
        let linked = after.filter(|stat| stat.nlink > 1 && stat.kind != Type::Directory);
        let change = Change {
            path: &self.path,
            kind: verdict.kind,
            what: verdict.what,
            is,
            now: after,
            was: before,
            from,
            again: linked.is_some_and(|stat| !self.links.insert(stat.id())),
            layers: self.layers,
            now_at: now_at(frame, entry.name, now),
            was_at: match was {
                Found::Leaf(leaf) => Some(At { dir: &leaf.dir, name: &leaf.name, below: &frame.was }),
                Found::Nothing | Found::Dirs(..) => None,
            },
        };
        self.stop |= self.visitor.change(&change).is_break();
    }

    /// The directory below a name, where there is anything to find.
    fn child(
        &mut self,
        frame: &Frame,
        name: &CStr,
        now: Now,
        was: Found,
        redirect: Option<(Vec<u8>, Vec<Dir>)>,
        through: bool,
    ) -> io::Result<Option<Frame>> {
        let was = was.dirs();
        Ok(match (now, redirect) {
            (Now::UpperDir(upper, ..), Some((origin, from))) if self.options.expand => {
                Some(Frame { upper: Some(upper), from, was, origin: Some(origin), ..Frame::default() })
            }
            // compared with what it was under its old name
            (Now::UpperDir(upper, ..), Some((origin, from))) => {
                Some(Frame { origin: Some(origin), ..Frame::merged(upper, from) })
            }
            (Now::UpperDir(upper, _, marks), None) => {
                let origin = frame.origin.as_ref().map(|parent| [parent, &b"/"[..], name.to_bytes()].concat());
                let merges = !marks.opaque && marks.redirect.is_none();
                let from = match merges && !frame.same {
                    true => self.layers.find(&frame.from, None, name.to_bytes(), &mut self.xattrs)?.dirs(),
                    false => Vec::new(),
                };
                let same = (merges && frame.same) || (was.is_empty() && from.is_empty());
                Some(Frame { upper: Some(upper), from, was, same, origin, ..Frame::default() })
            }
            (Now::Lower(Found::Dirs(from, _)), _) => Some(Frame { from, was, ..Frame::default() }),
            _ if (self.options.expand || through) && !was.is_empty() => Some(Frame::removed(was)),
            _ => None,
        })
    }
}

/// Where what is now is.
fn now_at<'a>(frame: &'a Frame, name: &'a CStr, now: &'a Now) -> Option<At<'a>> {
    match now {
        Now::Upper(_) => frame.upper.as_ref().map(|dir| At { dir, name, below: frame.now() }),
        Now::Lower(Found::Leaf(leaf)) => Some(At { dir: &leaf.dir, name: &leaf.name, below: frame.now() }),
        Now::Nothing | Now::UpperDir(..) | Now::Lower(_) => None,
    }
}

/// Where the attributes of what is now are.
fn of<'a>(frame: &'a Frame, name: &'a CStr, now: &'a Now) -> Option<Of<'a>> {
    match now {
        Now::Upper(_) => frame.upper.as_ref().map(|dir| Of::Named(dir.fd(), name)),
        Now::UpperDir(dir, ..) => Some(Of::Open(dir.fd())),
        Now::Lower(found) => of_found(found),
        Now::Nothing => None,
    }
}

fn of_found(found: &Found) -> Option<Of<'_>> {
    match found {
        Found::Nothing => None,
        Found::Leaf(leaf) => Some(Of::Named(leaf.dir.fd(), &leaf.name)),
        Found::Dirs(dirs, _) => dirs.first().map(|dir| Of::Open(dir.fd())),
    }
}
