// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl commit`: the next boot moves the upper's changes into the lower, by a program of its own that is only in
//! images which ask for it.

use crate::layout::Store;
use crate::value::diagnostics::escape;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The program that does it.
pub const PROGRAM: &str = "overlay-commit";
/// Version of the form of [`Committed`]; raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;
/// How long a boot may take for it; the rest waits for the next one.
pub const SECONDS: u64 = 60;
/// File systems that are on this machine's own disk, and that can be written.
pub const WRITABLE: [&str; 6] = ["ext4", "ext3", "ext2", "xfs", "btrfs", "f2fs"];

/// What is asked for: the file beside the upper (docs/reference/storage-layout.md).
///
/// A program that does not know a field refuses the whole: it must not do the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Absolute paths, with all that is below them; everything where there is none.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Patterns (`*`, `?`) of absolute paths that stay in the upper.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Also where the lower has changed since the upper was created.
    #[serde(default)]
    pub force: bool,
    /// Absolute paths of which the upper's changes are discarded; nothing is moved into the lower then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert: Option<Vec<String>>,
}

/// What the step needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The upper.
    pub store: Store,
    /// Where the lower is, by the mount that the upper is reached by where they are on one file system.
    pub lower: String,
    /// That mount is read-only, and so is the file system.
    pub closed: bool,
    /// Paths of the root that the upper itself lies at.
    pub own: Option<String>,
    /// Paths that the boot fills, and that are no changes of the system's own.
    pub keep: Vec<String>,
    /// Nothing may be written, neither here nor there.
    pub readonly: bool,
    /// Why this boot can't write to the lower.
    pub refused: Option<String>,
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (only, asks) =
            if self.readonly { ("nothing, but report whether", "exists") } else { ("what", "asks for, if it exists") };
        write!(f, "{only} {} {asks}", self.store.commit())
    }
}

/// What became of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The lower has it.
    Done,
    /// It was time; the next boot goes on.
    Partial,
    /// Nothing was moved.
    Refused,
    /// It ended before its time; the next boot tries again. So is what a later version may write here.
    #[default]
    #[serde(other)]
    Failed,
}

/// Something that stays in the upper, though it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stays {
    /// Path in the root.
    pub path: String,
    /// Why.
    pub why: String,
}

/// What became of it: `/run/overlayroot/commit.json`, written by the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committed {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Changes were discarded, and nothing was moved.
    pub revert: bool,
    /// What became of it.
    pub state: State,
    /// Files, links, removals and directories that were moved; paths that were reverted.
    pub entries: u64,
    /// Bytes that were copied; none where all was renamed.
    pub bytes: u64,
    /// The first of those that stay.
    pub stays: Vec<Stays>,
    /// How many stay.
    pub stays_count: u64,
    /// Why, unless it is done.
    pub why: Option<String>,
    /// Milliseconds.
    pub took_ms: u64,
}

impl Committed {
    /// One that has done nothing.
    pub fn ended(state: State, why: Option<String>) -> Self {
        Self {
            schema: SCHEMA,
            revert: false,
            state,
            entries: 0,
            bytes: 0,
            stays: Vec::new(),
            stays_count: 0,
            why,
            took_ms: 0,
        }
    }

    fn done(&self) -> String {
        match self.revert {
            true => format!("{} reverted, what the upper had there is in the trash", counted(self.entries, "path")),
            false => format!("{} moved into the lower", counted(self.entries, "change")),
        }
    }
}

impl fmt::Display for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = escape(self.why.as_deref().unwrap_or("no reason was given"));
        match self.state {
            State::Done => write!(f, "{}", self.done())?,
            State::Partial => write!(f, "{}, the next boot goes on", self.done())?,
            State::Refused => write!(f, "refused: {why}")?,
            State::Failed => write!(f, "{}, the next boot tries again: {why}", self.done())?,
        }
        match (self.stays_count, self.stays.first()) {
            (0, _) => Ok(()),
            (1, Some(stays)) => write!(f, "; {} stays in the upper: {}", escape(&stays.path), escape(&stays.why)),
            (count, _) => write!(
                f,
                "; {} in the upper",
                if count == 1 { "1 path stays".to_owned() } else { format!("{count} paths stay") }
            ),
        }
    }
}

fn counted(count: u64, what: &str) -> String {
    let many = if count == 1 { "" } else { "s" };
    format!("{count} {what}{many}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_it_in_words() {
        let stays = |path: &str| Stays { path: path.into(), why: "is immutable (chattr)".into() };
        let mut done = Committed { entries: 1, ..Committed::ended(State::Done, None) };
        assert_eq!(done.to_string(), "1 change moved into the lower");
        done = Committed { stays: vec![stays("/a")], stays_count: 1, ..done };
        assert!(done.to_string().ends_with("; /a stays in the upper: is immutable (chattr)"), "{done}");
        done = Committed { state: State::Partial, entries: 12, stays_count: 2, ..done };
        assert!(
            done.to_string()
                .ends_with("12 changes moved into the lower, the next boot goes on; 2 paths stay in the upper")
        );
        let reverted = Committed { revert: true, entries: 3, ..Committed::ended(State::Done, None) };
        assert!(reverted.to_string().starts_with("3 paths reverted"), "{reverted}");
        let refused = Committed::ended(State::Refused, Some("a\nb".to_owned()));
        assert_eq!(refused.to_string(), "refused: a\\nb");
        let later = serde_json::to_string(&done).unwrap().replace("partial", "new");
        assert_eq!(serde_json::from_str::<Committed>(&later).unwrap().state, State::Failed);
    }

    #[test]
    fn a_request_is_json() {
        let asked = Asked { paths: vec!["/etc".into()], exclude: vec!["*.bak".into()], ..Asked::default() };
        let text = serde_json::to_string(&asked).unwrap();
        assert_eq!(text, r#"{"paths":["/etc"],"exclude":["*.bak"],"force":false}"#);
        assert_eq!(serde_json::from_str::<Asked>(&text).unwrap(), asked);
        assert_eq!(serde_json::from_str::<Asked>("{}").unwrap(), Asked::default());
        assert_eq!(serde_json::from_str::<Asked>(r#"{"revert":["/a"]}"#).unwrap().revert.unwrap(), ["/a"]);
        assert!(serde_json::from_str::<Asked>(r#"{"later":1}"#).is_err());
    }
}
