// SPDX-License-Identifier: GPL-2.0-or-later
//! How full a file system is.

use anyhow::{Context, Result};
use nix::sys::statvfs::statvfs;

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
#[allow(clippy::useless_conversion, reason = "32-bit machines count in u32")]
pub fn room(path: &str) -> Result<Room> {
    let stat = statvfs(path).with_context(|| format!("asking for the room on {path}"))?;
    let unit = u64::from(stat.fragment_size());
    Ok(Room {
        bytes: u64::from(stat.blocks()) * unit,
        free: u64::from(stat.blocks_free()) * unit,
        available: u64::from(stat.blocks_available()) * unit,
        inodes: u64::from(stat.files()),
        inodes_free: u64::from(stat.files_free()),
    })
}
