// SPDX-License-Identifier: GPL-2.0-or-later
//! What became of `rd.overlay.populate`, in the record.

use crate::value::diagnostics::escape;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Unpacked at this boot.
    Done,
    /// The upper was made from it at an earlier boot.
    Kept,
    /// The upper was made from another archive, and is not changed.
    Changed,
    /// The upper was in use before, and is not changed.
    Used,
    /// The upper is a read-only layer.
    Waits,
    /// It is not in the running root. So is what a later version may write here.
    #[default]
    #[serde(other)]
    Failed,
}

/// An entry of the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Populated {
    /// URL or path on this machine, without a password.
    pub source: String,
    /// What became of it.
    pub state: State,
    /// Sum of the archive that the upper was made from, now or at an earlier boot.
    pub sha256: Option<String>,
    /// With `changed`: the source that it was made from.
    pub was: Option<String>,
    /// With `failed`: `fetch`, `sha256`, `archive`, `no-room`, `io` or `unready`.
    pub why: Option<String>,
}

impl fmt::Display for Populated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = escape(&self.source);
        match self.state {
            State::Done => write!(f, "from {source}, at this boot"),
            State::Kept => write!(f, "from {source}, at an earlier boot"),
            State::Changed => {
                let was = escape(self.was.as_deref().unwrap_or("another archive"));
                write!(f, "{source} is configured, but the upper was made from {was} and was not changed")
            }
            State::Used => write!(f, "{source} is configured, but the upper was in use before and was not changed"),
            State::Waits => write!(f, "{source} waits: the upper is read-only"),
            State::Failed => write!(f, "{source} is not in the upper ({})", self.why.as_deref().unwrap_or("failed")),
        }
    }
}
