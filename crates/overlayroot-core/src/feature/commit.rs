// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl commit`: the next boot moves the upper's changes into the lower, by a program of its own that is only in
//! images which ask for it.

use crate::layout::Store;
use crate::value::diagnostics::escape;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The program that does it.
pub const PROGRAM: &str = "overlay-commit";
/// How long a boot may take for it; the rest waits for the next one.
pub const SECONDS: u64 = 60;
/// File systems that are on this machine's own disk, and that can be written.
pub const WRITABLE: [&str; 6] = ["ext4", "ext3", "ext2", "xfs", "btrfs", "f2fs"];

/// What is asked for: the file beside the upper (docs/reference/storage-layout.md).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Why this boot can't do it.
    pub refused: Option<String>,
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.refused {
            None => write!(f, "what {} asks for, if it exists", self.store.commit()),
            Some(_) => write!(f, "nothing, but report whether {} exists", self.store.commit()),
        }
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

impl State {
    const ALL: [(&'static str, Self); 4] =
        [("done", Self::Done), ("partial", Self::Partial), ("refused", Self::Refused), ("failed", Self::Failed)];

    /// Its word in the record.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, state)| *state == self).map_or("failed", |(word, _)| word)
    }
}

/// Something that stays in the upper, though it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stays {
    /// Path in the root.
    pub path: String,
    /// Why.
    pub why: String,
}

/// An entry of the record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Committed {
    /// What became of it.
    pub state: State,
    /// Files, links, removals and directories that were moved.
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
    /// As the program says it: a line for each path that stays, then one with the rest.
    pub fn said(&self) -> String {
        let stays = self.stays.iter().map(|stays| format!("stays {}: {}\n", escape(&stays.path), stays.why));
        let why = self.why.as_deref().map(|why| format!(" {}", escape(why))).unwrap_or_default();
        let Self { state, entries, bytes, stays_count, .. } = self;
        format!("{}{} {entries} {bytes} {stays_count}{why}\n", stays.collect::<String>(), state.word())
    }

    /// Reads that; `None` where the program has not come so far.
    pub fn read(said: &str) -> Option<Self> {
        let mut lines = said.lines().rev();
        let mut words = lines.next()?.splitn(5, ' ');
        let word = words.next()?;
        let (_, state) = *State::ALL.iter().find(|(known, _)| *known == word)?;
        let mut number = || words.next()?.parse().ok();
        let (entries, bytes, stays_count) = (number()?, number()?, number()?);
        let why = words.next().map(str::to_owned);
        let stays = lines.filter_map(|line| line.strip_prefix("stays ")?.split_once(": "));
        let mut stays: Vec<Stays> =
            stays.map(|(path, why)| Stays { path: path.to_owned(), why: why.to_owned() }).collect();
        stays.reverse();
        Some(Self { state, entries, bytes, stays, stays_count, why, took_ms: 0 })
    }
}

impl fmt::Display for Committed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = self.why.as_deref().unwrap_or("no reason was given");
        match self.state {
            State::Done => write!(f, "{} moved into the lower", changes(self.entries))?,
            State::Partial => {
                write!(f, "{} moved into the lower, the next boot goes on", changes(self.entries))?;
            }
            State::Refused => write!(f, "refused: {why}")?,
            State::Failed => write!(f, "ended after {}, the next boot tries again: {why}", changes(self.entries))?,
        }
        match self.stays_count {
            0 => Ok(()),
            1 => write!(f, "; 1 path stays in the upper"),
            count => write!(f, "; {count} paths stay in the upper"),
        }
    }
}

fn changes(count: u64) -> String {
    if count == 1 { "1 change".to_owned() } else { format!("{count} changes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_program_says_is_read() {
        let whole = Committed {
            state: State::Partial,
            entries: 12,
            bytes: 4096,
            stays: vec![
                Stays { path: "/a b".into(), why: "is immutable (chattr)".into() },
                Stays { path: "/c".into(), why: "hides /c/d, which stays".into() },
            ],
            stays_count: 2,
            why: Some("it was time".into()),
            took_ms: 0,
        };
        assert_eq!(Committed::read(&whole.said()), Some(whole.clone()));
        let done = Committed { state: State::Done, entries: 1, ..Committed::default() };
        assert_eq!(Committed::read(&done.said()), Some(done.clone()));
        assert_eq!(done.to_string(), "1 change moved into the lower");
        for none in ["", "\n", "panicked at", "done 1", "done 1 2 x", "killed 1 2 3"] {
            assert_eq!(Committed::read(none), None, "{none}");
        }
        assert!(whole.to_string().ends_with("goes on; 2 paths stay in the upper"), "{whole}");
    }

    #[test]
    fn a_request_is_json() {
        let asked = Asked { paths: vec!["/etc".into()], exclude: vec!["*.bak".into()], force: false };
        let text = serde_json::to_string(&asked).unwrap();
        assert_eq!(serde_json::from_str::<Asked>(&text).unwrap(), asked);
        assert_eq!(serde_json::from_str::<Asked>("{}").unwrap(), Asked::default());
    }
}
