// SPDX-License-Identifier: GPL-2.0-or-later
//! The one place where files are made. Whoever could write in a directory may have put a link, a pipe or a device
//! under any name that we use: a name is cleared and taken with O_EXCL, so that what is written is always a file of
//! our own, and the directory is held by its descriptor from the first step to the last.

use crate::sys::files;
use crate::sys::inroot::{self, Links};
use anyhow::{Context, Result, bail};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags, fchmod, flock, fstat, fsync, openat, renameat, unlinkat};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, absolute};

/// Behind the name of a file that is not whole yet.
const UNFINISHED: &str = ".new";
/// Bits of a mode that are set. Files that are replaced by a rename are for all to read.
pub const ALL_READ: u32 = 0o644;
/// Root's alone.
pub const PRIVATE: u32 = 0o600;

/// How sure it is to be there after a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// Not at all: what is in `/run` does not outlive a boot.
    Run,
    /// File and name are on the disk.
    Disk,
}

/// A file that gets its name only when it is whole.
pub struct NewFile {
    directory: OwnedFd,
    file: File,
    new: String,
    name: String,
    named: bool,
}

impl NewFile {
    /// Begins the file that is to be at `path`, beside it.
    ///
    /// # Errors
    /// Where the directory is not there, is reached by a link that not only root can have made, or takes no file.
    pub fn begin(path: &str) -> Result<Self> {
        let (directory, name) = place(path)?;
        let new = format!("{name}{UNFINISHED}");
        Self::inside(directory, &new, &name).with_context(|| format!("making {path}{UNFINISHED}"))
    }

    /// Begins the file `name` of an open directory as `new`.
    ///
    /// # Errors
    /// Those of open(2).
    pub fn at(directory: impl AsFd, new: &str, name: &str) -> io::Result<Self> {
        Self::inside(directory.as_fd().try_clone_to_owned()?, new, name)
    }

    fn inside(directory: OwnedFd, new: &str, name: &str) -> io::Result<Self> {
        let file = make_anew(&directory, new)?;
        Ok(Self { directory, file, new: new.to_owned(), name: name.to_owned(), named: false })
    }

    /// The open file, for its bytes and attributes; root's alone so far.
    pub fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Gives it its mode, whatever the umask.
    ///
    /// # Errors
    /// Those of fchmod(2).
    pub fn mode(&self, mode: u32) -> io::Result<()> {
        Ok(fchmod(&self.file, Mode::from_raw_mode(mode & 0o7777))?)
    }

    /// Gives it its name, in place of what had it; a directory stays, and is an error.
    ///
    /// # Errors
    /// Those of the file system; nothing is left then.
    pub fn finish(mut self, lasting: Lasting) -> io::Result<()> {
        if lasting == Lasting::Disk {
            self.file.sync_all()?;
        }
        renameat(&self.directory, &self.new, &self.directory, &self.name)?;
        self.named = true;
        if lasting == Lasting::Disk {
            fsync(&self.directory)?;
        }
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.named {
            let _ = unlinkat(&self.directory, &self.new, AtFlags::empty());
        }
    }
}

/// Has this text at `path`: a reader sees the old file or the new one, never a part.
///
/// # Errors
/// Those of the file system; the old file is there then.
pub fn write(path: &str, text: &[u8], mode: u32, lasting: Lasting) -> Result<()> {
    let mut new = NewFile::begin(path)?;
    let context = || format!("writing {path}{UNFINISHED}");
    new.file().write_all(text).with_context(context)?;
    new.mode(mode).with_context(context)?;
    new.finish(lasting).with_context(|| format!("renaming {path}{UNFINISHED} to {path}"))
}

/// Writes a file so that a reader sees the old one or the new one, never a part.
pub fn write_atomic(path: &str, text: &str) -> Result<()> {
    write(path, text.as_bytes(), ALL_READ, Lasting::Run)
}

/// The same, and so that it is still there after a power cut.
pub fn write_durable(path: &str, text: &str) -> Result<()> {
    write(path, text.as_bytes(), ALL_READ, Lasting::Disk)
}

/// A new empty file at `path`, for root alone to read and write, in place of any other file, link, device or pipe.
///
/// # Errors
/// As [`NewFile::begin`]; where the name is a directory's.
pub fn fresh(path: &str) -> Result<File> {
    let (directory, name) = place(path)?;
    make_anew(&directory, &name).with_context(|| format!("making {path}"))
}

