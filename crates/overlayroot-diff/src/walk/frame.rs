// SPDX-License-Identifier: GPL-2.0-or-later
//! A directory that is being walked.

use super::Options;
use crate::ahead::{Ahead, WINDOW, Window};
use crate::ask::Question;
use crate::layers::Dir;
use crate::names::Names;
use std::sync::Arc;

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
    pub names: Arc<Names>,
    /// The number of the next name.
    pub next: usize,
    /// What was asked for of the names that come, and of those after them.
    pub windows: [Option<Window>; 2],
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

    /// The number of the next name.
    pub fn advance(&mut self) -> Option<usize> {
        let number = self.next;
        self.next += 1;
        (number < self.names.len()).then_some(number)
    }

    /// Has asked for what the names from this one on need, where a piece of them begins with it.
    pub fn ask_from(&mut self, number: usize, options: &Options, ahead: &mut Ahead) {
        let [at, next] = &mut self.windows;
        if number % WINDOW != 0 || at.as_ref().is_some_and(|window| window.covers(number)) {
            return;
        }
        let (upper, lower) = (self.upper.clone(), self.was.first().cloned());
        let question = Question { upper, lower, stat: options.stat, detail: options.detail };
        *at = next.take().or_else(|| ahead.window(&question, &self.names, number));
        if at.is_some() && ahead.runs() {
            *next = ahead.window(&question, &self.names, number + WINDOW);
        }
    }
}
