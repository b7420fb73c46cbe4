// SPDX-License-Identifier: GPL-2.0-or-later
//! One name: what it is now, what it was, and what that makes of it.

use super::frame::Frame;
use super::now::{Now, attributes, now_at, of, of_found, was_at};
use super::{Change, Walk};
use crate::ask::{Asked, Attributes, is_clear};
use crate::content::{At, open, target};
use crate::judge::{Content, Kind, What, judge};
use crate::layers::{Dir, Found, open_directory};
use crate::names::Entry;
use crate::stat::{Stat, Type};
use crate::xattr::Marks;
use rustix::io::Errno;
use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

/// What is yielded of a name.
#[derive(Clone, Copy)]
struct Verdict {
    kind: Kind,
    what: What,
}

/// A name that was looked at, and not yielded yet.
pub(crate) struct Looked {
    now: Now,
    was: Found,
    /// Where the lowers have it, and what they have there.
    redirect: Option<(Vec<u8>, Vec<Dir>)>,
    verdict: Verdict,
}

impl Walk<'_> {
    /// Looks at a name. `asked`: what is known of it, and of the first of the lowers, already.
    pub fn look(&mut self, frame: &Frame, entry: Entry<'_>, asked: Option<&Asked>) -> io::Result<Option<Looked>> {
        if self.options.hidden.contains(&self.path) {
            return Ok(None);
        }
        let name = entry.name;
        let was = match frame.was.is_empty() {
            true => Found::Nothing,
            false => {
                let known = asked.and_then(|asked| asked.lower);
                self.layers.find_known(&frame.was, None, name.to_bytes(), known, &mut self.xattrs)?
            }
        };
        let now = match entry.upper {
            true => self.upper(frame, entry, !matches!(was, Found::Nothing), asked)?,
            false => Some(Now::Lower(self.layers.find(frame.now(), None, name.to_bytes(), &mut self.xattrs)?)),
        };
        // gone since its name was read
        let Some(now) = now else { return Ok(None) };
        let redirect = match &now {
            Now::UpperDir(_, _, Marks { redirect: Some(to), opaque: false, .. }) => self.redirect(frame, to)?,
            Now::Nothing | Now::Upper(_) | Now::UpperDir(..) | Now::Lower(_) => None,
        };
        let verdict = match (now.is_nothing(), was.stat()) {
            (true, None) => return Ok(None),
            (true, Some(_)) => Verdict { kind: Kind::Removed, what: What::default() },
            (false, _) if redirect.is_some() && !self.options.expand => {
                Verdict { kind: Kind::Renamed, what: What::default() }
            }
            (false, None) => Verdict { kind: Kind::Added, what: What::default() },
            (false, Some(before)) => {
                let attributes = attributes(&now, &was, asked);
                self.compare(frame, name, &now, &was, &before, attributes)?
            }
        };
        Ok(Some(Looked { now, was, redirect, verdict }))
    }

    /// Yields what became of a name.
    pub fn tell(&mut self, frame: &Frame, entry: Entry<'_>, looked: &Looked) {
        let Looked { now, was, redirect, verdict } = looked;
        if verdict.kind == Kind::Same && !self.options.same {
            return;
        }
        let (after, before) = (now.stat(), was.stat());
        let is = match verdict.kind {
            Kind::Removed => before.map_or(Type::Unknown, |stat| stat.kind),
            Kind::Added | Kind::Modified | Kind::Metadata | Kind::TypeChanged | Kind::Renamed | Kind::Same => {
                after.map_or(entry.kind, |stat| stat.kind)
            }
        };
        let linked = after.filter(|stat| stat.nlink > 1 && stat.kind != Type::Directory);
        let from = redirect.as_ref().filter(|_| verdict.kind == Kind::Renamed).map(|(from, _)| from.as_slice());
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
            was_at: was_at(frame, was),
        };
        self.stop |= self.visitor.change(&change).is_break();
    }

    /// What the upper has. A file of which the name is enough is not looked at.
    fn upper(
        &mut self,
        frame: &Frame,
        entry: Entry<'_>,
        compared: bool,
        asked: Option<&Asked>,
    ) -> io::Result<Option<Now>> {
        let Some(upper) = &frame.upper else { return Ok(Some(Now::Nothing)) };
        if !compared && !self.options.stat && is_clear(upper, entry.kind) {
            return Ok(Some(Now::Upper(None)));
        }
        let gone = |error: Errno| if error == Errno::NOENT { Ok(None) } else { Err(error.into()) };
        let stat = match entry.kind {
            // what is opened anyway need not be found twice
            Type::Directory => None,
            Type::File | Type::Symlink | Type::Block | Type::Char | Type::Fifo | Type::Socket | Type::Unknown => {
                let known = asked.and_then(|asked| asked.upper);
                match known.unwrap_or_else(|| Stat::at(upper.fd(), entry.name)) {
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
        Ok(Some(found.dirs().to_vec()).filter(|dirs| !dirs.is_empty()).map(|dirs| (path, dirs)))
    }

    /// Of what is there before and after.
    fn compare(
        &mut self,
        frame: &Frame,
        name: &CStr,
        now: &Now,
        was: &Found,
        before: &Stat,
        attributes: Option<Attributes>,
    ) -> io::Result<Verdict> {
        let Some(after) = now.stat() else { return Ok(Verdict { kind: Kind::Added, what: What::default() }) };
        if after.kind != before.kind {
            return Ok(Verdict { kind: Kind::TypeChanged, what: What::default() });
        }
        let (mut what, content) = judge(&after, before, self.options.times);
        let places = (now_at(frame, name, now), was_at(frame, was));
        if let (Content::Read, (Some(now), Some(was))) = (content, places) {
            let plain = attributes.is_some_and(|attributes| attributes.plain);
            what.content = !self.same_content(now, was, after.kind, plain)?;
        }
        if !what.content || self.options.detail {
            what.xattrs = match (attributes, of(frame, name, now), of_found(was)) {
                (Some(attributes), ..) => !attributes.same,
                (None, Some(now), Some(was)) => !self.xattrs.same(now, was)?,
                (None, ..) => false,
            };
        }
        Ok(Verdict { kind: what.kind(), what })
    }

    /// Reads both: bytes or targets. `plain`: overlayfs has noted nothing on either.
    fn same_content(&mut self, now: At<'_>, was: At<'_>, kind: Type, plain: bool) -> io::Result<bool> {
        if kind == Type::Symlink {
            return Ok(target(now.dir.fd(), now.name)? == target(was.dir.fd(), was.name)?);
        }
        let (now, was) = match plain {
            true => (open(now.dir.fd(), now.name)?, open(was.dir.fd(), was.name)?),
            false => (self.layers.data(now, &mut self.xattrs)?, self.layers.data(was, &mut self.xattrs)?),
        };
        self.buffers.same(now, was)
    }

    /// The directory below a name, where there is anything to find.
    pub fn child(&mut self, frame: &Frame, name: &CStr, looked: &Looked, through: bool) -> io::Result<Option<Frame>> {
        let was = looked.was.dirs().to_vec();
        Ok(match (&looked.now, &looked.redirect) {
            (Now::UpperDir(upper, ..), Some((origin, from))) if self.options.expand => Some(Frame {
                upper: Some(upper.clone()),
                from: from.clone(),
                was,
                origin: Some(origin.clone()),
                ..Frame::default()
            }),
            // compared with what it was under its old name
            (Now::UpperDir(upper, ..), Some((origin, from))) => {
                Some(Frame { origin: Some(origin.clone()), ..Frame::merged(upper.clone(), from.clone()) })
            }
            (Now::UpperDir(upper, _, marks), None) => {
                let origin = frame.origin.as_ref().map(|parent| [parent, &b"/"[..], name.to_bytes()].concat());
                let merges = !marks.opaque && marks.redirect.is_none();
                let from = match merges && !frame.same {
                    true => self.layers.find(&frame.from, None, name.to_bytes(), &mut self.xattrs)?.dirs().to_vec(),
                    false => Vec::new(),
                };
                let same = (merges && frame.same) || (was.is_empty() && from.is_empty());
                Some(Frame { upper: Some(upper.clone()), from, was, same, origin, ..Frame::default() })
            }
            (Now::Lower(Found::Dirs(from, _)), _) => Some(Frame { from: from.clone(), was, ..Frame::default() }),
            _ if (self.options.expand || through) && !was.is_empty() => Some(Frame::removed(was)),
            _ => None,
        })
    }
}
