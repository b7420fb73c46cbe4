// SPDX-License-Identifier: GPL-2.0-or-later
//! Puts an upper and its work directory into the project whose quota limits them. By descriptors: what is in an upper
//! is whatever users of an earlier system left there, and may be nested further than a path can be long.

use crate::sys::attributes::{beside, times};
use crate::sys::descent::{self, Visitor};
use crate::sys::quota::{PROJECT, project_of, set_project};
use anyhow::{Context, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags, chmodat, chownat, mknodat, openat, readlinkat,
    renameat, symlinkat, unlinkat, utimensat,
};
use std::ffi::CStr;
use std::fs::File;

/// Whether a directory is in the project, so that all that is made in it will be.
pub fn joined(directory: &str) -> Result<bool> {
    let opened = open(CWD, directory).with_context(|| format!("opening {directory}"))?;
    let attributes = project_of(&opened);
    Ok(attributes.with_context(|| format!("asking for the project of {directory}"))? == (PROJECT, true))
}

/// Puts a directory into the project, not what is in it.
pub fn mark(directory: &str) -> Result<()> {
    mark_at(CWD, directory, true).with_context(|| format!("putting {directory} into project {PROJECT}"))
}

/// Puts an upper into the project with all that is in it. The upper itself goes last, so that a walk that was
/// interrupted is done again.
///
/// # Errors
/// Where a directory can't be marked, or something can't be read. A file that can't be marked is left out.
pub fn join(upper: &str, work: &str) -> Result<()> {
    let work = descent::open(CWD, work).with_context(|| format!("opening {work}"))?;
    let mut join = Join { work, joined: 0, left_out: 0 };
    descent::walk(upper, &mut join)?;
    mark(upper)?;
    let Join { joined, left_out, .. } = join;
    if joined > 0 {
        crate::log::info!("{joined} files of {upper} put into project {PROJECT}, {left_out} could not be");
    }
    Ok(())
}

struct Join {
    work: OwnedFd,
    joined: u64,
    left_out: u64,
}

impl Visitor for Join {
    fn entry(&mut self, directory: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<bool> {
        let context = || format!("putting {} into project {PROJECT}", name.to_string_lossy());
        self.joined += 1;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                mark_at(directory, name, true).with_context(context)?;
                return Ok(true);
            }
            FileType::RegularFile => {
                if let Err(error) = mark_at(directory, name, false).with_context(context) {
                    crate::log::warning!("not counted against size=: {error:#}");
                    self.left_out += 1;
                }
            }
            FileType::Symlink
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => renew(directory, name, stat, &self.work).with_context(context)?,
        }
        Ok(false)
    }

    fn leave(&mut self, _directory: BorrowedFd<'_>) -> Result<()> {
        Ok(())
    }
}

fn mark_at(at: impl AsFd, name: impl rustix::path::Arg, directory: bool) -> Result<()> {
    Ok(set_project(&open(at, name)?, PROJECT, directory)?)
}

fn open(at: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(openat(at, name, flags, Mode::empty())?))
}

/// Links, whiteouts and other nodes can't be opened for the call that would mark them. Left as they are, the
/// kernel would refuse to rename them, and overlayfs to replace them (EXDEV). So each is made anew in the work
/// directory, where it is born in the project.
fn renew(directory: BorrowedFd<'_>, name: &CStr, stat: &Stat, work: &OwnedFd) -> Result<()> {
    let new = c"renewed";
    let _ = unlinkat(work, new, AtFlags::empty());
    let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind == FileType::Symlink {
        symlinkat(readlinkat(directory, name, Vec::new())?, work, new)?;
    } else {
        mknodat(work, new, kind, mode, stat.st_rdev)?;
    }
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(work, new, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if kind != FileType::Symlink {
        // Behind chown, which takes setuid off, and without the umask.
        chmodat(work, new, mode, AtFlags::empty())?;
    }
    copy_xattrs(&beside(directory, name), &beside(work, new))?;
    utimensat(work, new, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(renameat(work, new, directory, name)?)
}

/// Labels, and overlayfs's own marks: it is the same layer.
fn copy_xattrs(from: &[u8], to: &[u8]) -> Result<()> {
    let (mut names, mut value) = (vec![0_u8; 65_536], vec![0_u8; 65_536]);
    let len = rustix::fs::llistxattr(from, &mut names)?;
    for name in names.get(..len).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let len = rustix::fs::lgetxattr(from, name, &mut value)?;
        rustix::fs::lsetxattr(to, name, value.get(..len).unwrap_or_default(), XattrFlags::empty())?;
    }
    Ok(())
}
