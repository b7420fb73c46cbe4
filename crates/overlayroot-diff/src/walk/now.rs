// SPDX-License-Identifier: GPL-2.0-or-later
//! What a name is now and was, and where that is.

use super::frame::Frame;
use crate::ask::{Asked, Attributes};
use crate::content::At;
use crate::layers::{Dir, Found};
use crate::stat::Stat;
use crate::xattr::{Marks, Of};
use std::ffi::CStr;

/// What a name is now.
pub(crate) enum Now {
    Nothing,
    /// Not a directory, in the upper; not looked at where that was not needed.
    Upper(Option<Stat>),
    /// A directory of the upper.
    UpperDir(Dir, Stat, Marks),
    /// Only a lower has it, and shows it here.
    Lower(Found),
}

impl Now {
    pub fn stat(&self) -> Option<Stat> {
        match self {
            Self::Upper(stat) => *stat,
            Self::UpperDir(_, stat, _) | Self::Lower(Found::Dirs(_, stat)) => Some(*stat),
            Self::Lower(Found::Leaf(leaf)) => Some(leaf.stat),
            Self::Nothing | Self::Lower(_) => None,
        }
    }

    pub fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing | Self::Lower(Found::Nothing))
    }
}

impl Found {
    pub(crate) fn stat(&self) -> Option<Stat> {
        match self {
            Self::Nothing => None,
            Self::Leaf(leaf) => Some(leaf.stat),
            Self::Dirs(_, stat) => Some(*stat),
        }
    }

    pub(crate) fn dirs(&self) -> &[Dir] {
        match self {
            Self::Dirs(dirs, _) => dirs,
            Self::Nothing | Self::Leaf(_) => &[],
        }
    }
}

/// Where what is now is.
pub(crate) fn now_at<'a>(frame: &'a Frame, name: &'a CStr, now: &'a Now) -> Option<At<'a>> {
    match now {
        Now::Upper(_) => frame.upper.as_ref().map(|dir| At { dir, name, below: frame.now() }),
        Now::Lower(Found::Leaf(leaf)) => Some(At { dir: &leaf.dir, name: &leaf.name, below: frame.now() }),
        Now::Nothing | Now::UpperDir(..) | Now::Lower(_) => None,
    }
}

/// Where what was is.
pub(crate) fn was_at<'a>(frame: &'a Frame, was: &'a Found) -> Option<At<'a>> {
    match was {
        Found::Leaf(leaf) => Some(At { dir: &leaf.dir, name: &leaf.name, below: &frame.was }),
        Found::Nothing | Found::Dirs(..) => None,
    }
}

/// Where the attributes of what is now are.
pub(crate) fn of<'a>(frame: &'a Frame, name: &'a CStr, now: &'a Now) -> Option<Of<'a>> {
    match now {
        Now::Upper(_) => frame.upper.as_ref().map(|dir| Of::Named(dir.fd(), name)),
        Now::UpperDir(dir, ..) => Some(Of::Open(dir.fd())),
        Now::Lower(found) => of_found(found),
        Now::Nothing => None,
    }
}

/// Where the attributes of what was are.
pub(crate) fn of_found(found: &Found) -> Option<Of<'_>> {
    match found {
        Found::Nothing => None,
        Found::Leaf(leaf) => Some(Of::Named(leaf.dir.fd(), &leaf.name)),
        Found::Dirs(dirs, _) => dirs.first().map(|dir| Of::Open(dir.fd())),
    }
}

/// What was asked of the attributes. It was of these two: a name that the first of the lowers has is that one's.
pub(crate) fn attributes(now: &Now, was: &Found, asked: Option<&Asked>) -> Option<Attributes> {
    match (now, was) {
        (Now::Upper(_), Found::Leaf(_)) => asked.and_then(|asked| asked.attributes),
        _ => None,
    }
}
