// SPDX-License-Identifier: GPL-2.0-or-later
//! One file or link that is kept: opened once, compared and copied by that descriptor.

use crate::sys::attributes::{by_descriptor, copy_attributes_of, times};
use crate::sys::files;
use crate::sys::newfile::{Lasting, NewFile};
use crate::sys::statvfs::room;
use overlayroot_core::path::preset::is_machine_id;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags, chownat, fstat, fsync, openat, readlinkat,
    renameat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek};

/// What is kept under a name.
pub(crate) enum Kept {
    /// A file.
    File(File, Stat),
    /// A link, and what it points at.
    Link(OwnedFd, Stat, Vec<u8>),
}

impl Kept {
    /// Opens it; what is neither file nor link is an error.
    pub(crate) fn open(directory: &OwnedFd, name: &str) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = openat(directory, name, flags, Mode::empty())?;
        let stat = fstat(&found)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                let target = readlinkat(&found, "", Vec::new())?.into_bytes();
                Ok(Self::Link(found, stat, target))
            }
            FileType::RegularFile => {
                // Of what was looked at, whatever has the name now.
                let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let file = openat(CWD, format!("/proc/self/fd/{}", found.as_raw_fd()), flags, Mode::empty())?;
                Ok(Self::File(File::from(file), stat))
            }
            FileType::Directory
            | FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => {
                Err(io::Error::new(ErrorKind::InvalidInput, "it is neither a file nor a link any more"))
            }
        }
    }

    fn stat(&self) -> &Stat {
        match self {
            Self::File(_, stat) | Self::Link(_, stat, _) => stat,
        }
    }
}

/// The machine-id that is in it, if it is one.
pub(crate) fn read_id(kept: &Kept) -> Option<String> {
    let Kept::File(file, _) = kept else { return None };
    let mut file = file.try_clone().ok()?;
    file.rewind().ok()?;
    let text = String::from_utf8(files::bytes(file, 64).ok()?).ok()?;
    is_machine_id(&text).then_some(text)
}

/// Whether what has the name in a directory is alike in what is kept of it.
pub(crate) fn same(kept: &Kept, directory: &OwnedFd, name: &str) -> io::Result<bool> {
    let Ok(other) = Kept::open(directory, name) else { return Ok(false) };
    let key = |stat: &Stat| (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_size);
    if key(kept.stat()) != key(other.stat()) {
        return Ok(false);
    }
    match (kept, &other) {
        (Kept::Link(.., target), Kept::Link(.., other)) => Ok(target == other),
        (Kept::File(file, stat), Kept::File(other, _)) => same_content(file, other, stat),
        _ => Ok(false),
    }
}

fn same_content(mut one: &File, mut other: &File, stat: &Stat) -> io::Result<bool> {
    one.rewind()?;
    let (mut a, mut b) = (vec![0; 65_536], vec![0; 65_536]);
    let mut left = u64::try_from(stat.st_size).unwrap_or(0);
    // Both are read no further than they were long: one may grow without end.
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(a.len());
        let len = one.read(a.get_mut(..most).unwrap_or_default())?;
        let part = b.get_mut(..len).unwrap_or_default();
        match other.read_exact(part) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        if len == 0 || a.get(..len) != Some(&*part) {
            return Ok(false);
        }
        left -= len as u64;
    }
    Ok(true)
}

/// Copies it to `name` in a directory, by way of `new`, so that a reader sees the old one or the new one, also after
/// a power cut.
pub(crate) fn put(kept: &Kept, to: &OwnedFd, new: &str, name: &str) -> anyhow::Result<()> {
    match kept {
        Kept::File(file, stat) => {
            let size = u64::try_from(stat.st_size).unwrap_or(0);
            let free = room(&by_descriptor(to))?.available;
            anyhow::ensure!(size <= free, "it has {} KiB, and {} KiB are free", size >> 10, free >> 10);
            let mut made = NewFile::at(to, new, name)?;
            let mut from = file;
            from.rewind()?;
            io::copy(&mut from.take(size), made.file())?;
            copy_attributes_of(file, made.file())?;
            Ok(made.finish(Lasting::Disk)?)
        }
        Kept::Link(from, stat, target) => {
            let put = link(from, stat, target, to, new).and_then(|()| {
                renameat(to, new, to, name)?;
                Ok(fsync(to)?)
            });
            if put.is_err() {
                let _ = unlinkat(to, new, AtFlags::empty());
            }
            Ok(put?)
        }
    }
}

fn link(from: &OwnedFd, stat: &Stat, target: &[u8], to: &OwnedFd, new: &str) -> io::Result<()> {
    match unlinkat(to, new, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    symlinkat(target, to, new)?;
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    chownat(to, new, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    // The one attribute that links have.
    let mut label = vec![0; 4096];
    let len = rustix::fs::getxattr(by_descriptor(from), "security.selinux", &mut label).unwrap_or(0);
    if let Some(label) = label.get(..len).filter(|label| !label.is_empty()) {
        rustix::fs::lsetxattr(format!("{}/{new}", by_descriptor(to)), "security.selinux", label, XattrFlags::empty())?;
    }
    Ok(utimensat(to.as_fd(), new, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
}
