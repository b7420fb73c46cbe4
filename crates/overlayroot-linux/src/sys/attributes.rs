// SPDX-License-Identifier: GPL-2.0-or-later
//! Owner, mode, times and extended attributes, from one file to another, and the paths by which calls that take no
//! descriptor reach what is open.

use anyhow::{Context, Result, ensure};
use overlayroot_core::facts::nfs;
use rustix::fd::{AsFd, AsRawFd};
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown, fstat, futimens,
};
use rustix::io::Errno;
use std::ffi::CStr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Mode, owner, times and extended attributes (ACL and label among them) of a directory.
pub fn copy_attributes(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let context = || format!("giving {} the attributes of {}", to.display(), from.display());
    let metadata = fs::metadata(from).with_context(context)?;
    let (uid, gid) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
    rustix::fs::chown(to, Some(uid), Some(gid)).with_context(context)?;
    rustix::fs::chmod(to, Mode::from_raw_mode(metadata.mode() & 0o7777)).with_context(context)?;
    copy_xattrs(from, to)?;
    copy_times(&metadata, to)
}

/// The same of what is open to what is open: whatever has the names meanwhile.
pub fn copy_attributes_of(from: impl AsFd, to: impl AsFd) -> Result<()> {
    let (from, to) = (from.as_fd(), to.as_fd());
    let context = || "copying attributes".to_owned();
    let stat = fstat(from).with_context(context)?;
    fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid))).with_context(context)?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777)).with_context(context)?;
    copy_xattrs(by_descriptor(from).as_ref(), by_descriptor(to).as_ref())?;
    futimens(to, &times(&stat)).with_context(context)
}

/// The path by which calls that take no descriptor reach what is open.
pub(crate) fn by_descriptor(file: impl AsFd) -> String {
    format!("/proc/self/fd/{}", file.as_fd().as_raw_fd())
}

pub(crate) fn copy_xattrs(from: &Path, to: &Path) -> Result<()> {
    let context = || format!("giving {} the attributes of {}", to.display(), from.display());
    for name in xattrs(from).with_context(context)? {
        // overlayfs's marks, and ours, describe the layer they are on, not the one to come.
        if name.starts_with("trusted.overlay.") || name.starts_with("trusted.overlayroot.") {
            continue;
        }
        // xfs lists each access control list a second time, as the bytes that it is on the disk.
        if name.starts_with("trusted.SGI_ACL_") {
            continue;
        }
        let value = xattr(from, &name).with_context(context)?;
        if let Err(error) = rustix::fs::setxattr(to, &name, &value, XattrFlags::empty()) {
            // Each file of a root on NFS has it, at every boot.
            if nfs::is_acl(&name) && error == Errno::OPNOTSUPP {
                crate::log::debug!("{} can't have the server's {name}", to.display());
                continue;
            }
            // tmpfs has no user.* before Linux 6.6. A store of images without its marks shows what they remove.
            ensure!(!name.starts_with("user.overlay."), "{} can't have the mark {name}: {error}", to.display());
            crate::log::warning!("{} can't have the attribute {name} of {}: {error}", to.display(), from.display());
        }
    }
    Ok(())
}

/// Gives a directory times taken before.
pub fn copy_times(metadata: &fs::Metadata, to: impl AsRef<Path>) -> Result<()> {
    let to = to.as_ref();
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    };
    // Of a link itself.
    rustix::fs::utimensat(CWD, to, &times, AtFlags::SYMLINK_NOFOLLOW)
        .with_context(|| format!("setting the times of {}", to.display()))
}

/// The value of an attribute.
pub(crate) fn xattr(path: &Path, name: &str) -> Result<Vec<u8>> {
    let mut value = vec![0; 65_536];
    let len = rustix::fs::getxattr(path, name, &mut value)?;
    value.truncate(len);
    Ok(value)
}

/// The names of all attributes.
pub(crate) fn xattrs(path: &Path) -> Result<Vec<String>> {
    // Most have none, and whole trees are asked.
    let most = match rustix::fs::listxattr_query(path) {
        Err(Errno::NOTSUP) | Ok(0) => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = vec![0_u8; most];
    let len = rustix::fs::listxattr(path, &mut names)?;
    let names = names.get(..len).unwrap_or_default().split(|byte| *byte == 0);
    Ok(names.filter(|name| !name.is_empty()).map(|name| String::from_utf8_lossy(name).into_owned()).collect())
}

/// Times as calls want them.
#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the types differ between machines")]
pub(crate) fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    Timestamps {
        last_access: time(stat.st_atime as i64, stat.st_atime_nsec as _),
        last_modification: time(stat.st_mtime as i64, stat.st_mtime_nsec as _),
    }
}

/// A short path to a name in an open directory, for calls that take no descriptor.
pub(crate) fn beside(directory: impl AsFd, name: &CStr) -> Vec<u8> {
    [by_descriptor(directory).as_bytes(), b"/", name.to_bytes()].concat()
}
