// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads what `overlayroot_core::loader` judges.

use anyhow::{Context, Result};
use overlayroot_core::loader::{DIRECTORIES, FILES, GRUB_D, PROGRAMS, Tree};
use overlayroot_linux::bootfile;
use std::fs;
use std::path::Path;

/// Where programs of the system lie, in the order in which they are taken.
const BIN: [&str; 6] = ["usr/sbin", "usr/bin", "sbin", "bin", "usr/local/sbin", "usr/local/bin"];

/// The files and programs of the system in a directory.
pub fn tree(root: &str) -> Result<Tree> {
    let here = fs::canonicalize(root).with_context(|| format!("opening {root}"))?;
    let mut tree = Tree { live: here == Path::new("/"), ..Tree::default() };
    for path in FILES {
        if let Some(text) = bootfile::read(root, path)? {
            tree.files.insert(path.to_owned(), text);
        }
    }
    for (directory, suffix) in DIRECTORIES {
        for name in bootfile::list(root, directory, suffix)? {
            let path = format!("{directory}{name}");
            if let Some(text) = bootfile::read(root, &path)? {
                tree.files.insert(path, text);
            }
        }
    }
    let programs = PROGRAMS.iter().filter(|name| program(root, name).is_some());
    tree.programs = programs.map(|name| (*name).to_owned()).collect();
    tree.has_grub_d = here.join(GRUB_D).is_dir();
    Ok(tree)
}

/// The path of a program.
pub fn program(root: &str, name: &str) -> Option<String> {
    let root = root.trim_end_matches('/');
    BIN.iter().map(|bin| format!("{root}/{bin}/{name}")).find(|path| Path::new(path).is_file())
}
