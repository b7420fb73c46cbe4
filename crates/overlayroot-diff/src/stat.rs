// SPDX-License-Identifier: GPL-2.0-or-later
//! What statx(2) tells, in types that are the same on every processor.

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags};
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

/// The type of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A block device.
    Block,
    /// A character device.
    Char,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// What the directory does not tell.
    Unknown,
}

impl Type {
    /// Its word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::Block => "block",
            Self::Char => "char",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Unknown => "unknown",
        }
    }

    /// Of a directory entry or a mode.
    pub(crate) fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Symlink,
            FileType::BlockDevice => Self::Block,
            FileType::CharacterDevice => Self::Char,
            FileType::Fifo => Self::Fifo,
            FileType::Socket => Self::Socket,
            FileType::Unknown => Self::Unknown,
        }
    }
}

/// An inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Its type.
    pub kind: Type,
    /// Permissions, with setuid, setgid and sticky: `0o7777`.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes; of a file whose data is still in the lower (metacopy) also.
    pub size: u64,
    /// Blocks of 512 bytes.
    pub blocks: u64,
    /// Last change of the content: seconds since 1970, nanoseconds.
    pub mtime: (i64, u32),
    /// Device it lies on: major, minor.
    pub dev: (u32, u32),
    /// Its number there.
    pub ino: u64,
    /// Names it has.
    pub nlink: u32,
    /// Device it stands for: major, minor.
    pub rdev: (u32, u32),
}

/// What statx(2) said of a name.
pub(crate) type Answer = rustix::io::Result<Stat>;

impl Stat {
    /// The inode behind a name; a link is not followed.
    pub(crate) fn at(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<Self> {
        const FLAGS: AtFlags = AtFlags::SYMLINK_NOFOLLOW.union(AtFlags::NO_AUTOMOUNT);
        Ok(Self::from(&rustix::fs::statx(dir, name, FLAGS, StatxFlags::BASIC_STATS)?))
    }

    /// The inode that is open.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> rustix::io::Result<Self> {
        Ok(Self::from(&rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS)?))
    }

    /// Whether it is the device that stands for a removed name (kernel: overlayfs.rst).
    pub fn is_whiteout_device(&self) -> bool {
        self.kind == Type::Char && self.rdev == (0, 0)
    }

    /// Bytes it takes.
    pub fn allocated(&self) -> u64 {
        self.blocks.saturating_mul(512)
    }

    /// What tells inodes apart.
    pub fn id(&self) -> ((u32, u32), u64) {
        (self.dev, self.ino)
    }
}

impl From<&Statx> for Stat {
    fn from(stat: &Statx) -> Self {
        Self {
            kind: Type::of(FileType::from_raw_mode(u32::from(stat.stx_mode))),
            mode: u32::from(stat.stx_mode) & 0o7777,
            uid: stat.stx_uid,
            gid: stat.stx_gid,
            size: stat.stx_size,
            blocks: stat.stx_blocks,
            mtime: (stat.stx_mtime.tv_sec, stat.stx_mtime.tv_nsec),
            dev: (stat.stx_dev_major, stat.stx_dev_minor),
            ino: stat.stx_ino,
            nlink: stat.stx_nlink,
            rdev: (stat.stx_rdev_major, stat.stx_rdev_minor),
        }
    }
}