/// A new empty file for root alone, where the name is free.
///
/// # Errors
/// As [`NewFile::begin`]; where it is not free.
pub fn claim(path: &str) -> Result<File> {
    let (directory, name) = place(path)?;
    make(&directory, &name, Mode::from_raw_mode(PRIVATE)).with_context(|| format!("making {path}"))
}

/// A new empty file of an open directory, for root alone, where the name is free.
///
/// # Errors
/// Those of open(2).
pub fn inside(directory: impl AsFd, name: &[u8]) -> io::Result<File> {
    make(directory, name, Mode::from_raw_mode(PRIVATE))
}

/// A file without a name in a directory, or one that loses its name at once: nothing is left of it, whatever happens.
///
/// # Errors
/// Those of open(2).
pub fn nameless(directory: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::TMPFILE;
    match openat(CWD, directory, flags, Mode::from_raw_mode(PRIVATE)) {
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
        result => return Ok(File::from(result?)),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(CWD, directory, flags, Mode::empty())?;
    let name = "overlayroot-rs.nameless";
    let file = make_anew(&directory, name)?;
    unlinkat(&directory, name, AtFlags::empty())?;
    Ok(file)
}

/// Opens the file of a lock, made where it is not there. Only root can open it, for who can open a file can lock it.
///
/// # Errors
/// Where the name is not a file's.
pub fn lock_file(path: &str) -> Result<File> {
    let context = || format!("opening {path}");
    let (directory, name) = place(path)?;
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(&directory, &name, flags, Mode::from_raw_mode(PRIVATE)).with_context(context)?;
    let file = File::from(file);
    if !file.metadata().with_context(context)?.is_file() {
        bail!("{path} is not a plain file");
    }
    fchmod(&file, Mode::from_raw_mode(PRIVATE)).with_context(context)?;
    Ok(file)
}

/// Takes the lock of a file, for as long as what is given back lives; `None` where another holds it.
///
/// # Errors
/// As [`lock_file`]; where the kernel refuses.
pub fn lock(path: &str) -> Result<Option<File>> {
    let file = lock_file(path)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => bail!("locking {path}: {error}"),
    }
}

/// Whether somebody holds the lock. An ordinary user, who can't open the file, looks it up in the kernel's table.
pub fn is_held(path: &str) -> bool {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match openat(CWD, path, flags, Mode::empty()) {
        Ok(file) => flock(&file, FlockOperation::NonBlockingLockShared).is_err(),
        Err(Errno::ACCESS | Errno::PERM) => is_listed(path, &files::ask_kernel("/proc/locks").unwrap_or_default()),
        Err(_) => false,
    }
}

/// `1: FLOCK  ADVISORY  WRITE 700 00:1a:1234 0 EOF` (proc_locks(5)).
fn is_listed(path: &str, locks: &str) -> bool {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let Some(stat) = openat(CWD, path, flags, Mode::empty()).ok().and_then(|file| fstat(file).ok()) else {
        return false;
    };
    let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
    let file = format!("{major:02x}:{minor:02x}:{}", stat.st_ino);
    locks.lines().any(|line| line.contains(" FLOCK ") && line.split_whitespace().any(|word| word == file))
}

/// The directory that `path` is in, and its name there.
fn place(path: &str) -> Result<(OwnedFd, String)> {
    let whole = absolute(path).with_context(|| format!("looking for the directory of {path}"))?;
    let name = whole.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{path} is not a name for a file"))?.to_owned();
    let parent = whole.parent().and_then(Path::to_str).unwrap_or("/");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = inroot::open("/", parent, flags, Links::Own);
    Ok((directory.with_context(|| format!("opening the directory of {path}"))?, name))
}

/// Takes a name away, unless it is a directory's.
fn clear(directory: impl AsFd, name: &str) -> io::Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A file of root's alone, in place of what has the name.
fn make_anew(directory: &OwnedFd, name: &str) -> io::Result<File> {
    let once = || make(directory, name, Mode::from_raw_mode(PRIVATE));
    match once() {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => clear(directory, name).and_then(|()| once()),
        made => made,
    }
}

fn make(directory: impl AsFd, name: impl rustix::path::Arg, mode: Mode) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(openat(directory, name, flags, mode)?))
}

#[cfg(test)]
mod tests;
