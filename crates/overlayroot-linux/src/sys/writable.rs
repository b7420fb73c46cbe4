// SPDX-License-Identifier: GPL-2.0-or-later
//! A root that is mounted read-only, writable for a moment.

use crate::sys::mounts::{self, MountFlags};
use anyhow::{Context, Result};
use overlayroot_core::parse::mountinfo;

/// Makes the file system mounted at `at`, and that mount of it, writable.
///
/// # Errors
/// Where the kernel refuses, as it does for a device that can't be written.
pub fn open(at: &str) -> Result<()> {
    mounts::remount_super(at, false)?;
    mounts::set_flags(at, mounts::flags(at)? - MountFlags::RDONLY)
}

/// Does something, and puts back what it has changed of the mount at `at` and of its file system, however it ended.
///
/// # Errors
/// That of what was done; else where nothing is mounted there, or it can't be put back.
pub fn restored<T>(at: &str, inside: impl FnOnce() -> Result<T>) -> Result<T> {
    let is_closed = || -> Result<bool> {
        let mounts = mounts::read()?;
        Ok(mountinfo::at(&mounts, at).with_context(|| format!("{at} is not a mount point"))?.super_read_only())
    };
    let (closed, flags) = (is_closed()?, mounts::flags(at)?);
    let done = inside();
    let mount = if mounts::flags(at)? == flags { Ok(()) } else { mounts::set_flags(at, flags) };
    let whole = if closed && !is_closed()? { mounts::remount_super(at, true) } else { Ok(()) };
    // What was done comes first.
    let done = done?;
    mount.and(whole).with_context(|| format!("making {at} read-only again"))?;
    Ok(done)
}
