// SPDX-License-Identifier: GPL-2.0-or-later
//! A value and where it came from.

use crate::value::diagnostics::escape;
use std::fmt;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// Written as `text` in the file `source`.
    Given {
        /// The argument as written.
        text: String,
        /// The file.
        source: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::Given { text, source } => write!(f, "{} in {source}", escape(text)),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<T> {
    /// The value that holds.
    pub value: T,
    /// Who said so.
    pub origin: Origin,
}

impl<T> Field<T> {
    pub(crate) fn default(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }
}
