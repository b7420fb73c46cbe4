// SPDX-License-Identifier: GPL-2.0-or-later
//! How full a file system is.

use anyhow::{Context, Result};
use rustix::fs::statvfs;

/// Space and inodes of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes free, those reserved for root among them.
    pub free: u64,
    /// Bytes free to everybody.
    pub available: u64,
    /// Inodes in all; 0 where the file system has no fixed number (btrfs).
    pub inodes: u64,
    /// Inodes free.
    pub inodes_free: u64,
}

/// Asks the kernel about the file system that holds `path`.
pub fn room(path: &str) -> Result<Room> {
    let stat = statvfs(path).with_context(|| format!("asking for the room on {path}"))?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(Room {
        bytes: bytes(stat.f_blocks),
        free: bytes(stat.f_bfree),
        available: bytes(stat.f_bavail),
        inodes: stat.f_files,
        inodes_free: stat.f_ffree,
    })
}
