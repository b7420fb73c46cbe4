// SPDX-License-Identifier: GPL-2.0-or-later
//! What is to be changed on a host: files, commands, and what a person must do or know.

use super::Tree;

/// A file as it is and as it is to be; `None` where it is not, or is not to be, there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// Path, without the leading slash.
    pub path: String,
    /// Its bytes now.
    pub before: Option<Vec<u8>>,
    /// Its bytes then.
    pub after: Option<Vec<u8>>,
}

/// Everything to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Files to be written.
    pub edits: Vec<Edit>,
    /// Program and arguments, to be run in this order after the edits.
    pub commands: Vec<Vec<String>>,
    /// Files that the commands change.
    pub touched: Vec<String>,
    /// What a person must still do.
    pub todo: Vec<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// What every entry must have of ours when it is done, as plain words.
    pub want: Vec<String>,
}

impl Plan {
    pub(super) fn change(&mut self, tree: &Tree, path: &str, after: Vec<u8>) {
        self.put(tree, path, Some(after));
    }

    /// `None` has the file go.
    pub(super) fn put(&mut self, tree: &Tree, path: &str, after: Option<Vec<u8>>) {
        let before = tree.files.get(path).cloned();
        if before != after {
            self.edits.push(Edit { path: path.to_owned(), before, after });
        }
    }

    /// Whether there is nothing to do.
    pub fn is_done(&self) -> bool {
        self.edits.is_empty() && self.commands.is_empty()
    }
}

/// Says which file it is about.
pub(super) fn named(path: &str) -> impl Fn(String) -> String + '_ {
    move |why| format!("/{path}: {why}")
}

/// Lines in which something of ours is left.
pub(super) fn not_understood(path: &str, lines: &[usize], plan: &mut Plan) {
    for line in lines {
        plan.todo.push(format!("/{path}:{line} has rd.overlay in an unknown form: check it by hand"));
    }
}
