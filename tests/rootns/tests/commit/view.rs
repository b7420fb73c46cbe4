// SPDX-License-Identifier: GPL-2.0-or-later
//! A tree as whoever walks through it sees it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// All that one name is, but which other names the same file has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    kind: u32,
    owner: (u32, u32, u32),
    device: u64,
    content: Vec<u8>,
    attributes: Vec<(String, Vec<u8>)>,
    /// None of directories: what goes in them changes them.
    modified: Option<(i64, i64)>,
}

/// By path.
pub(crate) type View = BTreeMap<PathBuf, Node>;

/// Everything below `top`, less what is below these.
pub(crate) fn view(top: &Path, without: &[PathBuf]) -> View {
    let mut view = View::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(directory) = waiting.pop() {
        view.insert(directory.clone(), node(&top.join(&directory)));
        for entry in fs::read_dir(top.join(&directory)).unwrap() {
            let path = directory.join(entry.unwrap().file_name());
            if without.contains(&path) {
                continue;
            }
            if fs::symlink_metadata(top.join(&path)).unwrap_or_else(|e| panic!("{}: {e}", path.display())).is_dir() {
                waiting.push(path);
            } else {
                view.insert(path.clone(), node(&top.join(&path)));
            }
        }
    }
    view
}

fn node(path: &Path) -> Node {
    let found = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let content = match () {
        () if found.is_file() => fs::read(path).unwrap(),
        () if found.is_symlink() => fs::read_link(path).unwrap().as_os_str().as_bytes().to_vec(),
        () => Vec::new(),
    };
    Node {
        kind: found.mode(),
        owner: (found.uid(), found.gid(), 0),
        device: found.rdev(),
        content,
        attributes: attributes(path),
        modified: (!found.is_dir()).then(|| (found.mtime(), found.mtime_nsec())),
    }
}

fn attributes(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names = [0; 4096];
    let len = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    let names = names[..len].split(|byte| *byte == 0).map(|name| String::from_utf8(name.to_vec()).unwrap());
    let mut all: Vec<_> = names
        // A plain lower has no marks that mean anything, and shows them.
        .filter(|name| !name.is_empty() && !name.starts_with("trusted.overlay"))
        .map(|name| {
            let mut value = [0; 4096];
            let len = rustix::fs::lgetxattr(path, &*name, &mut value).unwrap();
            (name, value[..len].to_vec())
        })
        .collect();
    all.sort();
    all
}

/// What differs, in few words.
pub(crate) fn difference(was: &View, is: &View) -> Option<String> {
    for path in was.keys().chain(is.keys()) {
        match (was.get(path), is.get(path)) {
            (Some(was), Some(is)) if was == is => {}
            (Some(was), Some(is)) => {
                let mut brief = [was.clone(), is.clone()];
                brief.iter_mut().for_each(|node| node.content.truncate(24));
                return Some(format!("/{}: {:?} became {:?}", path.display(), brief[0], brief[1]));
            }
            (Some(_), None) => return Some(format!("/{} is gone", path.display())),
            (None, _) => return Some(format!("/{} is new", path.display())),
        }
    }
    None
}

/// Paths of files with several, in groups.
pub(crate) fn groups<'a>(files: impl Iterator<Item = (&'a PathBuf, PathBuf)>) -> Vec<Vec<PathBuf>> {
    let mut by_number: BTreeMap<(u64, u64), Vec<PathBuf>> = BTreeMap::new();
    for (path, at) in files {
        let found = fs::symlink_metadata(at).unwrap();
        if !found.is_dir() {
            by_number.entry((found.dev(), found.ino())).or_default().push(path.clone());
        }
    }
    let mut groups: Vec<_> = by_number.into_values().filter(|group| group.len() > 1).collect();
    groups.iter_mut().for_each(|group| group.sort());
    groups.sort();
    groups
}
