// SPDX-License-Identifier: GPL-2.0-or-later
//! A directory that is being walked.

use crate::ahead::Window;
use crate::layers::Dir;
use crate::names::Names;

/// What it is made of now, and what it was made of.
#[derive(Default)]
pub(crate) struct Frame {
    /// In the upper.
    pub upper: Option<Dir>,
    /// What is merged below the upper, where that is not `was`.
    pub from: Vec<Dir>,
    /// What the lowers have at this path.
    pub was: Vec<Dir>,
    /// What is merged below the upper is `was`: only the upper can make a difference.
    pub same: bool,
    /// Where the lowers have it, in a renamed tree.
    pub origin: Option<Vec<u8>>,
    pub names: Names,
    /// What was asked for ahead of the walk, of the first of `was`.
    pub window: Option<Window>,
    /// Length of its path.
    pub path_len: usize,
}

impl Frame {
    /// An upper directory over what was there.
    pub fn merged(upper: Dir, was: Vec<Dir>) -> Self {
        Self { upper: Some(upper), was, same: true, ..Self::default() }
    }

    /// One of which nothing is left.
    pub fn removed(was: Vec<Dir>) -> Self {
        Self { was, ..Self::default() }
    }

    /// What is merged below the upper now.
    pub fn now(&self) -> &[Dir] {
        if self.same { &self.was } else { &self.from }
    }
}
