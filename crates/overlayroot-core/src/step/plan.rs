// SPDX-License-Identifier: GPL-2.0-or-later
//! Ordered steps and what they amount to.

use crate::step::Step;
use crate::step::effective::{Effective, RootKind};
use crate::step::refusal::Refusal;
use std::fmt;

/// Ordered steps and what they amount to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What to do, in order; undone in reverse where one fails.
    pub steps: Vec<Step>,
    /// What will run if all succeed.
    pub effective: Effective,
    /// What is worth saying.
    pub notes: Vec<String>,
    /// What it goes without, and why: the policy bears it.
    pub without: Vec<Refusal>,
}

impl Plan {
    pub(crate) fn keep(root: RootKind) -> Self {
        Self { steps: Vec::new(), effective: Effective::plain(root), notes: Vec::new(), without: Vec::new() }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            writeln!(f, "{:>2} {step}", number + 1)?;
        }
        writeln!(f, " = {}", self.effective)?;
        for note in &self.notes {
            writeln!(f, " note: {note}")?;
        }
        for lack in &self.without {
            writeln!(f, " without ({}): {lack}", lack.code)?;
        }
        Ok(())
    }
}
