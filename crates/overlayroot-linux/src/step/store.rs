// SPDX-License-Identifier: GPL-2.0-or-later
//! Directories of an upper on its file system: making, resetting, remembering.
//!
//! Those are called by their names: this runs in the initramfs, before anybody else does, and the place is one that
//! only root gets to. What an earlier system left there was looked at ([`crate::step::preflight`]), and each part of a way is
//! looked at before it is used. Files are made in [`crate::sys::newfile`].

use crate::step::layers;
use crate::sys::attributes::copy_attributes;
use crate::sys::files::read_small;
use crate::sys::newfile::write_durable;
use crate::sys::{btrfs, remove_tree};
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::facts::Fingerprint;
use overlayroot_core::feature::stale;
use overlayroot_core::layout::{ASIDE, Store};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// Makes upper and work. A new or empty upper gets the attributes of `like`, for the merged root
/// shows the upper's (kernel: overlayfs.rst); one with content keeps its own.
///
/// # Errors
/// Those of the file system; where something else is in the upper's subvolume.
pub fn make(store: &Store, like: &str) -> Result<()> {
    make_within(store, like, BOOT_SWEEP)
}

/// The same, with so long for emptying the work directory.
///
/// # Errors
/// As [`make`].
pub fn make_within(store: &Store, like: &str, time: Duration) -> Result<()> {
    if let Some(subvolume) = &store.subvolume {
        btrfs::make(subvolume)?;
        only_ours(subvolume)?;
    }
    let new_upper = make_new(&store.upper).with_context(|| format!("making the upper {}", store.upper))?;
    // The kernel cleans its own leftovers only two levels deep; what is deeper makes the mount
    // read-only while mount(2) reports success, and a `volatile` marker refuses it.
    if !make_new(&store.work).with_context(|| format!("making the work directory {}", store.work))? {
        empty_work(store, time)?;
    }
    if new_upper || fs::read_dir(&store.upper)?.next().is_none() {
        copy_attributes(like, &store.upper)?;
    }
    Ok(())
}

/// Makes a directory, with its parents. Gives back whether it is new for sure, and so empty.
fn make_new(directory: &str) -> io::Result<bool> {
    match fs::create_dir(directory) {
        Ok(()) => Ok(true),
        Err(_) => fs::create_dir_all(directory).map(|()| false),
    }
}

/// A subvolume goes as a whole when it is reset: nothing but upper, work, and what was left of works may be in it.
///
/// # Errors
/// The name of what else is.
pub fn only_ours(subvolume: &str) -> Result<()> {
    for entry in fs::read_dir(subvolume).with_context(|| format!("reading {subvolume}"))? {
        let name = entry?.file_name();
        let ours = name == "upper" || name == "work" || name == ASIDE;
        ensure!(ours, "{subvolume} holds {}, which is not of overlayroot-rs", name.to_string_lossy());
    }
    Ok(())
}

/// How long a boot empties a directory; what is left of it is the host's to remove.
pub(crate) const BOOT_SWEEP: Duration = Duration::from_secs(5);

/// Empties the work directory, or, where that takes long, puts it into the trash and makes another. Links are
/// removed, never followed.
fn empty_work(store: &Store, time: Duration) -> Result<()> {
    let work = &store.work;
    let end = Instant::now() + time;
    let swept = remove_tree::empty(work, &mut || Instant::now() >= end)?;
    if swept.stopped {
        aside_work(store).with_context(|| format!("{work} has too much in it to be emptied at a boot"))?;
        return fs::create_dir_all(work).with_context(|| format!("making the work directory {work}"));
    }
    ensure!(swept.left == 0, "{} entries of {work} can't be removed", swept.left);
    Ok(())
}

/// Puts a whiteout at `path` into the upper: a character device 0:0 (kernel: overlayfs.rst). The directories
/// on the way get the attributes that `like`, the lower, has there.
///
/// # Errors
/// Where something else has that name in the upper already; it is left alone.
pub fn hide(upper: &str, like: &str, path: &str) -> Result<()> {
    if !layers::parents(&[upper.to_owned(), like.to_owned()], Some(like), path)? {
        // Removed or replaced in the merged root: what was below is not seen anyway.
        return Ok(());
    }
    let target = format!("{upper}{path}");
    match fs::symlink_metadata(&target) {
        Ok(metadata) if metadata.file_type().is_char_device() && metadata.rdev() == 0 => Ok(()),
        Ok(_) => bail!("the upper has something of its own at {path}: where it lies is not hidden"),
        Err(_) => {
            let made = mknodat(CWD, &target, FileType::CharacterDevice, Mode::empty(), 0);
            made.with_context(|| format!("making the whiteout {target}"))
        }
    }
}

/// Stores the lower's fingerprint, unless one is there: it tells on which lower the upper was begun. An
/// empty file is what a cut of an earlier version left.
pub fn remember(path: &str, fingerprint: &Fingerprint) -> Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        return Ok(());
    }
    remember_anew(path, fingerprint)
}

/// Stores the lower's fingerprint in place of what is there.
pub fn remember_anew(path: &str, fingerprint: &Fingerprint) -> Result<()> {
    if let Some(parent) = Path::new(path).parent() {
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    let text = serde_json::to_string(fingerprint).context("writing the fingerprint as JSON")?;
    let same = |text: &String| stale::parse(text).as_ref() == Some(fingerprint);
    let text = with(&text, described(path).as_deref()).filter(same).unwrap_or(text);
    write_durable(path, &text)
}

/// What `overlayctl uppers describe` puts behind a fingerprint, as the last field of its file.
pub const DESCRIPTION: &str = ",\"description\":\"";

/// That field, from its comma to the end of the file.
pub fn described(path: &str) -> Option<String> {
    let text = String::from_utf8(read_small(path).ok()?).ok()?;
    text.find(DESCRIPTION).and_then(|at| text.get(at..)).map(|field| field.trim_end().to_owned())
}

/// A fingerprint's text with another such field, or without.
pub fn with(text: &str, field: Option<&str>) -> Option<String> {
    let plain = text.find(DESCRIPTION).map_or(text.trim_end().strip_suffix('}'), |at| text.get(..at))?;
    Some(format!("{plain}{}", field.unwrap_or("}")))
}

/// Whether there is an upper of this name beside another one. One that a reset has moved, and that was cut then, is made
/// by the next boot with it: there is one.
pub fn is_beside(store: &Store, name: &str) -> bool {
    let is = |path: &str, directory: bool| fs::symlink_metadata(path).is_ok_and(|found| found.is_dir() == directory);
    store.beside(name).is_some_and(|other| is(other.whole(), true) || is(&other.marker, false))
}

/// Moves the work directory out of the way, for the host to remove.
pub(crate) fn aside_work(store: &Store) -> Result<()> {
    let aside = store.aside();
    fs::create_dir_all(&aside).with_context(|| format!("making {aside}"))?;
    rename(&store.work, &unused(&aside, "work"))
}

/// What is not there needs no move.
pub(crate) fn rename(from: &str, to: &str) -> Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("moving {from} to {to}")),
    }
}

/// A name in the trash that nothing has.
pub fn unused(trash: &str, name: &str) -> String {
    let candidates = (0_u32..).map(|number| format!("{trash}/{name}.{number}"));
    let mut free = candidates.filter(|path| fs::symlink_metadata(path).is_err());
    free.next().unwrap_or_else(|| format!("{trash}/{name}"))
}

#[cfg(test)]
mod tests;
