// SPDX-License-Identifier: GPL-2.0-or-later
//! The small files and links of a boot: in /run, and hooks of others; and how every file is read, the kernel's among
//! them. What makes files is in [`crate::sys::newfile`].

use crate::sys::inroot::{self, Links};
use anyhow::{Context, Result};
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Most bytes of a small file: what lies in an upper can be of any size, and an initramfs has little RAM.
pub const SMALL: u64 = 1 << 20;
/// Most bytes of a file of the kernel's: the mounts of a host with many containers.
const KERNELS: u64 = 16 << 20;
/// Room for nearly every file at once. A vector that grows by itself begins with reads of 32 bytes, and each of them
/// makes the kernel write a file of `/proc` anew.
const AT_ONCE: usize = 16 << 10;
/// How much of a program's output is looked at, from its end.
const TAIL: u64 = 64 << 10;

/// Reads a small file of ours: no link, pipe or device.
///
/// # Errors
/// Those of reading; `FileTooLarge` above 1 MiB; `InvalidInput` where it is no plain file.
pub fn read_small(path: &str) -> io::Result<Vec<u8>> {
    read(path, SMALL)
}

/// The same for a file of at most so many bytes.
///
/// # Errors
/// As [`read_small`].
pub fn read(path: &str, most: u64) -> io::Result<Vec<u8>> {
    bytes(open(path)?, most)
}

/// Reads a file of the system's configuration, which may be a link, of at most so many bytes.
///
/// # Errors
/// As [`read_small`].
pub fn read_linked(path: impl rustix::path::Arg, most: u64) -> io::Result<Vec<u8>> {
    bytes(plain(openat(CWD, path, LOOK, Mode::empty())?)?, most)
}

/// The text of such a file; nothing where there is none, or one that has more than 16 MiB.
pub fn text(path: impl rustix::path::Arg) -> String {
    String::from_utf8_lossy(&read_linked(path, 16 << 20).unwrap_or_default()).into_owned()
}

/// The end of what a program has said into a file of ours.
pub fn tail(path: &str) -> Vec<u8> {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = open(path)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().unwrap_or_default()
}

/// Opens a plain file: a link is not followed, and a pipe is not waited for.
///
/// # Errors
/// Those of open(2); `InvalidInput` where it is something else.
pub fn open(path: impl rustix::path::Arg) -> io::Result<File> {
    open_at(CWD, path)
}

/// The same for a file of an open directory.
///
/// # Errors
/// As [`open`].
pub fn open_at(directory: impl AsFd, name: impl rustix::path::Arg) -> io::Result<File> {
    plain(openat(directory, name, LOOK | OFlags::NOFOLLOW, Mode::empty())?)
}

/// Opens a plain file, to be written as well if asked, wherever it lies: no link is followed that others than root, or
/// who runs this, can have made.
///
/// # Errors
/// As [`open`]; where there is such a link.
pub fn open_own(path: &str, write: bool) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
    let path = std::path::absolute(path)?;
    let path = path.to_str().ok_or(ErrorKind::InvalidInput)?;
    plain(match inroot::open("/", path, flags | access, Links::Own) {
        Err(Errno::LOOP) => return Err(io::Error::other("it is reached by a link that others can have made")),
        opened => opened?,
    })
}

/// Whether a name is still that of an open file, and no link.
pub fn is_at(file: &File, path: &str) -> bool {
    let which = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let there = fs::symlink_metadata(path).map(which).ok();
    there.is_some() && there == file.metadata().map(which).ok()
}

/// The path by which another program reaches what is open here, whatever gets its name meanwhile.
pub fn for_others(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

const LOOK: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

fn plain(file: OwnedFd) -> io::Result<File> {
    let file = File::from(file);
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(ErrorKind::InvalidInput, "it is not a plain file")),
    }
}

/// The rest of a file that has at most so many bytes.
///
/// # Errors
/// As [`read_small`].
pub fn bytes(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(AT_ONCE);
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// Reads a file of the kernel's, in `/proc` or `/sys`.
///
/// # Errors
/// Those of open(2) and read(2); `FileTooLarge` above 16 MiB.
pub fn ask_kernel(path: impl AsRef<Path>) -> io::Result<String> {
    fn ask(path: &Path) -> io::Result<String> {
        let file = openat(CWD, path, OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(String::from_utf8_lossy(&bytes(File::from(file), KERNELS)?).into_owned())
    }
    ask(path.as_ref())
}

/// Writes into a file of the kernel's that is there, such as those of `/sys`.
///
/// # Errors
/// Those of writing.
pub fn tell_kernel(path: &str, text: &str) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    File::from(openat(CWD, path, flags, Mode::empty())?).write_all(text.as_bytes())
}

/// Removes a file or link; one that is not there is as good.
pub fn remove(path: &str) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result.with_context(|| format!("removing {path}")),
    }
}
