// SPDX-License-Identifier: GPL-2.0-or-later
//! What overlayfs and this project have set on files of the upper means nothing in the lower, and goes. What somebody
//! set through the overlay (a container store, since Linux 6.7) is escaped on the upper as it is on a lower, and stays.

use crate::commit::calls::Calls;
use crate::step::layers;
use crate::sys::attributes::{beside, by_descriptor, times};
use crate::sys::descent::{self, Visitor, is_directory};
use crate::sys::{files, quota};
use anyhow::{Context, Result, ensure};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, StatxAttributes, StatxFlags, Uid, XattrFlags, fchmod, fchown, fstat, futimens,
    lgetxattr, llistxattr, lremovexattr, lsetxattr, statx, unlinkat,
};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::CStr;
use std::fs::File;
use std::path::Path;

const OVERLAYFS: &[u8] = b"trusted.overlay.";
const ESCAPED: &[u8] = b"trusted.overlay.overlay.";
const OURS: &[u8] = b"trusted.overlayroot.";
/// xfs lists each access control list a second time, as the bytes that it is on the disk.
const AGAIN: [&[u8]; 2] = [b"trusted.SGI_ACL_FILE", b"trusted.SGI_ACL_DEFAULT"];

/// Whether overlayfs takes it for a removal.
pub(super) fn is_whiteout(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Whether nothing of the lower's directory shows through this one.
pub(super) fn is_opaque(directory: impl AsFd) -> bool {
    layers::is_opaque(Path::new(&by_descriptor(directory)).join("."))
}

fn is_mark(name: &[u8]) -> bool {
    name.starts_with(OURS) || (name.starts_with(OVERLAYFS) && !name.starts_with(ESCAPED))
}

/// The attributes of what has a path, which is no link that is followed.
fn names(path: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut few = [0; 1024];
    let mut all;
    let text = match llistxattr(path, &mut few) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(Errno::RANGE) => {
            all = vec![0; 65_536];
            let len = llistxattr(path, &mut all)?;
            all.get(..len)
        }
        len => few.get(..len?),
    };
    let names = text.unwrap_or_default().split(|byte| *byte == 0);
    let names = names.filter(|name| !name.is_empty() && !AGAIN.contains(name));
    Ok(names.map(<[u8]>::to_vec).collect())
}

/// All attributes but marks, with their values, in an order.
pub(super) fn values(path: &[u8]) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut all = Vec::new();
    for name in names(path)?.into_iter().filter(|name| !is_mark(name)) {
        let mut value = vec![0; 65_536];
        let len = lgetxattr(path, &name, &mut value)?;
        value.truncate(len);
        all.push((name, value));
    }
    all.sort_unstable();
    Ok(all)
}

/// Whether it was made immutable, or to be appended to only: offline, or through the overlay, which keeps that as a mark
/// (Linux 5.15).
pub(super) fn is_fixed(directory: BorrowedFd<'_>, name: &CStr) -> Result<bool> {
    let seen = statx(directory, name, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::empty())?;
    let flags = StatxAttributes::IMMUTABLE | StatxAttributes::APPEND;
    let marked = lgetxattr(beside(directory, name), "trusted.overlay.protattr", &mut [0; 0]);
    Ok(seen.stx_attributes.intersects(flags) || marked.is_ok_and(|len| len > 0))
}

/// Takes the marks of one name away, and the project whose quota limits the upper.
pub(super) fn strip(calls: &mut Calls, at: impl AsFd, name: &CStr, stat: &Stat, limited: bool) -> Result<()> {
    let path = beside(&at, name);
    for mark in names(&path).context("reading its attributes")?.into_iter().filter(|name| is_mark(name)) {
        calls.next()?;
        lremovexattr(&path, &mark).context("removing a mark of overlayfs")?;
    }
    let kind = FileType::from_raw_mode(stat.st_mode);
    if limited && matches!(kind, FileType::RegularFile | FileType::Directory) {
        let file = match kind == FileType::Directory {
            true => File::from(descent::open(&at, name)?),
            false => files::open_at(&at, name)?,
        };
        if quota::project_of(&file)?.0 == quota::PROJECT {
            calls.next()?;
            quota::set_project(&file, 0, false).context("taking it out of the upper's quota")?;
        }
    }
    Ok(())
}

/// Makes a directory of the upper that the lower has nothing of what it would be without an overlay.
///
/// # Errors
/// Where something in it can't be: it can't be renamed as a whole then.
pub(super) fn strip_below(calls: &mut Calls, top: &OwnedFd, split: &HashSet<u64>, limited: bool) -> Result<u64> {
    let device = fstat(top)?.st_dev;
    let mut strip = Strip { calls, split, limited, device, seen: 0 };
    descent::walk_open(top.try_clone()?, "a directory", &mut strip)?;
    Ok(strip.seen)
}

struct Strip<'a> {
    calls: &'a mut Calls,
    split: &'a HashSet<u64>,
    limited: bool,
    device: rustix::fs::Dev,
    seen: u64,
}

impl Visitor for Strip<'_> {
    fn entry(&mut self, directory: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<bool> {
        self.seen += 1;
        if is_whiteout(stat) {
            // It hides nothing here, and would be shown where the lower has no such directory.
            let before = times(&fstat(directory)?);
            self.calls.next()?;
            unlinkat(directory, name, AtFlags::empty())?;
            futimens(directory, &before)?;
            return Ok(false);
        }
        ensure!(stat.st_dev == self.device, "{} is on another file system", name.to_string_lossy());
        ensure!(is_directory(stat) || !self.split.contains(&stat.st_ino), "a name of one file stays");
        ensure!(!is_fixed(directory, name)?, "{} is immutable", name.to_string_lossy());
        strip(self.calls, directory, name, stat, self.limited)?;
        Ok(is_directory(stat))
    }

    fn leave(&mut self, _directory: BorrowedFd<'_>) -> Result<()> {
        Ok(())
    }
}

/// Gives a directory of the lower what that of the upper has: owner, mode, attributes, and the times of `stat`.
pub(super) fn of_directory(from: &OwnedFd, stat: &Stat, to: &OwnedFd) -> Result<()> {
    fchown(to, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    fchmod(to, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    complete(&beside(from, c"."), &beside(to, c"."))?;
    Ok(futimens(to, &times(stat))?)
}

/// Gives the one all attributes of the other, where copies may do without some; and none besides.
///
/// # Errors
/// Where one can't be set or removed.
pub(super) fn complete(from: &[u8], to: &[u8]) -> Result<()> {
    let [wanted, there] = [values(from)?, values(to)?];
    let said = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    for (name, value) in wanted.iter().filter(|one| !there.contains(one)) {
        let set = lsetxattr(to, name, value, XattrFlags::empty());
        set.with_context(|| format!("copying the attribute {}", said(name)))?;
    }
    // The kernel gives each file a label by itself where a policy is loaded.
    let extra =
        there.iter().filter(|(name, _)| name != b"security.selinux" && !wanted.iter().any(|(of, _)| of == name));
    for (name, _) in extra {
        match lremovexattr(to, name) {
            Ok(()) | Err(Errno::NODATA) => {}
            Err(error) => return Err(error).with_context(|| format!("removing the attribute {}", said(name))),
        }
    }
    Ok(())
}
