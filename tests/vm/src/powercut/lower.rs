// SPDX-License-Identifier: GPL-2.0-or-later
//! The lower's tree, read by the host from a copy of a guest's disk.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};

use super::root::fs_name;
use super::scenario::PLACE;
use crate::case::FsKind;
use crate::host::{self, Host};

/// For each path what `host/lower.sh` prints of it.
pub(crate) type Tree = BTreeMap<String, Vec<String>>;

/// The kernel knows a btrfs by its UUID, which all copies of one have.
static ONE_BTRFS: Mutex<()> = Mutex::new(());

/// Replays the journal of a copy, checks its file system and reads its tree; the copy is removed.
///
/// # Errors
/// Where it can't be mounted or is not consistent.
pub(crate) fn tree_of(host: &Host, copy: &Path, kind: FsKind) -> Result<Tree> {
    let _alone = (kind == FsKind::Btrfs).then(|| ONE_BTRFS.lock().unwrap_or_else(PoisonError::into_inner));
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation=private"]).arg(host.vm_dir().join("host/lower.sh"));
    let out = host::run(unshare.arg(copy).arg(fs_name(kind)).arg(PLACE)).context("the root's file system")?;
    fs::remove_file(copy)?;
    Ok(parse(&String::from_utf8_lossy(&out)))
}

fn parse(text: &str) -> Tree {
    let parent = PLACE.rsplit_once('/').map_or("", |(parent, _)| parent);
    let mut tree = Tree::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let path = fields.next().unwrap_or_default();
        let mut rest: Vec<_> = fields.map(str::to_owned).collect();
        if path.strip_prefix('.') == Some(parent) {
            // the upper's place appears in it, which shows in its time
            rest.truncate(1);
        }
        tree.entry(path.to_owned()).or_default().extend(rest);
    }
    tree
}

/// What differs, a line for each path.
pub(crate) fn differences(before: &Tree, after: &Tree) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, was) in before {
        match after.get(path) {
            Some(is) if is == was => {}
            Some(is) => lines.push(format!("{path}: {was:?} is now {is:?}")),
            None => lines.push(format!("{path} is gone")),
        }
    }
    let new = after.keys().filter(|path| !before.contains_key(*path));
    lines.extend(new.map(|path| format!("{path} is new")));
    lines
}

/// The same where records are moved into the lower: what lies in their directories is judged through the overlay, and
/// directories that both layers have get the upper's times. What a cut leaves of the copies is hidden by a whiteout.
pub(crate) fn beside_what_is_committed(before: &Tree, after: &Tree) -> Vec<String> {
    const MOVED: [&str; 3] = ["./data", "./records", "./.overlayroot-rs.commit"];
    let rest = |tree: &Tree| -> Tree {
        let is_moved = |path: &str| MOVED.iter().any(|at| Path::new(path).starts_with(at));
        let timeless = |is: &Vec<String>| match is.first() {
            Some(first) if first.starts_with("d ") => vec![first.clone()],
            Some(_) | None => is.clone(),
        };
        let others = tree.iter().filter(|(path, _)| !is_moved(path));
        others.map(|(path, is)| (path.clone(), timeless(is))).collect()
    };
    differences(&rest(before), &rest(after))
}

/// The same where a boot without the overlay is asked for: the request lies there, and makes its directory.
pub(crate) fn beside_the_request(before: &Tree, after: &Tree) -> Vec<String> {
    let mut lines = differences(before, after);
    lines.retain(|line| !line.starts_with("./var/lib/overlayroot-rs"));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_changes_records_and_times_of_directories_only() {
        let before = parse("./etc\td 755 0 0\t1.5\n./data\td 755 0 0\t1.5\n./data/a\tf 644 0 0 1 3 1.5 \n");
        let after = parse("./etc\td 755 0 0\t2.5\n./data\td 755 0 0\t2.5\n./data/b\tf 644 0 0 1 3 1.5 \n");
        assert!(beside_what_is_committed(&before, &after).is_empty());
        let more = parse("./etc\td 700 0 0\t2.5\n./etc/x\tf 644 0 0 1 3 1.5 \n");
        assert_eq!(beside_what_is_committed(&before, &more).len(), 2);
    }

    #[test]
    fn only_the_time_of_the_places_parent_may_change() {
        let before =
            parse("./var/lib\td 755 0 0\t1.5\n./etc\td 755 0 0\t1.5\n./a\tf 644 0 0 1 3 1.5 \n./a\tsha256 00\n");
        let after =
            parse("./var/lib\td 755 0 0\t2.5\n./etc\td 755 0 0\t2.5\n./a\tf 644 0 0 1 3 1.5 \n./a\tsha256 01\n");
        let lines = differences(&before, &after);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(differences(&before, &before).is_empty());
        let text = differences(&Tree::new(), &before);
        assert_eq!(text, ["./a is new", "./etc is new", "./var/lib is new"]);
    }
}
