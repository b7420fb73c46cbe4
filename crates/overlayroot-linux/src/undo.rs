// SPDX-License-Identifier: GPL-2.0-or-later
//! What takes a step back. A plan that fails half way leaves the machine as it found it.

use crate::{blkpg, loopdev, mounts};
use anyhow::Result;

/// Takes one step back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// Unmount.
    Unmount(String),
    /// Remove a link or file that the step made.
    Remove(String),
    /// Make the file system mounted here writable again.
    SuperWritable(String),
    /// Make the file system mounted here read-only again.
    SuperReadOnly(String),
    /// Give the loop device that a link names back, and remove the link.
    Detach(String),
    /// Take a partition from the kernel that the table does not have.
    Release {
        /// Node of the disk.
        disk: String,
        /// Its number.
        number: u32,
    },
    /// Put the root back from its second mount.
    RootBack {
        /// Where the root is still mounted.
        lower: String,
        /// Where it belongs.
        at: String,
        /// Whether that mount was read-only.
        read_only: bool,
    },
    /// Put a parked mount back.
    Unpark {
        /// Where it waits.
        from: String,
        /// Where it belongs.
        to: String,
    },
}

impl Undo {
    fn run(&self) -> Result<()> {
        match self {
            Self::Unmount(at) => mounts::unmount(at),
            Self::Remove(path) => Ok(std::fs::remove_file(path)?),
            Self::SuperWritable(at) => mounts::remount_super(at, false),
            Self::SuperReadOnly(at) => mounts::remount_super(at, true),
            Self::Detach(link) => {
                let node = std::fs::canonicalize(link)?;
                std::fs::remove_file(link)?;
                loopdev::detach(&node.to_string_lossy())
            }
            Self::Release { disk, number } => blkpg::delete(disk, *number),
            Self::RootBack { lower, at, read_only } => {
                mounts::bind(lower, at)?;
                // A bind inherits the read-only flag of what it was made from.
                if mounts::is_bind_read_only(at)? != *read_only {
                    mounts::remount_bind(at, *read_only)?;
                }
                Ok(())
            }
            Self::Unpark { from, to } => {
                mounts::bind(from, to)?;
                mounts::unmount(from)
            }
        }
    }
}

/// Takes all steps back, the last first; goes on past what can't be taken back, and gives back its words.
pub fn all(undos: Vec<Undo>) -> Vec<String> {
    let mut left = Vec::new();
    for undo in undos.iter().rev() {
        if let Err(error) = undo.run() {
            tracing::error!("taking back {undo:?}: {error:#}");
            left.push(format!("not taken back: {error:#}"));
        }
    }
    left
}
