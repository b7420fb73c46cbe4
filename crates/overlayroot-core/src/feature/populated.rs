// SPDX-License-Identifier: GPL-2.0-or-later
//! What became of `rd.overlay.populate`, in the record.

use crate::value::diagnostics::shown;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An entry of the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Populated {
    /// URL or path on this machine, without a password.
    pub source: String,
    /// `done`, `kept`, `changed`, `used`, `waits` or `failed`.
    pub state: String,
    /// Sum of the archive that the upper was made from, now or at an earlier boot.
    pub sha256: Option<String>,
    /// With `changed`: the source that it was made from.
    pub was: Option<String>,
    /// With `failed`: `fetch`, `sha256`, `archive`, `no-room`, `io` or `unready`.
    pub why: Option<String>,
}

impl fmt::Display for Populated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = shown(&self.source);
        match self.state.as_str() {
            "done" => write!(f, "from {source}, at this boot"),
            "kept" => write!(f, "from {source}, at an earlier boot"),
            "changed" => {
                let was = shown(self.was.as_deref().unwrap_or("another archive"));
                write!(f, "{source} is configured, but the upper was made from {was} and was not changed")
            }
            "used" => write!(f, "{source} is configured, but the upper was in use before and was not changed"),
            "waits" => write!(f, "{source} waits: the upper is read-only"),
            _ => write!(f, "{source} is not in the upper ({})", self.why.as_deref().unwrap_or("failed")),
        }
    }
}
