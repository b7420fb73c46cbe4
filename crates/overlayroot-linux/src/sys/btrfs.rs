// SPDX-License-Identifier: GPL-2.0-or-later
//! Subvolumes of btrfs by its ioctls: btrfs-progs need not be in the initramfs. All are older than Linux 4.18.
#![allow(unsafe_code, reason = "ioctls on descriptors that live through the call")]

use crate::sys::sync::sync_parent;
use anyhow::{Context, Result, bail};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, Setter, Updater, ioctl, opcode};
use std::fs::{self, File};
use std::os::fd::AsRawFd;

/// `struct btrfs_ioctl_vol_args` (kernel: include/uapi/linux/btrfs.h).
#[repr(C)]
struct Name {
    fd: i64,
    name: [u8; 4088],
}

/// `struct btrfs_ioctl_fs_info_args`.
#[repr(C)]
struct Info {
    counts: [u64; 2],
    uuid: [u8; 16],
    rest: [u64; 124],
}

const SNAPSHOT: Opcode = opcode::write::<Name>(0x94, 1);
const CREATE: Opcode = opcode::write::<Name>(0x94, 14);
const DESTROY: Opcode = opcode::write::<Name>(0x94, 15);
const GET_FLAGS: Opcode = opcode::read::<u64>(0x94, 25);
const SET_FLAGS: Opcode = opcode::write::<u64>(0x94, 26);
const INFO: Opcode = opcode::read::<Info>(0x94, 31);

/// BTRFS_SUBVOL_RDONLY.
const READ_ONLY: u64 = 1 << 1;
/// Number of the directory at the top of each subvolume (BTRFS_FIRST_FREE_OBJECTID).
const TOP: u64 = 256;
/// Type of the file system in statfs(2).
const MAGIC: u64 = 0x9123_683e;

/// Whether an open directory is the top of a subvolume.
#[allow(clippy::unnecessary_cast, reason = "the type of f_type differs between machines")]
pub fn is_top(directory: BorrowedFd<'_>) -> bool {
    let numbered = rustix::fs::fstat(directory).is_ok_and(|stat| stat.st_ino == TOP);
    numbered && rustix::fs::fstatfs(directory).is_ok_and(|stat| stat.f_type as u64 & 0xffff_ffff == MAGIC)
}

/// Whether the path is a subvolume, and no link to one.
pub fn is_subvolume(path: &str) -> bool {
    let directory = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    directory && File::open(path).is_ok_and(|file| is_top(file.as_fd()))
}

/// Makes a subvolume with its parents, which become directories; one that is there stays as it is. It is on the
/// disk when this comes back.
///
/// # Errors
/// Where something else has the name, or the parents lie on another file system.
pub fn make(path: &str) -> Result<()> {
    let context = || format!("making the subvolume {path}");
    let (parent, name) = path.rsplit_once('/').with_context(context)?;
    fs::create_dir_all(parent).with_context(context)?;
    let parent = File::open(parent).with_context(context)?;
    let name = named(name.as_bytes()).with_context(context)?;
    // SAFETY: an open descriptor, a structure as the kernel reads it.
    match unsafe { ioctl(&parent, Setter::<CREATE, _>::new(name)) } {
        Err(Errno::EXIST) if is_subvolume(path) => Ok(()),
        Err(Errno::EXIST) => bail!("{path} is there, and is not a subvolume"),
        result => {
            result.with_context(context)?;
            // The call commits itself, the directories above it are synced here.
            sync_parent(path)
        }
    }
}

/// Makes a writable snapshot of a subvolume, of which nothing may have the name. It is on the disk when this comes back.
///
/// # Errors
/// Where something has the name, or the place lies on another file system.
pub fn snapshot(of: &str, path: &str) -> Result<()> {
    let context = || format!("making the snapshot {path} of {of}");
    let (parent, name) = path.rsplit_once('/').with_context(context)?;
    let (source, parent) = (File::open(of).with_context(context)?, File::open(parent).with_context(context)?);
    let name = Name { fd: source.as_raw_fd().into(), ..named(name.as_bytes()).with_context(context)? };
    // SAFETY: open descriptors, a structure as the kernel reads it.
    unsafe { ioctl(&parent, Setter::<SNAPSHOT, _>::new(name)) }.with_context(context)?;
    sync_parent(path)
}

