// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies files and trees with owner, mode, times, extended attributes and hard links. Follows no link, and goes
//! into nothing that is mounted below.

use crate::store::{copy_attributes, copy_times};
use crate::{files, newfile};
use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Uid, XattrFlags, chownat, mknodat};
use std::collections::HashMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Copies the content and the attributes of the directory `from` to the empty directory `to`.
///
/// # Errors
/// The first thing that can't be copied.
pub fn copy(from: &str, to: &str) -> Result<()> {
    let metadata = fs::symlink_metadata(from).with_context(|| format!("looking at {from}"))?;
    let mut copy = Copy { device: metadata.dev(), links: HashMap::new() };
    copy.inside(Path::new(from), Path::new(to))
}

struct Copy {
    device: u64,
    /// Copies of files with several names, by what the kernel calls them.
    links: HashMap<(u64, u64), PathBuf>,
}

impl Copy {
    fn inside(&mut self, from: &Path, to: &Path) -> Result<()> {
        for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
            let name = entry.with_context(|| format!("reading {}", from.display()))?.file_name();
            self.entry(&from.join(&name), &to.join(&name))?;
        }
        copy_attributes(from, to)
    }

    fn entry(&mut self, from: &Path, to: &Path) -> Result<()> {
        let metadata = fs::symlink_metadata(from).with_context(|| format!("looking at {}", from.display()))?;
        if metadata.is_dir() {
            fs::create_dir(to).with_context(|| format!("making {}", to.display()))?;
            // On an overlay only directories tell the file system by their device number.
            return if metadata.dev() == self.device { self.inside(from, to) } else { copy_attributes(from, to) };
        }
        let several = metadata.nlink() > 1;
        let key = (metadata.dev(), metadata.ino());
        if let Some(first) = self.links.get(&key).filter(|_| several) {
            return fs::hard_link(first, to).with_context(|| format!("linking {}", to.display()));
        }
        node(from, &metadata, to)?;
        if several && !metadata.file_type().is_socket() {
            self.links.insert(key, to.to_owned());
        }
        Ok(())
    }
}

/// Copies one thing that is no directory to a name that is free. Sockets are left out.
///
/// # Errors
/// Those of the file system.
pub fn node(from: impl AsRef<Path>, metadata: &Metadata, to: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let kind = metadata.file_type();
    if kind.is_symlink() {
        return link(from, metadata, to);
    }
    if kind.is_file() {
        file(from, to)?;
    } else if kind.is_socket() {
        return Ok(());
    } else {
        let kind = FileType::from_raw_mode(metadata.mode());
        let made = mknodat(CWD, to, kind, Mode::from_raw_mode(0o600), metadata.rdev());
        made.with_context(|| format!("making the device or pipe {}", to.display()))?;
    }
    copy_attributes(from, to)
}

fn file(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("copying {} to {}", from.display(), to.display());
    let mut source = files::open(from).with_context(context)?;
    let mut target = newfile::inside(CWD, to.as_os_str().as_bytes()).with_context(context)?;
    io::copy(&mut source, &mut target).map(|_| ()).with_context(context)
}

fn link(from: &Path, metadata: &Metadata, to: &Path) -> Result<()> {
    let context = || format!("copying the link {} to {}", from.display(), to.display());
    let target = fs::read_link(from).with_context(context)?;
    std::os::unix::fs::symlink(target, to).with_context(context)?;
    let (uid, gid) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    chownat(CWD, to, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).with_context(context)?;
    let mut label = vec![0; 4096];
    // The one attribute that links have.
    let len = rustix::fs::lgetxattr(from, "security.selinux", &mut label).unwrap_or(0);
    if let Some(label) = label.get(..len).filter(|label| !label.is_empty()) {
        rustix::fs::lsetxattr(to, "security.selinux", label, XattrFlags::empty()).with_context(context)?;
    }
    copy_times(metadata, to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

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
}
