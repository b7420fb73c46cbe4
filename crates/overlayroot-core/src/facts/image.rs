// SPDX-License-Identifier: GPL-2.0-or-later
//! The image under a root of `root=live:`, as a fact.

use serde::{Deserialize, Serialize};

/// The image under a root of `root=live:`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Image {
    /// The file or device.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of them all, in lower case; empty where it could not be read.
    pub sha256: String,
    /// Why it could not be read.
    pub unseen: String,
}
