// SPDX-License-Identifier: GPL-2.0-or-later
//! What lies where an upper is to be, as a fact.

use serde::{Deserialize, Serialize};

/// What lies at a path of the root, or of the device asked for to hold it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Place {
    /// What it is.
    pub kind: PlaceKind,
    /// The first part of the path that is not a plain directory, where that is not the last.
    pub blocked_by: Option<String>,
    /// Length of a file.
    pub bytes: u64,
    /// Type of the file system in a file; empty where none is recognised.
    pub fstype: String,
    /// Whether that file system can fold the case of names ([`Kernel::takes_casefold`]).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub casefold: bool,
    /// Bytes taken by what an interrupted making left beside it; 0 for nothing.
    pub half_made: u64,
    /// Bytes of the device's file system; 0 on the root's own.
    pub fs_bytes: u64,
    /// Bytes of the device's file system that are free to everybody.
    pub fs_free: u64,
    /// Why the device's file system could not be read.
    pub unseen: Option<String>,
}

/// See [`Place`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlaceKind {
    /// Nothing.
    #[default]
    Missing,
    /// A directory.
    Directory,
    /// A subvolume of btrfs, where one is looked for.
    Subvolume,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

impl PlaceKind {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Directory => "a directory",
            Self::Subvolume => "a subvolume",
            Self::File => "a file",
            Self::Link => "a symbolic link",
            Self::Other => "a device, socket or pipe",
        }
    }
}
