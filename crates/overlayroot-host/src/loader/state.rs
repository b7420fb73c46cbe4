// SPDX-License-Identifier: GPL-2.0-or-later
//! What a boot loader's files say now: the arguments of each entry, and those that entries to come will get.

use super::entry::Entry;
use super::{Kind, Tree};

/// What is known of a boot loader.
#[derive(Debug, Clone)]
pub struct State {
    /// Its kind.
    pub kind: Kind,
    /// The entries, in the order of the menu where that is known.
    pub entries: Vec<Entry>,
    /// The one that boots if nobody chooses, by its place; where it is known.
    pub default: Option<usize>,
    /// Why the default is not known.
    pub unsure: String,
    /// File and arguments of ours from which entries are made, where they are.
    pub source: Option<(String, Vec<String>)>,
}

/// Reads it.
pub fn state(tree: &Tree, kind: Kind) -> State {
    let loader = kind.loader();
    let (entries, default) = loader.menu(tree);
    let unsure = default.as_ref().err().cloned().unwrap_or_default();
    let default = default.ok().filter(|at| *at < entries.len());
    State { kind, entries, default, unsure, source: loader.source(tree) }
}

/// Whether every entry has exactly these arguments of ours.
///
/// # Errors
/// The first that has not.
pub fn check(state: &State, want: &[String]) -> Result<(), String> {
    match state.entries.iter().find(|entry| entry.ours() != want) {
        None => Ok(()),
        Some(entry) => {
            let has = entry.ours();
            let has = if has.is_empty() { "none".to_owned() } else { has.join(" ") };
            Err(format!("{} has of our arguments: {has}", entry.name))
        }
    }
}
