// SPDX-License-Identifier: GPL-2.0-or-later
//! Single files that are kept. Mounting over a file would make its replacement fail (rename(2), EBUSY), so they are
//! copied: before the overlay is mounted from the store into the upper, and later what has changed back again.
//!
//! Users can write where such files lie, and whoever had the disk could write the store. So a directory is opened
//! once, with no link on the way that others can have made, and a file once: bytes and attributes come from the
//! descriptors, whatever gets the names meanwhile.

use crate::step::kept::{Kept, put, read_id, same};
use crate::step::layers;
use crate::sys::attributes::{copy_attributes, copy_attributes_of};
use crate::sys::inroot::{self, Links};
use crate::sys::newfile::{Lasting, NewFile};
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::path::preset::MACHINE_ID;
use overlayroot_core::path::{fits, parts};
use overlayroot_core::value::order::sorted;
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, flock, fsync, mkdirat, openat, statat, unlinkat,
};
use rustix::io::Errno;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// End of the names of copies that are not whole yet.
const UNFINISHED: &str = ".overlayroot-rs.new";
/// Most files that one pattern keeps.
const MOST_FILES: usize = 10_000;
/// How long another that saves is waited for.
const WAIT: Duration = Duration::from_secs(60);

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

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
/// Those of the file systems; where the store has a link or a file on the way.
pub fn restore(store: &str, path: &str, layers: &[String]) -> Result<usize> {
    let (parent, pattern) = parts(path);
    let Some(from) = directory(store, parent, Links::No)? else { return Ok(0) };
    let mut count = 0;
    for name in names(&from, pattern)? {
        let path = format!("{parent}/{name}");
        let Some(upper) = layers.first() else { bail!("there is no upper") };
        let there = directory(upper, parent, Links::No)?;
        if there.is_some_and(|there| statat(&there, &name, AtFlags::SYMLINK_NOFOLLOW).is_ok()) {
            continue;
        }
        if layers::find(layers, &path).is_some_and(|(_, metadata)| metadata.is_dir()) {
            bail!("{path} is a directory in the root, and a file in the store");
        }
        ensure!(layers::parents(layers, Some(store), &path)?, "something is in the way of {path}");
        let to = directory(upper, parent, Links::No)?.with_context(|| format!("there is no {upper}{parent}"))?;
        let kept = Kept::open(&from, &name).with_context(|| format!("opening {store}{path}"))?;
        put(&kept, &to, &unfinished(&name), &name).with_context(|| format!("copying {store}{path} to {upper}"))?;
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
    // Without its directory the root tells nothing about the files.
    let Some(from) = directory(root, parent, Links::Own)? else { return Ok(saved) };
    let found = names(&from, pattern)?;
    let is_dir = |name: &str| {
        statat(&from, name, AtFlags::SYMLINK_NOFOLLOW)
            .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    };
    if found.is_empty() && is_dir(pattern) {
        bail!("{path} is a directory: ask for it with a / at its end");
    }
    for name in &found {
        let path = format!("{parent}/{name}");
        let there = directory(store, parent, Links::No)?;
        let kept = match Kept::open(&from, name) {
            // Gone since it was listed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            kept => kept.with_context(|| format!("opening {path}"))?,
        };
        let alike = there.map(|there| same(&kept, &there, name)).transpose();
        if alike.with_context(|| format!("comparing {path} with what is kept"))? == Some(true) {
            continue;
        }
        if path == MACHINE_ID && read_id(&kept).is_none() {
            continue;
        }
        let to = parents(store, root, parent)?;
        put(&kept, &to, &unfinished(name), name).with_context(|| format!("copying {path} to {store}"))?;
        saved.saved.push(path);
    }
    let Some(kept) = directory(store, parent, Links::No)? else { return Ok(saved) };
    for name in names(&kept, pattern)?.into_iter().filter(|name| !found.contains(name)) {
        let gone = unlinkat(&kept, &name, AtFlags::empty()).and_then(|()| fsync(&kept));
        gone.with_context(|| format!("removing {store}{parent}/{name}"))?;
        saved.removed.push(format!("{parent}/{name}"));
    }
    Ok(saved)
}

fn unfinished(name: &str) -> String {
    format!(".{name}{UNFINISHED}")
}

/// One at a time: at the shutdown the unit may still be at it. The boot has made the directory: where it is not
/// there, its file system has been unmounted.
fn lock(store: &str) -> Result<OwnedFd> {
    let file = inroot::open("/", store, DIRECTORY, Links::Own).with_context(|| format!("opening {store}"))?;
    let end = Instant::now() + WAIT;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) if Instant::now() < end => sleep(Duration::from_millis(100)),
            result => {
                result.with_context(|| format!("locking {store}"))?;
                return Ok(file);
            }
        }
    }
}

