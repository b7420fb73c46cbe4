// SPDX-License-Identifier: GPL-2.0-or-later
//! Uppers that were begun on another lower: how that is told from the fingerprint stored with them,
//! and what is done about it (docs/reference/storage-layout.md).

use crate::facts::Fingerprint;
use crate::keys;
use crate::layout::Store;
use crate::parse::json::string;
use crate::value::diagnostics::{Problem, suggest};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What to do with an upper that was begun on another lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Use it, and say so in the record only.
    Keep,
    /// Use it, and say so loudly.
    Warn,
    /// Keep it under another name, and begin a new one.
    Park,
    /// Throw it away, and begin a new one.
    Reset,
}

impl Policy {
    /// Every value in the words of the grammar.
    pub const ALL: [(&'static str, Policy); 4] =
        [("keep", Policy::Keep), ("warn", Policy::Warn), ("park", Policy::Park), ("reset", Policy::Reset)];

    /// Its word in the grammar.
    pub fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, value)| *value == self);
        found.map_or("warn", |(word, _)| word)
    }
}

/// The value of `rd.overlay.stale`.
pub fn parse_policy(value: &str) -> Result<Policy, Problem> {
    let found = Policy::ALL.iter().find(|(word, _)| *word == value);
    found.map(|(_, policy)| *policy).ok_or_else(|| {
        let near = suggest(value, Policy::ALL.iter().map(|(word, _)| *word));
        Problem::new(format!("not one of keep, warn, park, reset; using the default {}", keys::STALE.default), near)
    })
}

/// In what two lowers differ. What one of them does not tell (no UUID over NFS, no package database)
/// is not compared.
pub fn differences(was: &Fingerprint, now: &Fingerprint) -> Vec<&'static str> {
    let text = |a: &str, b: &str| !a.is_empty() && !b.is_empty() && a != b;
    let pairs = [
        ("uuid", text(&was.uuid, &now.uuid)),
        ("fstype", text(&was.fstype, &now.fstype)),
        ("os", text(&was.os, &now.os)),
        ("packages", was.packages != 0 && now.packages != 0 && was.packages != now.packages),
    ];
    pairs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// The comparison that a boot makes once the upper's file system is mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// The upper.
    pub store: Store,
    /// Where the lower can be read.
    pub lower: String,
    /// What the lower is now.
    pub now: Fingerprint,
    /// What is done where it was another one.
    pub policy: Policy,
    /// Nothing may be written: what the policy asks for waits.
    pub readonly: bool,
    /// Where in the root the upper itself lies; it always changes.
    pub hidden: Option<String>,
}

impl fmt::Display for Compare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waits = if self.readonly && self.policy != Policy::Keep { " (read-only: warn)" } else { "" };
        write!(f, "{}{waits} where {} is not of this lower", self.policy.word(), self.store.fingerprint)
    }
}

/// How an upper hides a path of the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// By a file, link or node of its own.
    File,
    /// By a directory that does not show what is below it.
    Directory,
    /// By a whiteout: it was removed.
    Removed,
}

/// A path that the upper hides, and that has changed below since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shadow {
    /// Path in the root.
    pub path: String,
    /// How it is hidden.
    pub kind: Kind,
}

/// What was found hidden.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Shadows {
    /// The first of them.
    pub paths: Vec<Shadow>,
    /// How many there are.
    pub count: u64,
    /// Whether everything was looked at.
    pub complete: bool,
}

impl fmt::Display for Shadows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const FEW: usize = 3;
        let least = if self.complete { "" } else { "at least " };
        if self.count == 0 {
            return write!(f, "no changed file of the lower is known to be hidden");
        }
        let (files, are) = if self.count == 1 { ("file", "is") } else { ("files", "are") };
        let first: Vec<String> =
            self.paths.iter().take(FEW).map(|shadow| crate::value::diagnostics::escape(&shadow.path)).collect();
        let more = if self.count > FEW as u64 { ", ..." } else { "" };
        write!(f, "{least}{} changed {files} of the lower {are} hidden: {}{more}", self.count, first.join(", "))
    }
}

/// What was done about an upper that was begun on another lower.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It was reported.
    Warned,
    /// It was put aside.
    Parked,
    /// It was discarded.
    Reset,
    /// It was restored by hand, which is an answer.
    Accepted,
    /// Nothing, as the policy says. So is what a later version may write here.
    #[default]
    #[serde(other)]
    Kept,
}

/// What became of an upper that was begun on another lower.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stale {
    /// What was done about it.
    pub action: Action,
    /// In what the lowers differ: `uuid`, `fstype`, `os`, `packages`.
    pub differs: Vec<String>,
    /// The lower it was begun on.
    pub was: Fingerprint,
    /// What it hides that has changed since.
    pub shadows: Shadows,
}

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the upper does not match the current lower ({}); {}", self.differs.join(", "), self.shadows)
    }
}

/// Reads a stored fingerprint; `None` where it is not understood. By hand, for a JSON parser has no other
/// use in the initramfs. Fields that a later version may add are passed over.
pub fn parse(text: &str) -> Option<Fingerprint> {
    let mut rest = text.trim().strip_prefix('{')?.trim_start();
    let mut found = Fingerprint::default();
    while !rest.starts_with('}') {
        let (key, after) = string(rest)?;
        let value = after.trim_start().strip_prefix(':')?.trim_start();
        let after = if value.starts_with('"') {
            let (text, after) = string(value)?;
            match key.as_str() {
                "uuid" => found.uuid = text,
                "fstype" => found.fstype = text,
                "os" => found.os = text,
                _ => {}
            }
            after
        } else {
            let end = value.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c))?;
            let (word, after) = value.split_at_checked(end).filter(|(word, _)| !word.is_empty())?;
            match key.as_str() {
                "packages" => found.packages = word.parse().ok()?,
                "taken" => found.taken = word.parse().ok()?,
                _ => {}
            }
            after
        };
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => Some(more.trim_start()).filter(|more| more.starts_with('"'))?,
            None => after,
        };
    }
    (rest == "}").then_some(found)
}

#[cfg(test)]
mod tests;
