// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes one entry, and gives it everything that the archive says of it.

use crate::fault::{At, Result, archive};
use crate::reader::{Archive, Entry, Kind};
use crate::tree;
use overlayroot_linux::sys::newfile;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags, chmodat, chownat, lgetxattr, linkat,
    lsetxattr, makedev, mkdirat, mknodat, symlinkat, utimensat,
};
use rustix::io::Errno;
use std::io::Read;

/// The SELinux label.
pub const LABEL: &str = "security.selinux";

/// Makes it, without its attributes.
pub fn node(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<()> {
    let context = || format!("making {}", entry.shown());
    let (major, minor) = entry.device;
    let kind = match entry.kind {
        Kind::Char => FileType::CharacterDevice,
        Kind::Block => FileType::BlockDevice,
        Kind::Fifo => FileType::Fifo,
        Kind::Symlink => return symlinkat(entry.link.as_slice(), parent, name).at(context),
        Kind::File | Kind::HardLink | Kind::Directory => return mkdirat(parent, name, Mode::RWXU).at(context),
    };
    mknodat(parent, name, kind, Mode::RUSR | Mode::WUSR, makedev(major, minor)).at(context)
}

/// A file with its bytes.
pub fn file<R: Read>(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry, from: &mut Archive<R>) -> Result<()> {
    let context = || format!("writing {}", entry.shown());
    let mut left = entry.size;
    let (mut into, mut buffer) = (newfile::inside(parent, name).at(context)?, vec![0; 1 << 16]);
    while left > 0 {
        // A fault of the archive is told apart from one of the disk.
        let got = from.read(&mut buffer).at(|| "reading the archive".to_owned())?;
        std::io::Write::write_all(&mut into, buffer.get(..got).unwrap_or_default()).at(context)?;
        left = left.saturating_sub(got as u64);
    }
    Ok(())
}

/// A further name of what has one already.
pub fn link(at: (BorrowedFd<'_>, &[u8]), to: (BorrowedFd<'_>, &[u8]), entry: &Entry) -> Result<()> {
    linkat(to.0, to.1, at.0, at.1, AtFlags::empty()).at(|| format!("linking {}", entry.shown()))
}

/// Owner, mode, attributes, times: in this order, for a new owner takes set-id bits and capabilities away, and a
/// directory's times change with what is made in it (they are set again in the end). Gives back whether something
/// could not be kept.
pub fn dress(parent: BorrowedFd<'_>, name: &[u8], entry: &Entry) -> Result<bool> {
    let context = || format!("giving {} its attributes", entry.shown());
    let (uid, gid) = (Uid::from_raw(entry.uid), Gid::from_raw(entry.gid));
    chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).at(context)?;
    if entry.kind != Kind::Symlink {
        chmodat(parent, name, Mode::from_raw_mode(entry.mode), AtFlags::empty()).at(context)?;
    }
    let mut lost = false;
    for (attribute, value) in &entry.xattrs {
        lost |= !attribute_on(parent, name, attribute, value, entry)?;
    }
    utimensat(parent, name, &times(entry.mtime), AtFlags::SYMLINK_NOFOLLOW).at(context)?;
    Ok(lost)
}

fn attribute_on(parent: BorrowedFd<'_>, name: &[u8], attribute: &[u8], value: &[u8], entry: &Entry) -> Result<bool> {
    match lsetxattr(tree::below(parent, name), attribute, value, XattrFlags::empty()) {
        // tmpfs has no user.* before Linux 6.6.
        Err(Errno::NOTSUP) if attribute.starts_with(b"user.") => Ok(false),
        result => {
            let text = || format!("giving {} the attribute {}", entry.shown(), crate::fault::shown(attribute));
            result.at(text).map(|()| true)
        }
    }
}

/// Times as calls want them.
pub fn times(mtime: (i64, u32)) -> Timestamps {
    let time = Timespec { tv_sec: mtime.0, tv_nsec: i64::from(mtime.1) };
    Timestamps { last_access: time, last_modification: time }
}

/// The label of `name` in `directory`, or of that itself where `name` is empty.
pub fn label(directory: BorrowedFd<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let mut value = vec![0_u8; 4096];
    let path = if name.is_empty() {
        [tree::by_path(directory).as_bytes(), b"/."].concat()
    } else {
        tree::below(directory, name)
    };
    let len = lgetxattr(path, LABEL, &mut value).ok().filter(|len| *len > 0)?;
    value.truncate(len);
    Some(value)
}

/// A directory that the archive does not list: as the lower has it, or 0755 and root's. Its time is given back.
pub fn parent(at: BorrowedFd<'_>, name: &[u8], like: Option<&OwnedFd>) -> Result<(OwnedFd, (i64, u32))> {
    let context = || format!("making {}", crate::fault::shown(name));
    mkdirat(at, name, Mode::RWXU).at(context)?;
    let tree::Found::Directory(made) = tree::look(at, name)? else {
        return archive(format!("{} is not a directory", crate::fault::shown(name)));
    };
    let Some(like) = like else {
        chmodat(at, name, Mode::from_raw_mode(0o755), AtFlags::empty()).at(context)?;
        if let Some(label) = label(at, b"") {
            lsetxattr(tree::below(at, name), LABEL, &label, XattrFlags::empty()).at(context)?;
        }
        return Ok((made, (0, 0)));
    };
    let (from, to) = (tree::by_path(like.as_fd()), tree::by_path(made.as_fd()));
    let copied = overlayroot_linux::sys::attributes::copy_attributes(&from, &to);
    copied.map_err(crate::fault::io)?;
    let stat = rustix::fs::fstat(like).at(context)?;
    Ok((made, (stat.st_mtime as i64, u32::try_from(stat.st_mtime_nsec).unwrap_or(0))))
}
