// SPDX-License-Identifier: GPL-2.0-or-later
//! Both trees from end to end, and what differs.

use overlayroot_diff::Kind;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// All that a file is, but its times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) kind: u32,
    meta: (u32, u32, u32, Vec<u8>),
    pub(crate) content: Vec<u8>,
}

pub(crate) type Tree = BTreeMap<Vec<u8>, Node>;

pub(crate) fn tree(top: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(top.join(&directory)).unwrap() {
            let path = directory.join(entry.unwrap().file_name());
            let full = top.join(&path);
            let found = fs::symlink_metadata(&full).unwrap();
            let content = match () {
                () if found.is_file() => fs::read(&full).unwrap(),
                () if found.is_symlink() => fs::read_link(&full).unwrap().as_os_str().as_bytes().to_vec(),
                () => Vec::new(),
            };
            let mut value = [0; 8];
            let xattr = match rustix::fs::lgetxattr(&full, "trusted.test", &mut value) {
                Ok(len) => value[..len].to_vec(),
                Err(_) => Vec::new(),
            };
            let meta = (found.mode() & 0o7777, found.uid(), found.gid(), xattr);
            tree.insert([b"/", path.as_os_str().as_bytes()].concat(), Node { kind: found.mode() >> 12, meta, content });
            if found.is_dir() {
                waiting.push(path);
            }
        }
    }
    tree
}

/// The simple way: both trees, path by path.
pub(crate) fn expected(now: &Tree, was: &Tree) -> BTreeMap<Vec<u8>, Kind> {
    let mut changes = BTreeMap::new();
    for path in now.keys().chain(was.keys()) {
        let kind = match (now.get(path), was.get(path)) {
            (Some(_), None) => Kind::Added,
            (None, _) => Kind::Removed,
            (Some(now), Some(was)) if now == was => continue,
            (Some(now), Some(was)) if now.kind != was.kind => Kind::TypeChanged,
            (Some(now), Some(was)) if now.content != was.content => Kind::Modified,
            _ => Kind::Metadata,
        };
        changes.insert(path.clone(), kind);
    }
    changes
}
