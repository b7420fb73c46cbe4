// SPDX-License-Identifier: GPL-2.0-or-later
//! Files that a boot loader reads: found below any root with that root's own links, and exchanged whole.

use crate::sys::newfile::{ALL_READ, Lasting, NewFile};
use crate::sys::sync::sync_parent;
use crate::sys::{files, inroot};
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::value::order::sorted;
use rustix::fs::{OFlags, XattrFlags};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Most bytes of one file: a grub.cfg has some 100 KiB. A longer one is an error, for it would be written shorter.
const MOST: u64 = 8 << 20;

fn open_below(root: &str, path: &str) -> Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match inroot::open_below(root, path, flags) {
        Ok(fd) => Ok(Some(File::from(fd))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("opening {path} below {root}")),
    }
}

/// The bytes of a regular file; `None` where it is not there.
pub fn read(root: &str, path: &str) -> Result<Option<Vec<u8>>> {
    let Some(file) = open_below(root, path)? else {
        return Ok(None);
    };
    let context = || format!("reading {path} below {root}");
    if !file.metadata().with_context(context)?.is_file() {
        return Ok(None);
    }
    match files::bytes(file, MOST) {
        Err(error) if error.kind() == ErrorKind::FileTooLarge => bail!("{path} has more than {MOST} bytes"),
        read => Ok(Some(read.with_context(context)?)),
    }
}

/// Whether a program can run this file: one that is not empty, and, where that is asked, executable.
pub fn runs(root: &str, path: &str, executable: bool) -> bool {
    let Ok(Some(file)) = open_below(root, path) else { return false };
    let found = file.metadata();
    found.is_ok_and(|of| of.is_file() && of.len() > 0 && (!executable || of.mode() & 0o111 != 0))
}

/// Whether it is a file that switches off one of the same name elsewhere: a link to /dev/null, or an empty one.
pub fn masks(root: &str, path: &str) -> bool {
    let at = Path::new(root).join(path);
    let empty = fs::symlink_metadata(&at).is_ok_and(|of| of.is_file() && of.len() == 0);
    empty || fs::read_link(&at).is_ok_and(|to| to == Path::new("/dev/null"))
}

/// Names of the files in a directory that end so, sorted; none where it is not there.
pub fn list(root: &str, path: &str, suffix: &str) -> Result<Vec<String>> {
    let directory = match open_below(root, path)? {
        Some(file) if file.metadata()?.is_dir() => file,
        _ => return Ok(Vec::new()),
    };
    let at = format!("/proc/self/fd/{}", directory.as_raw_fd());
    let mut names = Vec::new();
    for entry in fs::read_dir(&at).with_context(|| format!("reading {path} below {root}"))? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| name.ends_with(suffix)));
    }
    let names = sorted(names);
    Ok(names)
}

/// Where a path leads below a root, all links followed; the last parts need not be there.
pub fn real(root: &str, path: &str) -> Result<PathBuf> {
    if let Some(file) = open_below(root, path)? {
        let link = format!("/proc/self/fd/{}", file.as_raw_fd());
        return fs::read_link(&link).with_context(|| format!("following {path} below {root}"));
    }
    let (parent, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or((".", path));
    ensure!(!matches!(name, "" | "." | ".."), "{path} is not a place below {root}");
    let at = real(root, parent)?.join(name);
    match fs::symlink_metadata(&at) {
        Ok(metadata) if metadata.is_symlink() => bail!("{} is a link to nowhere", at.display()),
        _ => Ok(at),
    }
}

/// Puts these bytes in the place of a file: a reader, and whoever looks after a power cut, sees the old or the new
/// one. Mode, owner and SELinux label stay. On vfat the exchange is as good as its driver makes it.
pub fn replace(path: &Path, text: &[u8]) -> Result<()> {
    let name = path.to_str().context("a path that is not UTF-8")?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    }
    let mut new = NewFile::begin(name)?;
    write_like(&mut new, text, path).with_context(|| format!("writing what is to be {name}"))?;
    new.finish(Lasting::Disk).with_context(|| format!("replacing {name}"))
}

fn write_like(new: &mut NewFile, text: &[u8], like: &Path) -> io::Result<()> {
    new.file().write_all(text)?;
    // vfat has neither owners nor modes; one that can't be set is no loss there
    let old = fs::symlink_metadata(like).ok().filter(fs::Metadata::is_file);
    let file = new.file();
    if let Some(old) = &old {
        let _ = rustix::fs::fchown(
            &*file,
            Some(rustix::fs::Uid::from_raw(old.uid())),
            Some(rustix::fs::Gid::from_raw(old.gid())),
        );
        let mut label = [0; 256];
        if let Ok(len) = rustix::fs::getxattr(like, "security.selinux", &mut label) {
            let label = label.get(..len).unwrap_or_default();
            let _ = rustix::fs::fsetxattr(&*file, "security.selinux", label, XattrFlags::empty());
        }
    }
    let _ = new.mode(old.map_or(ALL_READ, |old| old.mode()));
    Ok(())
}

/// Removes a file for good; one that is not there is as good.
pub fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => {
            result.with_context(|| format!("removing {}", path.display()))?;
            sync_parent(path.to_str().context("a path that is not UTF-8")?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn links_stay_below_the_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().to_str().unwrap();
        fs::create_dir_all(dir.path().join("efi/fedora")).unwrap();
        fs::create_dir_all(dir.path().join("boot/grub2")).unwrap();
        fs::write(dir.path().join("efi/fedora/grubenv"), "x").unwrap();
        symlink("/efi/fedora/grubenv", dir.path().join("boot/grub2/grubenv")).unwrap();
        symlink("/nowhere", dir.path().join("boot/dangling")).unwrap();
        assert_eq!(read(root, "boot/grub2/grubenv").unwrap().unwrap(), b"x");
        assert_eq!(real(root, "boot/grub2/grubenv").unwrap(), dir.path().join("efi/fedora/grubenv"));
        assert_eq!(real(root, "etc/default/grub.d/x.cfg").unwrap(), dir.path().join("etc/default/grub.d/x.cfg"));
        assert!(real(root, "boot/dangling").is_err());
        assert_eq!(read(root, "boot").unwrap(), None);
        assert_eq!(read(root, "none/x").unwrap(), None);
        assert_eq!(list(root, "efi/fedora", "env").unwrap(), ["grubenv"]);
    }

    #[test]
    fn a_file_is_exchanged_with_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/file");
        replace(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(dir.path().join("sub")).unwrap().count(), 1);
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn what_fails_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::create_dir_all(path.join("inside")).unwrap();
        assert!(replace(&path, b"x").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
