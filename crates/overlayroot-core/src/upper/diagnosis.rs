// SPDX-License-Identifier: GPL-2.0-or-later
//! What the doctor says of an upper before there is one: whether there is room for it.

/// One finding; the doctor grades it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Stable word for scripts.
    pub check: &'static str,
    /// One line for a person.
    pub text: String,
    /// What to do; empty where all is well.
    pub todo: &'static str,
}
