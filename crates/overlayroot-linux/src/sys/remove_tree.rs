// SPDX-License-Identifier: GPL-2.0-or-later
//! Empties a directory: by descriptors, so that no link leads out of it, and on one file system. What it costs grows
//! with the number of entries only, however they are nested, and it holds no more of their names than one at a time.

use crate::sys::btrfs;
use anyhow::{Context, Result};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dev, Dir, FileType, Mode, OFlags, StatxAttributes, StatxFlags, fstat, openat, renameat, statat,
    statx, unlinkat,
};
use rustix::io::Errno;
use std::ffi::CStr;

/// Directories below this depth are moved up first: descriptors are held for each level, and whoever
/// filled the upper may have nested them without end.
const DEEPEST: u32 = 64;

/// What a sweep came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Files and directories removed.
    pub removed: u64,
    /// Those that could not be, such as immutable files and mount points.
    pub left: u64,
    /// It was enough before the end.
    pub stopped: bool,
}

/// Removes what is in a directory, not the directory, until `enough` says so. It is asked before each removal.
pub fn empty(directory: &str, enough: &mut dyn FnMut() -> bool) -> Result<Swept> {
    let context = || format!("emptying {directory}");
    let top = open(CWD, directory).with_context(context)?;
    empty_open(top.as_fd(), enough).with_context(context)
}

/// The same of a directory that is open.
pub(crate) fn empty_open(top: BorrowedFd<'_>, enough: &mut dyn FnMut() -> bool) -> Result<Swept> {
    let device = fstat(top)?.st_dev;
    let (mut removed, mut number) = (0, 0);
    loop {
        let swept = Swept { removed, ..Swept::default() };
        let mut sweep = Sweep { top, device, enough, swept, moved: 0, number };
        sweep.inside(top, 0)?;
        if sweep.swept.stopped || sweep.moved == 0 {
            return Ok(sweep.swept);
        }
        (removed, number) = (sweep.swept.removed, sweep.number);
    }
}

fn open(at: BorrowedFd<'_>, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

struct Sweep<'a> {
    top: BorrowedFd<'a>,
    device: Dev,
    enough: &'a mut dyn FnMut() -> bool,
    swept: Swept,
    moved: u32,
    /// Of the next directory that is moved up. Never one that was tried: each costs one call, not one for each before.
    number: u64,
}