/// A directory below `base`; nothing where it is not there.
fn directory(base: &str, path: &str, links: Links) -> Result<Option<OwnedFd>> {
    match inroot::open(base, path, DIRECTORY, links) {
        Ok(directory) => Ok(Some(directory)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::LOOP) => bail!("{path} below {base} is reached by a link that others can have made"),
        Err(Errno::NOTDIR) => bail!("something is in the way of {path} below {base}: it is not a directory"),
        Err(error) => Err(error).with_context(|| format!("opening {path} below {base}")),
    }
}

/// Makes the directories of the store on the way to `parent`, with the attributes that they have below `root`.
fn parents(store: &str, root: &str, parent: &str) -> Result<OwnedFd> {
    let mut at = inroot::open("/", store, DIRECTORY, Links::Own).with_context(|| format!("opening {store}"))?;
    let mut way = String::new();
    for part in parent.split('/').filter(|part| !part.is_empty()) {
        way = format!("{way}/{part}");
        let context = || format!("making {store}{way}");
        at = match openat(&at, part, DIRECTORY, Mode::empty()) {
            Err(Errno::NOENT) => {
                mkdirat(&at, part, Mode::RWXU).with_context(context)?;
                let made = openat(&at, part, DIRECTORY, Mode::empty()).with_context(context)?;
                if let Some(like) = directory(root, &way, Links::Own)? {
                    copy_attributes_of(like, &made)?;
                }
                made
            }
            other => other.with_context(|| format!("{store}{way} is a link or no directory"))?,
        };
    }
    Ok(at)
}

/// Names of files and links in a directory that fit, sorted.
fn names(directory: &OwnedFd, pattern: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory).context("reading a directory")? {
        let entry = entry.context("reading a directory")?;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if !fits(pattern, name) || name.ends_with(UNFINISHED) {
            continue;
        }
        let mut kind = entry.file_type();
        if kind == FileType::Unknown {
            kind = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
                .map_or(FileType::Unknown, |stat| FileType::from_raw_mode(stat.st_mode));
        }
        if matches!(kind, FileType::RegularFile | FileType::Symlink) {
            ensure!(names.len() < MOST_FILES, "more than {MOST_FILES} files fit {pattern}");
            names.push(name.to_owned());
        }
    }
    Ok(sorted(names))
}

/// Writes a small file of our own to `path` below `base`, with the attributes of `like` where there is one. Its
/// directory is there.
///
/// # Errors
/// Those of the file system.
pub fn write(base: &str, path: &str, text: &str, mode: u32, like: Option<&str>) -> Result<()> {
    let context = || format!("writing {base}{path}");
    let (parent, name) = parts(path);
    let to = directory(base, parent, Links::No)?.with_context(context)?;
    let mut new = NewFile::at(&to, &unfinished(name), name).with_context(context)?;
    new.file().write_all(text.as_bytes()).with_context(context)?;
    if let Some(like) = like {
        copy_attributes(like, crate::sys::attributes::by_descriptor(new.file()))?;
    }
    new.mode(mode).with_context(context)?;
    new.finish(Lasting::Disk).with_context(context)
}

#[cfg(test)]
mod tests;
