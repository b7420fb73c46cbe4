// SPDX-License-Identifier: GPL-2.0-or-later
//! What a kind of upper is asked, and what it answers: its part of a plan, from which `plan` makes the whole.

use crate::layout::{Names, Places, Store};
use crate::step::Step;
use crate::step::effective::Effective;

/// What of the configuration counts for every kind.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The upper is to be emptied; of no effect where `readonly`.
    pub reset: bool,
    /// An upper that stays is to be a read-only layer.
    pub readonly: bool,
    /// Whose names are used.
    pub names: &'a Names,
    /// The name of an upper that stays.
    pub name: &'a str,
}

impl Request<'_> {
    /// Whether what is in the upper goes.
    pub fn resets(&self) -> bool {
        self.reset && !self.readonly
    }
}

/// How this boot uses the upper of earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Changes go there, where `reset` after all in it was discarded.
    Upper {
        /// Whether it is emptied first.
        reset: bool,
    },
    /// It is a read-only layer below an upper in RAM.
    Layer,
}

/// An upper that stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its directories.
    pub store: Store,
    /// What is done with it.
    pub access: Access,
}

/// What one kind of upper has to say to a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpperPlan {
    /// Names of the mounts.
    pub places: Places,
    /// The overlay's lowers, the uppermost first.
    pub lowers: Vec<String>,
    /// Further options of the overlay.
    pub options: Vec<String>,
    /// From the mounted root to the mounted file system of an upper that stays, inspected.
    pub open: Vec<Step>,
    /// The upper that stays.
    pub kept: Option<Kept>,
    /// Makes the upper's directories.
    pub make: Vec<Step>,
    /// Where in the merged root the upper itself would be seen.
    pub hidden: Option<String>,
    /// What runs then.
    pub effective: Effective,
    /// What is worth saying.
    pub notes: Vec<String>,
}
