// SPDX-License-Identifier: GPL-2.0-or-later
//! What became of a path with a policy of its own, as the record keeps it.

use crate::step::path::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PathOutcome {
    /// As asked for.
    Done,
    /// The root does not have it, and a preset asked.
    Absent,
    /// The path is as the overlay has it.
    Failed,
}

/// One path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathState {
    /// Path in the root; of files, its last part may have `*` and `?`.
    pub path: String,
    /// What is done with it.
    pub kind: Kind,
    /// Whether it stands for files, which `overlayctl keep` saves, or for what is mounted there.
    pub files: bool,
    /// The preset that asked for it.
    pub preset: Option<String>,
    /// How it ended.
    pub outcome: PathOutcome,
    /// Directory that keeps it; null where nothing is kept.
    pub store: Option<String>,
    /// Device that keeps it; null where it lies beside the upper.
    pub device: Option<String>,
    /// Limits of a tmpfs.
    pub options: String,
    /// Why not.
    pub why: Option<String>,
}

impl PathState {
    /// Whether changes there stay, whatever becomes of the upper.
    pub fn keeps(&self) -> bool {
        self.outcome == PathOutcome::Done && self.kind.keeps()
    }

    /// Files that are kept: what `overlayctl keep` saves.
    pub fn kept_files(&self) -> Option<&str> {
        let kept = self.files && self.kind == Kind::Persist && self.outcome == PathOutcome::Done;
        self.store.as_deref().filter(|_| kept)
    }
}

impl fmt::Display for PathState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.word(), self.path)?;
        if let Some(preset) = &self.preset {
            write!(f, " ({preset})")?;
        }
        match (self.outcome, self.kind) {
            (PathOutcome::Failed, _) => write!(f, ": NOT DONE"),
            (PathOutcome::Absent, _) => write!(f, ": not in the root"),
            (PathOutcome::Done, Kind::Persist) => {
                write!(f, " on {}", self.device.as_deref().unwrap_or("the upper's file system"))
            }
            (PathOutcome::Done, Kind::Volatile) => write!(f, " ({})", self.options),
            (PathOutcome::Done, Kind::Bind | Kind::Readonly) => Ok(()),
        }
    }
}
