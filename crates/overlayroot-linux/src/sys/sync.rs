// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes names durable: what fsync(2) of a directory is for.

use anyhow::{Context, Result};
use rustix::fs::{CWD, Mode, OFlags, fsync, openat, syncfs};
use rustix::io::Errno;
use std::path::Path;

/// Makes what happened to the names in a directory durable.
pub fn sync(directory: &str) -> Result<()> {
    // No pipe in its place is waited for.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match openat(CWD, directory, flags, Mode::empty()).and_then(fsync) {
        // A directory that is not made yet holds no name.
        Err(Errno::NOENT) => Ok(()),
        result => result.with_context(|| format!("syncing {directory}")),
    }
}

/// Has everything that was written to the file system of a directory on its disk.
pub fn sync_file_system(directory: &str) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let synced = openat(CWD, directory, flags, Mode::empty()).and_then(syncfs);
    synced.with_context(|| format!("syncing the file system of {directory}"))
}

/// Makes durable what happened to the name of a path, in the directory that it is in.
pub fn sync_parent(path: &str) -> Result<()> {
    sync(Path::new(path).parent().and_then(Path::to_str).unwrap_or("/"))
}
