// SPDX-License-Identifier: GPL-2.0-or-later
//! The small files and links of a boot: in /run, and hooks of others.

use crate::mounts;
use crate::undo::Undo;
use anyhow::{Context, Result};
use overlayroot_core::paths;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};

/// Most bytes of a small file: what lies in an upper can be of any size, and an initramfs has little RAM.
const MOST: u64 = 1 << 20;

/// Reads a small file of ours.
///
/// # Errors
/// Those of reading; `FileTooLarge` above 1 MiB.
pub fn read_small(path: &str) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Removes a file or link; one that is not there is as good.
pub fn remove(path: &str) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("removing {path}")),
    }
}

/// Clears a place of ours. An unmount uncovers what is below, so it is looked at again.
pub(crate) fn clear(path: &str) -> Result<()> {
    let mounts = mounts::read()?;
    if overlayroot_core::mountinfo::at(&mounts, path).is_some() {
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

/// Makes the directory that a path is in.
pub(crate) fn parent(path: &str) -> Result<()> {
    let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
    mounts::make_dir(parent)
}

pub(crate) fn write_run(path: &str, text: &str, undos: &mut Vec<Undo>) -> Result<()> {
    parent(path)?;
    fs::write(path, text).with_context(|| format!("writing {path}"))?;
    undos.push(Undo::Remove(path.to_owned()));
    Ok(())
}

/// Somebody else's file of that name stays.
pub(crate) fn link_run(path: &str, to: &str, undos: &mut Vec<Undo>) -> Result<()> {
    parent(path)?;
    match std::os::unix::fs::symlink(to, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path == paths::VOLATILE_ROOT => Ok(()),
        Ok(()) => {
            undos.push(Undo::Remove(path.to_owned()));
            Ok(())
        }
        result => result.with_context(|| format!("linking {path} to {to}")),
    }
}
