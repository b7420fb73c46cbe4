// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads what `overlayroot_host::loader` judges.

use anyhow::{Context, Result};
use overlayroot_host::loader::generator::HOOKS;
use overlayroot_host::loader::place::root_device;
use overlayroot_host::loader::{DIRECTORIES, EFI_VARIABLES, FILES, GRUB_D, PROGRAMS, Tree, UNIFIED};
use overlayroot_linux::sys::mounts;
use overlayroot_linux::tool::bootfile;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where programs of the system lie, in the order in which they are taken.
const BIN: [&str; 6] = ["usr/sbin", "usr/bin", "sbin", "bin", "usr/local/sbin", "usr/local/bin"];

/// The files and programs of the system in a directory.
pub fn tree(root: &str) -> Result<Tree> {
    let here = fs::canonicalize(root).with_context(|| format!("opening {root}"))?;
    let mut tree = Tree { live: here == Path::new("/"), ..Tree::default() };
    for path in FILES {
        let read = bootfile::read(root, path);
        // A variable of the firmware that can't be read is one that does not decide.
        let read = if path.starts_with(EFI_VARIABLES) { read.unwrap_or(None) } else { read? };
        if let Some(text) = read {
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
    more(&mut tree, |_| root);
    Ok(tree)
}

/// The same for the system as its next boot finds it: each path below the root that is told for it. What can't be read
/// is left out, and said.
pub fn next_tree<'a>(root: &str, below: impl Fn(&str) -> &'a str) -> (Tree, Vec<String>) {
    let here = fs::canonicalize(root).unwrap_or_default();
    let mut tree = Tree { live: here == Path::new("/"), ..Tree::default() };
    let mut unread = Vec::new();
    let mut take = |path: String| match bootfile::read(below(&path), &path) {
        Ok(Some(text)) => drop(tree.files.insert(path, text)),
        Ok(None) => {}
        Err(_) if path.starts_with(EFI_VARIABLES) => {}
        Err(error) => unread.push(format!("{error:#}")),
    };
    FILES.iter().for_each(|path| take((*path).to_owned()));
    for (directory, suffix) in DIRECTORIES {
        let names = bootfile::list(below(directory), directory, suffix).unwrap_or_default();
        names.iter().for_each(|name| take(format!("{directory}{name}")));
    }
    let programs = PROGRAMS.iter().filter(|name| program(root, name).is_some());
    tree.programs = programs.map(|name| (*name).to_owned()).collect();
    tree.has_grub_d = Path::new(below(GRUB_D)).join(GRUB_D).is_dir();
    more(&mut tree, below);
    (tree, unread)
}

/// Unified images, the hooks that make an initramfs, and of the running system its root.
fn more<'a>(tree: &mut Tree, below: impl Fn(&str) -> &'a str) {
    let images = |at: &str| bootfile::list(below(at), at, "").unwrap_or_default();
    let images = UNIFIED.iter().flat_map(|at| images(at));
    tree.unified = images.filter(|name| name.to_ascii_lowercase().ends_with(".efi")).collect();
    tree.no_efi = tree.live && !Path::new("/sys/firmware/efi").exists();
    let masked = |mask: &str| bootfile::masks(below(mask), mask);
    // pacman reads its hooks, the others are run
    let runs = |path: &str| bootfile::runs(below(path), path, !path.starts_with("usr/share/"));
    let hooks = HOOKS.iter().filter(|(path, mask, _)| runs(path) && !mask.is_some_and(masked));
    tree.hooks = hooks.map(|(path, ..)| (*path).to_owned()).collect::<BTreeSet<_>>();
    tree.root_device = if tree.live { mounts::read().ok().and_then(|all| root_device(&all)) } else { None };
}

/// The path of a program.
pub fn program(root: &str, name: &str) -> Option<String> {
    let root = root.trim_end_matches('/');
    BIN.iter().map(|bin| format!("{root}/{bin}/{name}")).find(|path| Path::new(path).is_file())
}
