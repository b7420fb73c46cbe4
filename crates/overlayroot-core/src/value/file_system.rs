// SPDX-License-Identifier: GPL-2.0-or-later
//! The file systems that are made for an upper.

use crate::value::size::LEAST;
use serde::{Deserialize, Serialize};

/// The file system made for an upper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MadeFs {
    /// The default.
    #[default]
    Ext4,
    /// Can't shrink, has reflinks.
    Xfs,
    /// Has snapshots.
    Btrfs,
}

impl MadeFs {
    /// Every kind with its word.
    pub const ALL: [(&'static str, Self); 3] = [("ext4", Self::Ext4), ("xfs", Self::Xfs), ("btrfs", Self::Btrfs)];

    /// Its word, which is also its kernel module and the end of its `mkfs.` program.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// Least bytes its mkfs takes.
    pub fn least(self) -> u64 {
        match self {
            Self::Ext4 => LEAST,
            Self::Xfs => LEAST_XFS,
            Self::Btrfs => LEAST_BTRFS,
        }
    }
}

/// xfsprogs 6 refuses less.
pub const LEAST_XFS: u64 = 300 << 20;

/// btrfs-progs 6 refuses less (mixed block groups aside).
pub const LEAST_BTRFS: u64 = 128 << 20;
