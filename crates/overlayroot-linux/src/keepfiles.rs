// SPDX-License-Identifier: GPL-2.0-or-later
//! Single files that are kept. Mounting over a file would make its replacement fail (rename(2), EBUSY), so they are
//! copied: before the overlay is mounted from the store into the upper, and later what has changed back again.

use crate::files::remove;
use crate::layers;
use crate::reset::sync_parent;
use crate::store::copy_attributes;
use crate::tree;
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::path_preset::{MACHINE_ID, is_machine_id};
use overlayroot_core::path_spec::{fits, parts};
use rustix::fs::{FlockOperation, flock};
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// End of the names of copies that are not whole yet.
const UNFINISHED: &str = ".overlayroot-rs.new";

/// What saving came to: paths in the root.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// New or changed in the store.
    pub saved: Vec<String>,
    /// No longer in the root, and so taken out of the store.
    pub removed: Vec<String>,
}

/// Puts the files of the store into the topmost layer. What that layer has itself, also as a whiteout, is newer: it
/// stays. Gives back how many there were.
///
/// # Errors
/// Those of the file systems.
pub fn restore(store: &str, path: &str, layers: &[String]) -> Result<usize> {
    let (parent, pattern) = parts(path);
    let mut count = 0;
    for name in names(&format!("{store}{parent}"), pattern)? {
        let path = format!("{parent}/{name}");
        let Some(upper) = layers.first() else { bail!("there is no upper") };
        let target = format!("{upper}{path}");
        if fs::symlink_metadata(&target).is_ok() {
            continue;
        }
        if layers::find(layers, &path).is_some_and(|(_, metadata)| metadata.is_dir()) {
            bail!("{path} is a directory in the root, and a file in the store");
        }
        ensure!(layers::parents(layers, Some(store), &path)?, "something is in the way of {path}");
        put(&format!("{store}{path}"), &target)?;
        count += 1;
    }
    Ok(count)
}

/// Saves what has changed below `root` since, and forgets what is no longer there.
///
/// # Errors
/// The first file that can't be saved; those before it are.
pub fn save(root: &str, store: &str, path: &str) -> Result<Saved> {
    let _lock = lock(store)?;
    let (parent, pattern) = parts(path);
    let mut saved = Saved::default();
    let here = format!("{root}{parent}");
    let found = names(&here, pattern)?;
    if found.is_empty() && fs::symlink_metadata(format!("{root}{path}")).is_ok_and(|at| at.is_dir()) {
        bail!("{path} is a directory: ask for it with a / at its end");
    }
    for name in &found {
        let (source, path) = (format!("{here}/{name}"), format!("{parent}/{name}"));
        let target = format!("{store}{path}");
        if same(&source, &target)? || (path == MACHINE_ID && !valid(&source)) {
            continue;
        }
        let like = [store.to_owned()];
        ensure!(layers::parents(&like, Some(root), &path)?, "something is in the way of {target}");
        put(&source, &target)?;
        saved.saved.push(path);
    }
    // Without its directory the root tells nothing about the files.
    if Path::new(&here).is_dir() {
        for name in names(&format!("{store}{parent}"), pattern)?.into_iter().filter(|name| !found.contains(name)) {
            let gone = format!("{store}{parent}/{name}");
            remove(&gone)?;
            sync_parent(&gone)?;
            saved.removed.push(format!("{parent}/{name}"));
        }
    }
    Ok(saved)
}

/// One at a time: at the shutdown the unit may still be at it. The boot has made the directory: where it is not
/// there, its file system has been unmounted.
fn lock(store: &str) -> Result<File> {
    let file = File::open(store).with_context(|| format!("opening {store}"))?;
    flock(&file, FlockOperation::LockExclusive).with_context(|| format!("locking {store}"))?;
    Ok(file)
}

/// Names of files and links in a directory that fit, sorted; none where the directory is not there.
fn names(directory: &str, pattern: &str) -> Result<Vec<String>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.with_context(|| format!("reading {directory}"))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("reading {directory}"))?;
        let kind = entry.file_type().with_context(|| format!("looking at what is in {directory}"))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if (kind.is_file() || kind.is_symlink()) && fits(pattern, &name) && !name.ends_with(UNFINISHED) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

fn valid(path: &str) -> bool {
    fs::read_to_string(path).is_ok_and(|text| is_machine_id(&text))
}

/// Whether two files are alike in what is kept of them.
fn same(one: &str, other: &str) -> Result<bool> {
    let Ok(there) = fs::symlink_metadata(other) else { return Ok(false) };
    let here = fs::symlink_metadata(one).with_context(|| format!("looking at {one}"))?;
    let key = |metadata: &Metadata| (metadata.mode(), metadata.uid(), metadata.gid(), metadata.len());
    if key(&here) != key(&there) {
        return Ok(false);
    }
    if here.file_type().is_symlink() {
        return Ok(fs::read_link(one)? == fs::read_link(other)?);
    }
    same_content(one, other).with_context(|| format!("comparing {one} with {other}"))
}

fn same_content(one: &str, other: &str) -> std::io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let (mut a, mut b) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        let len = one.read(&mut a)?;
        let part = b.get_mut(..len).unwrap_or_default();
        if len == 0 {
            return Ok(true);
        }
        match other.read_exact(part) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        if a.get(..len) != Some(&*part) {
            return Ok(false);
        }
    }
}

/// Copies a file or link so that a reader sees the old one or the new one, also after a power cut.
fn put(from: &str, to: &str) -> Result<()> {
    let metadata = fs::symlink_metadata(from).with_context(|| format!("looking at {from}"))?;
    let (directory, name) = parts(to);
    let new = format!("{directory}/.{name}{UNFINISHED}");
    remove(&new)?;
    let copied = tree::node(from, &metadata, &new).and_then(|()| finish(&metadata, &new, to));
    if copied.is_err() {
        let _ = fs::remove_file(&new);
    }
    copied
}

fn finish(metadata: &Metadata, new: &str, to: &str) -> Result<()> {
    if metadata.is_file() {
        File::open(new).and_then(|file| file.sync_all()).with_context(|| format!("syncing {new}"))?;
    }
    fs::rename(new, to).with_context(|| format!("renaming {new} to {to}"))?;
    sync_parent(to)
}

/// Writes a small file of our own, with the attributes of `like` where there is one.
///
/// # Errors
/// Those of the file system.
pub fn write(to: &str, text: &str, mode: u32, like: Option<&str>) -> Result<()> {
    let (directory, name) = parts(to);
    let new = format!("{directory}/.{name}{UNFINISHED}");
    remove(&new)?;
    fs::write(&new, text).with_context(|| format!("writing {new}"))?;
    if let Some(like) = like {
        copy_attributes(like, &new)?;
    }
    rustix::fs::chmod(&new, rustix::fs::Mode::from_raw_mode(mode)).with_context(|| format!("writing {new}"))?;
    finish(&fs::symlink_metadata(&new)?, &new, to)
}

#[cfg(test)]
#[path = "keepfiles_tests.rs"]
mod tests;
