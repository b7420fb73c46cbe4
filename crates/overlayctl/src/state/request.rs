// SPDX-License-Identifier: GPL-2.0-or-later
//! What the next boot is asked to do with an upper's changes, by `overlayctl commit` or `revert`, and what became of the
//! last request.

use crate::state::hostkernels::lists;
use crate::state::next::{self, Query};
use anyhow::{Context, Result};
use overlayroot_core::feature::commit::{Asked, Committed, PROGRAM, SCHEMA};
use overlayroot_core::layout::{Store, paths};
use overlayroot_core::value::diagnostics::escape;
use overlayroot_linux::sys::newfile::write_durable;
use overlayroot_linux::sys::sync::{sync_file_system, sync_parent};
use overlayroot_linux::sys::{files, json};
use std::fmt;
use std::fs;
use std::io::ErrorKind;

/// Bytes of a result: 100 paths are named in it.
const MOST: u64 = 1 << 20;

/// A request that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// To move changes into the lower.
    Commit(Asked),
    /// To discard those of these paths.
    Revert(Vec<String>),
    /// Something that this version does not understand, in that file.
    Unknown(String),
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |paths: &[String]| paths.iter().map(|path| escape(path)).collect::<Vec<_>>().join(" ");
        match self {
            Self::Commit(asked) => {
                let all = asked.paths.is_empty();
                write!(
                    f,
                    "commit {} into the lower",
                    if all { "all changes".to_owned() } else { shown(&asked.paths) }
                )?;
                if asked.exclude.is_empty() { Ok(()) } else { write!(f, ", without {}", shown(&asked.exclude)) }
            }
            Self::Revert(paths) => write!(f, "revert {}; the changes there will be lost", shown(paths)),
            Self::Unknown(path) => write!(f, "{path} is not valid and will be refused"),
        }
    }
}

/// What the next boot is asked for.
///
/// # Errors
/// Where that can't be read.
pub fn pending(store: &Store) -> Result<Option<Request>> {
    let path = store.commit();
    let text = match files::read_small(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("reading {path}"))?,
    };
    Ok(Some(match serde_json::from_slice::<Asked>(&text) {
        Ok(Asked { revert: Some(paths), .. }) if !paths.is_empty() => Request::Revert(paths),
        Ok(asked) if asked.revert.is_none() => Request::Commit(asked),
        Ok(_) | Err(_) => Request::Unknown(path),
    }))
}

/// Asks the next boot. What it is asked to keep is on the disk before the request is: on btrfs the file of the request
/// could be there alone after a power cut.
///
/// # Errors
/// Those of the file system.
pub fn ask(store: &Store, asked: &Asked) -> Result<()> {
    let path = store.commit();
    let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
    fs::create_dir_all(parent).with_context(|| format!("making {parent}"))?;
    sync_file_system(&store.upper)?;
    write_durable(&path, &format!("{}\n", serde_json::to_string(asked)?))
}

/// Takes the request back. Gives back whether there was one.
///
/// # Errors
/// Those of the file system.
pub fn cancel(store: &Store) -> Result<bool> {
    let path = store.commit();
    match fs::remove_file(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        result => result.with_context(|| format!("removing {path}"))?,
    }
    sync_parent(&path)?;
    Ok(true)
}

/// What became of the request that this boot found.
pub fn result() -> Option<Committed> {
    json::read(paths::COMMITTED, MOST, SCHEMA).ok().flatten()
}

/// Why the next boot could not do it, where its initramfs is known to lack the program. Says where that is not known.
pub fn lacking() -> Option<String> {
    let image = next::find(&Query { lightly: true, ..Query::HERE }).boot.image.path;
    without(image.as_deref(), PROGRAM, "overlayroot_commit")
}

/// The same for any program and the word that puts it into an initramfs.
pub fn without(image: Option<&str>, program: &str, word: &str) -> Option<String> {
    match image.map(|image| (image, lists(image, program))) {
        Some((_, Some(true))) => None,
        Some((image, Some(false))) => Some(format!(
            "{image} has no {program}: put {word}=\"yes\" into a file in /etc/dracut.conf.d, then run dracut --force \
             (in an overlay: in overlayctl shell)"
        )),
        Some((_, None)) | None => {
            eprintln!("overlayctl: not known whether the next boot's initramfs has {program} ({word}=\"yes\")");
            None
        }
    }
}
