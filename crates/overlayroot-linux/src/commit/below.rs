// SPDX-License-Identifier: GPL-2.0-or-later
//! Removes from the lower what the upper hides.

use crate::commit::calls::{Calls, Cut};
use crate::sys::descent::{self, is_directory};
use crate::sys::remove_tree;
use anyhow::{Context, Result, ensure};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Stat, unlinkat};
use std::ffi::CStr;

/// Removes what has a name, whatever it is.
pub(super) fn remove(calls: &mut Calls, lower: &OwnedFd, name: &CStr, stat: &Stat) -> Result<()> {
    let flags = if is_directory(stat) {
        empty(calls, &descent::open(lower, name)?)?;
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    calls.next()?;
    unlinkat(lower, name, flags).context("removing it from the lower")
}

/// Removes what is in a directory.
pub(super) fn empty(calls: &mut Calls, directory: &OwnedFd) -> Result<()> {
    let mut cut = false;
    let swept = remove_tree::empty_open(directory.as_fd(), &mut || {
        cut = calls.next().is_err();
        cut
    })?;
    if cut {
        return Err(Cut.into());
    }
    ensure!(swept.left == 0, "{} files of the lower below it can't be removed", swept.left);
    Ok(())
}
