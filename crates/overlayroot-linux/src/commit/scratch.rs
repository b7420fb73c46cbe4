// SPDX-License-Identifier: GPL-2.0-or-later
//! Where copies are made before they get their names: a directory of the lower that a whiteout hides from the overlay.

use crate::commit::below;
use crate::commit::calls::Calls;
use crate::commit::marks::is_whiteout;
use crate::sys::descent;
use anyhow::{Context, Result, ensure};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, FileType, Mode, fstat, linkat, mkdirat, mknodat, statat, syncfs, unlinkat};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::CStr;

/// Its name in the root, and that of its whiteout.
pub const SCRATCH: &str = ".overlayroot-rs.commit";
/// Copies that are not whole yet.
const NEW: &str = "new";
/// A second name of each file with several, until the last of them has its place.
const LINKS: &str = "links";

pub(super) struct Scratch {
    pub(super) new: OwnedFd,
    pub(super) links: OwnedFd,
    /// An earlier run has left second names.
    pub(super) has_old: bool,
    /// Files with several names of which one was copied in this run, by their number in the upper.
    groups: HashSet<u64>,
}

impl Scratch {
    /// Makes it, or opens what an earlier run has left, without its unfinished copies.
    pub(super) fn open(calls: &mut Calls, upper: &OwnedFd, lower: &OwnedFd) -> Result<Self> {
        match statat(upper, SCRATCH, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => ensure!(is_whiteout(&stat), "/{SCRATCH} is in the way"),
            Err(Errno::NOENT) => {
                calls.next()?;
                let made = mknodat(upper, SCRATCH, FileType::CharacterDevice, Mode::empty(), 0);
                made.with_context(|| format!("hiding /{SCRATCH}"))?;
                // No cut may leave the directory without what hides it.
                syncfs(upper).context("syncing the upper")?;
            }
            Err(error) => return Err(error).with_context(|| format!("looking for /{SCRATCH}")),
        }
        let context = || format!("making /{SCRATCH} in the lower");
        let scratch = directory(calls, lower, SCRATCH).with_context(context)?;
        // What is made in it must inherit nothing.
        match rustix::fs::fremovexattr(&scratch, "system.posix_acl_default") {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error).with_context(context),
        }
        let new = directory(calls, &scratch, NEW).with_context(context)?;
        let links = directory(calls, &scratch, LINKS).with_context(context)?;
        below::empty(calls, &new)?;
        let has_old = !descent::names(&links)?.is_empty();
        Ok(Self { new, links, has_old, groups: HashSet::new() })
    }

    /// Whether another name of this file was copied in this run.
    pub(super) fn knows(&self, ino: u64) -> bool {
        self.groups.contains(&ino)
    }

    /// Keeps a second name of what was just made.
    pub(super) fn remember(&mut self, name: &CStr, ino: u64) -> Result<()> {
        self.groups.insert(ino);
        let link = ino.to_string();
        match unlinkat(&self.links, &link, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        match linkat(&self.new, name, &self.links, &link, AtFlags::empty()) {
            // More names than the lower's file system has for one file: there will be two files.
            Ok(()) | Err(Errno::MLINK) => Ok(()),
            Err(error) => Err(error).context("keeping a second name"),
        }
    }
}

/// Removes all of it, and what hides it.
pub(super) fn remove(calls: &mut Calls, upper: &OwnedFd, lower: &OwnedFd) -> Result<()> {
    match statat(lower, SCRATCH, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => below::remove(calls, lower, c".overlayroot-rs.commit", &stat)?,
        Err(Errno::NOENT) => {}
        Err(error) => return Err(error).with_context(|| format!("looking for /{SCRATCH}")),
    }
    calls.next()?;
    syncfs(lower).context("syncing the lower")?;
    match statat(upper, SCRATCH, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if is_whiteout(&stat) => {
            calls.next()?;
            unlinkat(upper, SCRATCH, AtFlags::empty()).with_context(|| format!("removing what hides /{SCRATCH}"))
        }
        Ok(_) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error).with_context(|| format!("looking for /{SCRATCH}")),
    }
}

fn directory(calls: &mut Calls, at: &OwnedFd, name: &str) -> Result<OwnedFd> {
    calls.next()?;
    match mkdirat(at, name, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let opened = descent::open(at, name)?;
    ensure!(fstat(&opened)?.st_uid == 0, "{name} is another user's");
    Ok(opened)
}
