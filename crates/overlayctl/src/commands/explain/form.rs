// SPDX-License-Identifier: GPL-2.0-or-later
//! The forms that a value may have, and their parts.

use serde::Serialize;

/// A name in a syntax, and what stands there.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Part {
    /// As the syntax has it: `PATH`, `size=SIZE`, `grow`.
    pub name: &'static str,
    /// In words.
    #[serde(rename = "text")]
    pub says: &'static str,
}

impl Part {
    /// No name.
    pub const NONE: Self = Self { name: "", says: "" };
}

/// One form that a value may have.
#[derive(Debug)]
pub struct Form {
    /// What it begins with; the whole of it where no name follows.
    pub fixed: &'static str,
    /// The name that follows.
    pub rest: Part,
    /// In words.
    pub says: &'static str,
    /// What may stand behind it, each after a comma.
    pub parameters: &'static [Part],
}

impl Form {
    /// As a syntax has it.
    pub fn syntax(&self) -> String {
        format!("{}{}", self.fixed, self.rest.name)
    }

    /// Whether a value has it.
    pub fn fits(&self, value: &str) -> bool {
        let whole = self.rest.name.is_empty() && self.parameters.is_empty();
        if whole { self.fixed == value } else { value.starts_with(self.fixed) }
    }
}
