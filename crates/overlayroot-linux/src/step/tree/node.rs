// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies one thing that is no directory.

use crate::sys::attributes::{beside, by_descriptor, copy_attributes_of, copy_xattrs, times};
use crate::sys::{files, newfile};
use anyhow::Result;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Uid, XattrFlags, chmodat, chownat, mknodat, openat,
    readlinkat, seek, symlinkat, utimensat,
};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Copies one thing that is no directory to a name that is free; false for sockets, which are left out.
pub(crate) fn copy(from: BorrowedFd<'_>, name: &CStr, stat: &Stat, to: &OwnedFd) -> Result<bool> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => link(from, name, stat, to)?,
        FileType::RegularFile => {
            let source = files::open_at(from, name)?;
            let target = newfile::inside(to, name.to_bytes())?;
            content(&source, &target)?;
            copy_attributes_of(&source, &target)?;
        }
        FileType::Socket => return Ok(false),
        kind @ (FileType::Directory
        | FileType::Fifo
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown) => {
            mknodat(to, name, kind, Mode::from_raw_mode(0o600), stat.st_rdev)?;
            owner(to, name, stat)?;
            // It is the one that was just made.
            chmodat(to, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let [old, new] = [openat(from, name, flags, Mode::empty())?, openat(to, name, flags, Mode::empty())?];
            copy_xattrs(Path::new(&by_descriptor(&old)), Path::new(&by_descriptor(&new)))?;
            utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?;
        }
    }
    Ok(true)
}

/// Without its holes: a file whose content is in another layer of a store (metacopy) is nothing but one. What has its
/// room stays so: a swap file may have no hole, and one that was never written looks like one.
fn content(mut source: &File, mut target: &File) -> io::Result<()> {
    let metadata = source.metadata()?;
    if metadata.blocks() * 512 >= metadata.len() {
        return io::copy(&mut source, &mut target).map(drop);
    }
    let mut at = 0;
    loop {
        at = match seek(source, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            other => other?,
        };
        let end = seek(source, SeekFrom::Hole(at))?;
        seek(source, SeekFrom::Start(at))?;
        seek(target, SeekFrom::Start(at))?;
        io::copy(&mut source.take(end - at), &mut target)?;
        at = end;
    }
    target.set_len(metadata.len())
}

fn owner(to: impl AsFd, name: &CStr, stat: &Stat) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

fn link(from: BorrowedFd<'_>, name: &CStr, stat: &Stat, to: &OwnedFd) -> Result<()> {
    symlinkat(readlinkat(from, name, Vec::new())?, to, name)?;
    owner(to, name, stat)?;
    let mut label = vec![0; 4096];
    // The one attribute that links have.
    let len = rustix::fs::lgetxattr(beside(from, name), "security.selinux", &mut label).unwrap_or(0);
    if let Some(label) = label.get(..len).filter(|label| !label.is_empty()) {
        rustix::fs::lsetxattr(beside(to, name), "security.selinux", label, XattrFlags::empty())?;
    }
    Ok(utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
}
