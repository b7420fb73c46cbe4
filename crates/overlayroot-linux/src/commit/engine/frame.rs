// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the walk is.

use crate::commit::choice::Take;
use anyhow::{Context, Result};
use rustix::fd::OwnedFd;
use rustix::fs::{Dir, Stat, fstat};
use std::rc::Rc;

/// A directory that both layers have, and that is gone through.
pub(super) struct Frame {
    pub(super) upper: Rc<OwnedFd>,
    pub(super) lower: Rc<OwnedFd>,
    pub(super) names: Dir,
    pub(super) take: Take,
    /// Of the upper's, before anything was removed from it.
    pub(super) stat: Stat,
    /// Something in it does.
    pub(super) stays: bool,
}

impl Frame {
    pub(super) fn new(upper: Rc<OwnedFd>, lower: Rc<OwnedFd>, take: Take) -> Result<Self> {
        let (names, stat) = (Dir::read_from(&upper).context("reading a directory")?, fstat(&upper)?);
        Ok(Self { upper, lower, names, take, stat, stays: false })
    }
}

/// What has become of a name.
pub(super) enum Next {
    /// It goes, now or with the batch.
    Goes,
    /// It stays: as was asked, or because of this.
    Stays(Option<String>),
    /// What is in it comes next.
    Into(Frame),
}
