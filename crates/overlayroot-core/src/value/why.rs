// SPDX-License-Identifier: GPL-2.0-or-later
//! Why something that runs in the background failed: a word for scripts and a sentence.

use serde::{Deserialize, Serialize};

/// Why it failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// Stable word for scripts.
    pub code: String,
    /// One line for people.
    pub text: String,
}
