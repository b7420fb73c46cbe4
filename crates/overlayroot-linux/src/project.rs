// SPDX-License-Identifier: GPL-2.0-or-later
//! Puts an upper and its work directory into the project whose quota limits them.

use crate::quota::{PROJECT, project_of, set_project};
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, XattrFlags, mknodat};
use std::fs::{self, File, Metadata, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Whether a directory is in the project, so that all that is made in it will be.
pub fn joined(directory: &str) -> Result<bool> {
    let attributes = project_of(&open(Path::new(directory))?);
    Ok(attributes.with_context(|| format!("asking for the project of {directory}"))? == (PROJECT, true))
}

/// Puts a directory into the project, not what is in it.
pub fn mark(directory: &str) -> Result<()> {
    mark_path(Path::new(directory), true)
}

/// Puts an upper into the project with all that is in it. The upper itself goes last, so that a walk that was
/// interrupted is done again.
///
/// # Errors
/// Where a directory can't be marked, or something can't be read. A file that can't be marked is left out.
pub fn join(upper: &str, work: &str) -> Result<()> {
    let (mut joined, mut left_out) = (0_u64, 0_u64);
    let mut waiting = vec![Path::new(upper).to_path_buf()];
    while let Some(directory) = waiting.pop() {
        let context = || format!("reading {}", directory.display());
        let entries: Vec<_> = fs::read_dir(&directory).and_then(Iterator::collect).with_context(context)?;
        for path in entries.iter().map(fs::DirEntry::path) {
            let metadata = path.symlink_metadata().with_context(|| format!("looking at {}", path.display()))?;
            joined += 1;
            if metadata.is_dir() {
                mark_path(&path, true)?;
                waiting.push(path);
            } else if metadata.is_file() {
                if let Err(error) = mark_path(&path, false) {
                    tracing::warn!("not counted against size=: {error:#}");
                    left_out += 1;
                }
            } else {
                renew(&path, &metadata, work)?;
            }
        }
    }
    mark(upper)?;
    if joined > 0 {
        tracing::info!("{joined} files of {upper} put into project {PROJECT}, {left_out} could not be");
    }
    Ok(())
}

fn mark_path(path: &Path, directory: bool) -> Result<()> {
    let marked = open(path).and_then(|file| Ok(set_project(&file, PROJECT, directory)?));
    marked.with_context(|| format!("putting {} into project {PROJECT}", path.display()))
}

fn open(path: &Path) -> Result<File> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
    opened.with_context(|| format!("opening {}", path.display()))
}

/// Links, whiteouts and other nodes can't be opened for the call that would mark them. Left as they are, the
/// kernel would refuse to rename them, and overlayfs to replace them (EXDEV). So each is made anew in the work
/// directory, where it is born in the project.
fn renew(path: &Path, metadata: &Metadata, work: &str) -> Result<()> {
    let new = Path::new(work).join("renewed");
    let context = || format!("making {} anew in project {PROJECT}", path.display());
    let _ = fs::remove_file(&new);
    let mode = Mode::from_raw_mode(metadata.mode() & 0o7777);
    if metadata.is_symlink() {
        let target = fs::read_link(path).with_context(context)?;
        std::os::unix::fs::symlink(target, &new).with_context(context)?;
    } else {
        let kind = FileType::from_raw_mode(metadata.mode());
        mknodat(CWD, &new, kind, mode, metadata.rdev()).with_context(context)?;
    }
    std::os::unix::fs::lchown(&new, Some(metadata.uid()), Some(metadata.gid())).with_context(context)?;
    if !metadata.is_symlink() {
        // Behind chown, which takes setuid off, and without the umask.
        rustix::fs::chmod(&new, mode).with_context(context)?;
    }
    copy_xattrs(path, &new).with_context(context)?;
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    };
    rustix::fs::utimensat(CWD, &new, &times, AtFlags::SYMLINK_NOFOLLOW).with_context(context)?;
    fs::rename(&new, path).with_context(context)
}

/// Labels, and overlayfs's own marks: it is the same layer.
fn copy_xattrs(from: &Path, to: &Path) -> Result<()> {
    let (mut names, mut value) = (vec![0_u8; 65_536], vec![0_u8; 65_536]);
    let len = rustix::fs::llistxattr(from, &mut names)?;
    for name in names.get(..len).unwrap_or_default().split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let len = rustix::fs::lgetxattr(from, name, &mut value)?;
        rustix::fs::lsetxattr(to, name, value.get(..len).unwrap_or_default(), XattrFlags::empty())?;
    }
    Ok(())
}
