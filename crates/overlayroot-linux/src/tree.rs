// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies trees with owner, mode, times, extended attributes and hard links, by descriptors. Follows no link, and goes
//! into nothing that is mounted below.

use crate::descent::{self, Visitor, is_directory};
use crate::kept::times;
use crate::store::{by_descriptor, copy_attributes_of, copy_xattrs};
use crate::{files, newfile};
use anyhow::{Context, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dev, FileType, Gid, Mode, OFlags, Stat, Uid, XattrFlags, chmodat, chownat, fstat, linkat, mkdirat,
    mknodat, openat, readlinkat, symlinkat, utimensat,
};
use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::io;
use std::path::Path;

/// Copies the content and the attributes of the directory `from` to the empty directory `to`.
///
/// # Errors
/// The first thing that can't be copied.
pub fn copy(from: &str, to: &str) -> Result<()> {
    let device = descent::open(CWD, from).and_then(fstat).with_context(|| format!("looking at {from}"))?.st_dev;
    let opened = || descent::open(CWD, to).with_context(|| format!("opening {to}"));
    let mut copy = Copy { device, top: opened()?, to: opened()?, way: Vec::new(), links: HashMap::new() };
    descent::walk(from, &mut copy)
}

struct Copy {
    device: Dev,
    /// The copy, and where in it this is.
    top: OwnedFd,
    to: OwnedFd,
    /// Names from the one to the other.
    way: Vec<CString>,
    /// Copies of files with several names, by what the kernel calls them.
    links: HashMap<(Dev, u64), (Vec<CString>, CString)>,
}

impl Visitor for Copy {
    fn entry(&mut self, from: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<bool> {
        let context = || format!("copying {}", name.to_string_lossy());
        if is_directory(stat) {
            mkdirat(&self.to, name, Mode::RWXU).with_context(context)?;
            let made = descent::open(&self.to, name).with_context(context)?;
            // On an overlay only directories tell the file system by their device number.
            if stat.st_dev != self.device {
                let mounted = descent::open(from, name).with_context(context)?;
                copy_attributes_of(mounted, made)?;
                return Ok(false);
            }
            self.to = made;
            self.way.push(name.to_owned());
            return Ok(true);
        }
        let key = (stat.st_dev, stat.st_ino);
        let several = stat.st_nlink > 1;
        if let Some((way, first)) = self.links.get(&key).filter(|_| several) {
            let directory = self.reach(way).with_context(context)?;
            linkat(directory, first, &self.to, name, AtFlags::empty()).with_context(context)?;
            return Ok(false);
        }
        let made = node(from, name, stat, &self.to).with_context(context)?;
        if several && made {
            self.links.insert(key, (self.way.clone(), name.to_owned()));
        }
        Ok(false)
    }

    fn leave(&mut self, from: BorrowedFd<'_>) -> Result<()> {
        copy_attributes_of(from, &self.to)?;
        if self.way.pop().is_some() {
            self.to = descent::open(&self.to, "..").context("going back in the copy")?;
        }
        Ok(())
    }
}

impl Copy {
    /// A directory of the copy.
    fn reach(&self, way: &[CString]) -> io::Result<OwnedFd> {
        let mut at = self.top.try_clone()?;
        for name in way {
            at = descent::open(&at, name)?;
        }
        Ok(at)
    }
}

/// Copies one thing that is no directory to a name that is free; false for sockets, which are left out.
fn node(from: BorrowedFd<'_>, name: &CStr, stat: &Stat, to: &OwnedFd) -> Result<bool> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Symlink => link(from, name, stat, to)?,
        FileType::RegularFile => {
            let mut source = files::open_at(from, name)?;
            let mut target = newfile::inside(to, name.to_bytes())?;
            io::copy(&mut source, &mut target)?;
            copy_attributes_of(&source, &target)?;
        }
        FileType::Socket => return Ok(false),
        kind => {
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

/// A short path to a name in an open directory, for calls that take no descriptor.
pub(crate) fn beside(directory: impl AsFd, name: &CStr) -> Vec<u8> {
    [by_descriptor(directory).as_bytes(), b"/", name.to_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

    #[test]
    fn everything_is_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("deep/er")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(from.join("deep/er/file"), "text").unwrap();
        let odd = std::ffi::OsStr::from_bytes(b"not \xff UTF-8");
        fs::write(from.join(odd), "odd").unwrap();
        fs::hard_link(from.join("deep/er/file"), from.join("same")).unwrap();
        symlink("nowhere/at all", from.join("link")).unwrap();
        fs::set_permissions(from.join("same"), fs::Permissions::from_mode(0o4751)).unwrap();
        fs::set_permissions(from.join("deep"), fs::Permissions::from_mode(0o1700)).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
        copy(from.to_str().unwrap(), to.to_str().unwrap()).unwrap();
        let stat = |path: &str| fs::symlink_metadata(to.join(path)).unwrap();
        assert_eq!(fs::read_to_string(to.join("deep/er/file")).unwrap(), "text");
        assert_eq!((stat("same").mode() & 0o7777, stat("deep").mode() & 0o7777), (0o4751, 0o1700));
        assert_eq!(stat("same").ino(), stat("deep/er/file").ino());
        assert_eq!(fs::read_link(to.join("link")).unwrap().to_str(), Some("nowhere/at all"));
        assert_eq!(stat("deep").mtime_nsec(), fs::symlink_metadata(from.join("deep")).unwrap().mtime_nsec());
        assert!(to.join(odd).exists() && !to.join("socket").exists());
    }

    /// No link is followed, no pipe is waited for, and a path need not be one that the kernel takes.
    #[test]
    fn links_pipes_and_nesting_without_end() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to, outside) = (dir.path().join("from"), dir.path().join("to"), dir.path().join("outside"));
        for made in [&from, &to, &outside] {
            fs::create_dir(made).unwrap();
        }
        fs::write(outside.join("secret"), "x").unwrap();
        symlink(&outside, from.join("link")).unwrap();
        symlink(outside.join("secret"), from.join("file")).unwrap();
        let top = descent::open(CWD, &from).unwrap();
        mknodat(&top, "pipe", FileType::Fifo, Mode::from_raw_mode(0o640), 0).unwrap();
        let mut at = top;
        for _ in 0..3000 {
            mkdirat(&at, "dd", Mode::RWXU).unwrap();
            at = descent::open(&at, "dd").unwrap();
        }
        newfile::inside(&at, b"one").unwrap();
        linkat(&at, "one", &at, "two", AtFlags::empty()).unwrap();
        copy(from.to_str().unwrap(), to.to_str().unwrap()).unwrap();
        assert!(fs::symlink_metadata(to.join("link")).unwrap().is_symlink());
        assert!(fs::symlink_metadata(to.join("file")).unwrap().is_symlink());
        let pipe = fs::symlink_metadata(to.join("pipe")).unwrap();
        assert!(pipe.file_type().is_fifo() && pipe.mode() & 0o777 == 0o640);
        let mut at = descent::open(CWD, &to).unwrap();
        for _ in 0..3000 {
            at = descent::open(&at, "dd").unwrap();
        }
        let file = rustix::fs::statat(&at, "two", AtFlags::SYMLINK_NOFOLLOW).unwrap();
        assert_eq!(file.st_nlink, 2);
        assert!(copy(from.join("link").to_str().unwrap(), to.to_str().unwrap()).is_err(), "a link is followed");
        for tree in [from, to] {
            crate::sweep::empty(tree.to_str().unwrap(), &mut || false).unwrap();
        }
    }
}
