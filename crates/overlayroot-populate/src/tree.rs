// SPDX-License-Identifier: GPL-2.0-or-later
//! Ways through the new tree and the lower, one directory after the other: no link is ever followed.

use crate::fault::{At, Result, archive, shown};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawMode, openat, statat};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::RDONLY);

/// Opens a directory by its whole path.
pub fn root(path: &str) -> Result<OwnedFd> {
    openat(CWD, path, DIRECTORY, Mode::empty()).at(|| format!("opening {path}"))
}

/// What has a name in a directory.
pub enum Found {
    /// Nothing.
    Missing,
    /// A directory.
    Directory(OwnedFd),
    /// Something else.
    Other(FileType),
}

/// What `name` is in `directory`.
pub fn look(directory: BorrowedFd<'_>, name: &[u8]) -> Result<Found> {
    let context = || format!("opening {}", shown(name));
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(Found::Missing),
        Err(error) => Err(error).at(context),
        Ok(stat) => {
            let kind = FileType::from_raw_mode(stat.st_mode as RawMode);
            if kind != FileType::Directory {
                return Ok(Found::Other(kind));
            }
            openat(directory, name, DIRECTORY, Mode::empty()).at(context).map(Found::Directory)
        }
    }
}

/// The directory `parts` of the lower; nothing where the lower has none of that name.
///
/// # Errors
/// Where something on the way is no directory: one in the upper would hide it, and a link such as `/bin` with it.
pub fn lower(root: BorrowedFd<'_>, parts: &[Vec<u8>]) -> Result<Option<OwnedFd>> {
    let mut at = root.try_clone_to_owned().at(|| "opening the root".to_owned())?;
    for (index, part) in parts.iter().enumerate() {
        match look(at.as_fd(), part)? {
            Found::Missing => return Ok(None),
            Found::Directory(next) => at = next,
            Found::Other(kind) => {
                let path = shown(&parts.get(..=index).unwrap_or_default().join(&b'/'));
                return archive(format!(
                    "{path} is {} in the root, and a directory in the archive would hide it",
                    word(kind)
                ));
            }
        }
    }
    Ok(Some(at))
}

/// In words.
pub fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::Symlink => "a symbolic link",
        FileType::Directory => "a directory",
        FileType::RegularFile => "a file",
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice | FileType::BlockDevice | FileType::Unknown => {
            "a device, socket or pipe"
        }
    }
}

/// The path by which calls that take no descriptor reach it.
pub fn by_path(directory: BorrowedFd<'_>) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}

/// The same for what has a name in it.
pub fn below(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    [by_path(directory).as_bytes(), b"/", name].concat()
}
