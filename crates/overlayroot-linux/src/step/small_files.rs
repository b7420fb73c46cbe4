// SPDX-License-Identifier: GPL-2.0-or-later
//! The small files and links that steps make in /run, and what takes them back.

use crate::step::undo::Undo;
use crate::sys::files::remove;
use crate::sys::mounts;
use crate::sys::newfile::{self, Lasting};
use anyhow::{Context, Result};
use overlayroot_core::layout::paths;
use std::fs;
use std::io::ErrorKind;

/// Clears a place of ours. An unmount uncovers what is below, so it is looked at again.
pub(crate) fn clear(path: &str) -> Result<()> {
    let mounts = mounts::read()?;
    if overlayroot_core::parse::mountinfo::at(&mounts, path).is_some() {
        mounts::unmount(path)?;
    }
    match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.is_dir() => {
            // Never recursive: what is not empty is somebody's, and the step fails.
            fs::remove_dir(path).with_context(|| format!("removing the directory {path}"))
        }
        Ok(_) => remove(path),
    }
}

pub(crate) fn link(at: &str, to: &str) -> Result<()> {
    remove(at)?;
    std::os::unix::fs::symlink(to, at).with_context(|| format!("linking {at} to {to}"))
}

pub(crate) fn write_run(path: &str, text: &str, undos: &mut Vec<Undo>) -> Result<()> {
    mounts::make_parent(path)?;
    newfile::write(path, text.as_bytes(), newfile::ALL_READ, Lasting::Run)?;
    undos.push(Undo::Remove(path.to_owned()));
    Ok(())
}

/// Somebody else's file of that name stays.
pub(crate) fn link_run(path: &str, to: &str, undos: &mut Vec<Undo>) -> Result<()> {
    mounts::make_parent(path)?;
    match std::os::unix::fs::symlink(to, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path == paths::VOLATILE_ROOT => Ok(()),
        Ok(()) => {
            undos.push(Undo::Remove(path.to_owned()));
            Ok(())
        }
        result => result.with_context(|| format!("linking {path} to {to}")),
    }
}
