// SPDX-License-Identifier: GPL-2.0-or-later
//! Moves what an upper has into its lower, while neither is part of an overlay.
//!
//! After each system call an overlay of what is left of the upper over the lower shows what it showed before: what the
//! upper has of a path hides the lower's while that is changed, and goes last. So a power cut needs no journal and no
//! undo: whoever comes next mounts the overlay, or goes on.
//!
//! Where both are directories of one file system, files and whole new directories are renamed. Else they are copied,
//! and the lower is synced before the upper's go, a batch at a time: nothing else orders the writes of two file systems.

mod below;
mod calls;
mod choice;
mod engine;
mod marks;
pub mod revert;
mod scan;
mod scratch;

pub use calls::{Calls, Cut};
pub use choice::Choice;
pub use scan::{Found, scan};
pub use scratch::SCRATCH;

use anyhow::Result;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Most paths that are named as left: the number has all.
const MOST_LEFT: usize = 100;

/// What is to be moved, from where to where.
pub struct Request<'a> {
    /// The directory that an overlay would have as its upper.
    pub upper: &'a Path,
    /// The only lower. Reached by the mount that the upper is reached by, where both are on one file system: the kernel
    /// renames nothing from one mount to another.
    pub lower: &'a Path,
    /// Which paths.
    pub choice: &'a Choice,
    /// When to stop, with the overlay as it was and the rest for another time.
    pub until: Option<Instant>,
}

/// Something that stays in the upper, though it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// From the root.
    pub path: PathBuf,
    /// One sentence without a full stop.
    pub why: String,
}

/// Why there is no more to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// All was tried.
    Whole,
    /// It was time.
    Time,
    /// A file system takes nothing more, or fails.
    Failed(String),
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Files, links, removals and directories that the upper has no more.
    pub entries: u64,
    /// Bytes that were copied; none where everything was renamed.
    pub bytes: u64,
    /// The first 100 that stay.
    pub left: Vec<Left>,
    /// How many stay.
    pub left_count: u64,
    /// Why it ended.
    pub ended: Ended,
}

/// Moves what was [found](scan).
///
/// # Errors
/// Where one of both can't be opened or synced, or the [cut](Cut) of a test was reached. The overlay shows the same then,
/// too.
pub fn run(request: &Request<'_>, found: &Found, calls: &mut Calls) -> Result<Done> {
    engine::Engine::begin(request, found, calls)?.run()
}