/// Removes a subvolume with all that is in it; the kernel gives its room back in the background.
///
/// # Errors
/// EPERM and ENOTEMPTY where another subvolume lies in it.
pub fn destroy(parent: BorrowedFd<'_>, name: &[u8]) -> rustix::io::Result<()> {
    let name = named(name)?;
    // SAFETY: an open descriptor, a structure as the kernel reads it.
    unsafe { ioctl(parent, Setter::<DESTROY, _>::new(name)) }
}

/// Makes a subvolume read-only, or writable again; its state is on the disk when this comes back.
///
/// # Errors
/// Where it is none, or is being sent.
pub fn set_read_only(path: &str, read_only: bool) -> Result<()> {
    let context = || format!("making the subvolume {path} {}", if read_only { "read-only" } else { "writable" });
    let directory = File::open(path).with_context(context)?;
    // SAFETY: an open descriptor, a number as the kernel fills it.
    let flags = unsafe { ioctl(&directory, Getter::<GET_FLAGS, u64>::new()) }.with_context(context)?;
    let want = if read_only { flags | READ_ONLY } else { flags & !READ_ONLY };
    if want != flags {
        // SAFETY: as above.
        unsafe { ioctl(&directory, Setter::<SET_FLAGS, u64>::new(want)) }.with_context(context)?;
    }
    Ok(())
}

/// UUID of the file system that is mounted at a path, as the kernel writes it; `None` where that is no btrfs.
pub(crate) fn uuid(at: &str) -> Option<String> {
    // A pipe on a btrfs can be mounted somewhere as a file, too.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY | OFlags::CLOEXEC;
    let directory = rustix::fs::open(at, flags, Mode::empty()).ok()?;
    // Newer kernels read what is asked for in it.
    let mut info = Info { counts: [0; 2], uuid: [0; 16], rest: [0; 124] };
    // SAFETY: an open descriptor, a structure as the kernel fills it.
    unsafe { ioctl(directory, Updater::<INFO, Info>::new(&mut info)) }.ok()?;
    Some(hyphenated(info.uuid))
}

fn hyphenated(uuid: [u8; 16]) -> String {
    let digits = uuid.iter().enumerate().map(|(at, byte)| match at {
        4 | 6 | 8 | 10 => format!("-{byte:02x}"),
        _ => format!("{byte:02x}"),
    });
    digits.collect::<Vec<_>>().concat()
}

fn named(name: &[u8]) -> rustix::io::Result<Name> {
    let mut out = Name { fd: 0, name: [0; 4088] };
    // The last byte stays NUL.
    match out.name.get_mut(..4087).and_then(|room| room.get_mut(..name.len())) {
        Some(room) => room.copy_from_slice(name),
        None => return Err(Errno::NAMETOOLONG),
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_size_and_names_that_fit() {
        assert_eq!((size_of::<Name>(), size_of::<Info>()), (4096, 1024));
        assert!(named(&[b'x'; 4087]).is_ok() && named(&[b'x'; 4088]).is_err());
    }

    #[test]
    fn a_uuid_as_the_kernel_writes_it() {
        let uuid = *b"\x32\x67\xc7\x4b\x68\xda\x45\xbb\xbd\x4b\x46\xd8\x26\x1c\x0a\xe5";
        assert_eq!(hyphenated(uuid), "3267c74b-68da-45bb-bd4b-46d8261c0ae5");
        assert!(uuid_of_nothing());
    }

    fn uuid_of_nothing() -> bool {
        super::uuid("/nowhere").is_none() && super::uuid("/proc").is_none()
    }

    #[test]
    fn what_is_no_subvolume() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!is_subvolume(dir.path().to_str().unwrap()) && !is_subvolume("/nowhere"));
    }
}