impl Sweep<'_> {
    fn inside(&mut self, directory: BorrowedFd<'_>, depth: u32) -> rustix::io::Result<()> {
        let mut entries = Dir::read_from(directory)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            if (self.enough)() {
                self.swept.stopped = true;
            } else if self.entry(directory, name, depth).is_err() {
                self.swept.left += 1;
            }
            if self.swept.stopped {
                break;
            }
        }
        Ok(())
    }

    fn entry(&mut self, directory: BorrowedFd<'_>, name: &CStr, depth: u32) -> rustix::io::Result<()> {
        let stat = match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Listed, and gone since: a directory may be read while it changes.
            Err(Errno::NOENT) => return Ok(()),
            stat => stat?,
        };
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            unlinkat(directory, name, AtFlags::empty())?;
            self.swept.removed += 1;
            return Ok(());
        }
        if depth >= DEEPEST {
            return self.move_up(directory, name);
        }
        let inner = open(directory, name)?;
        // Of what was opened, not of what had the name before.
        let device = fstat(&inner)?.st_dev;
        if device != self.device {
            return self.subvolume(directory, name, inner.as_fd(), device, depth);
        }
        for again in [true, false] {
            self.inside(inner.as_fd(), depth + 1)?;
            if self.swept.stopped {
                return Ok(());
            }
            match unlinkat(directory, name, AtFlags::REMOVEDIR) {
                // A file system may pass over names while others go.
                Err(Errno::NOTEMPTY) if again && self.swept.left == 0 => {}
                result => {
                    result?;
                    self.swept.removed += 1;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Each subvolume of btrfs has a device number of its own. It goes as a whole, unless there is another in it.
    fn subvolume(
        &mut self,
        directory: BorrowedFd<'_>,
        name: &CStr,
        inner: BorrowedFd<'_>,
        device: Dev,
        depth: u32,
    ) -> rustix::io::Result<()> {
        if !btrfs::is_top(inner) || is_mount_point(inner)? {
            return Err(Errno::XDEV);
        }
        if btrfs::destroy(directory, name.to_bytes()).is_err() {
            let outer = std::mem::replace(&mut self.device, device);
            let emptied = self.inside(inner, depth + 1);
            self.device = outer;
            emptied?;
            if self.swept.stopped {
                return Ok(());
            }
            btrfs::destroy(directory, name.to_bytes())?;
        }
        self.swept.removed += 1;
        Ok(())
    }

    fn move_up(&mut self, directory: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<()> {
        loop {
            let number = self.number;
            self.number += 1;
            match renameat(directory, name, self.top, format!("deep.{number}")) {
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                result => {
                    // Only what moved is a reason for another round.
                    self.moved += u32::from(result.is_ok());
                    return result;
                }
            }
        }
    }
}

/// Also where the kernel does not say (before Linux 5.8): what is uncertain is left.
fn is_mount_point(directory: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let seen = statx(directory, "", AtFlags::EMPTY_PATH, StatxFlags::empty())?;
    let known = seen.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT);
    Ok(!known || seen.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn count(path: &Path) -> usize {
        fs::read_dir(path).unwrap().count()
    }

    #[test]
    fn links_go_and_what_they_point_at_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (trash, outside) = (dir.path().join("trash"), dir.path().join("outside"));
        fs::create_dir_all(trash.join("a/b")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, trash.join("a/link")).unwrap();
        std::os::unix::fs::symlink("nowhere", trash.join("dangling")).unwrap();
        let swept = empty(trash.to_str().unwrap(), &mut || false).unwrap();
        assert_eq!((swept.removed, swept.left, count(&trash), count(&outside)), (4, 0, 0, 1));
        std::os::unix::fs::symlink(&outside, dir.path().join("trash2")).unwrap();
        assert!(empty(dir.path().join("trash2").to_str().unwrap(), &mut || false).is_err());
        assert_eq!(count(&outside), 1);
    }

    #[test]
    fn nesting_without_end_is_no_shelter() {
        let dir = tempfile::tempdir().unwrap();
        // Longer than a path may be: only descriptors get there.
        let mut at = open(CWD, dir.path()).unwrap();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&at, "dd", Mode::from_raw_mode(0o700)).unwrap();
            at = open(at.as_fd(), "dd").unwrap();
        }
        let swept = empty(dir.path().to_str().unwrap(), &mut || false).unwrap();
        assert_eq!((swept, count(dir.path())), (Swept { removed: 3000, ..Swept::default() }, 0));
    }

    #[test]
    fn it_ends_when_it_is_enough() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..10 {
            fs::create_dir(dir.path().join(number.to_string())).unwrap();
            fs::write(dir.path().join(format!("{number}/file")), "x").unwrap();
        }
        let mut asked = 0;
        let swept = empty(dir.path().to_str().unwrap(), &mut || {
            asked += 1;
            asked > 5
        });
        assert!(swept.unwrap().removed < 6 && count(dir.path()) >= 5);
    }

    /// A reset can leave many of them, and the boot that is short of room empties them: 8,000 took minutes, for each
    /// that was moved up tried the numbers of all before.
    #[test]
    fn many_at_the_depth_where_they_are_moved_up_cost_no_more_than_others() {
        // In RAM, for the disk's own time is not what is measured.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let mut at = open(CWD, dir.path()).unwrap();
        for _ in 0..DEEPEST {
            rustix::fs::mkdirat(&at, "d", Mode::from_raw_mode(0o700)).unwrap();
            at = open(at.as_fd(), "d").unwrap();
        }
        for number in 0..8000 {
            // Not empty: an empty one would be replaced by the next.
            rustix::fs::mkdirat(&at, number.to_string(), Mode::from_raw_mode(0o700)).unwrap();
            rustix::fs::mkdirat(&at, format!("{number}/x"), Mode::from_raw_mode(0o700)).unwrap();
        }
        // Names that are taken already.
        for number in 0..100 {
            fs::write(dir.path().join(format!("deep.{number}")), "").unwrap();
        }
        let before = crate::testing::on_cpu();
        let swept = empty(dir.path().to_str().unwrap(), &mut || false).unwrap();
        assert_eq!((swept.removed, swept.left, count(dir.path())), (u64::from(DEEPEST) + 16_100, 0, 0));
        let took = crate::testing::on_cpu() - before;
        assert!(took < std::time::Duration::from_secs(10), "{took:?}");
    }
}
