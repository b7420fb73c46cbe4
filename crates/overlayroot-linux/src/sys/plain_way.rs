// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a way leads through directories only: a link would lead elsewhere.

use std::fs::{self, Metadata};
use std::io;

/// Where a way ends.
#[derive(Debug)]
pub enum End {
    /// Every part of it is a directory.
    Open,
    /// Nothing has this name, below the base, or it can't be looked at.
    Missing(String, io::Error),
    /// Something else has it.
    Other(String, Metadata),
}

/// Follows `path` below `base`, which is not looked at.
pub fn follow(base: &str, path: &str) -> End {
    let mut way = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        way = format!("{way}/{part}");
        match fs::symlink_metadata(format!("{base}{way}")) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(metadata) => return End::Other(way, metadata),
            Err(error) => return End::Missing(way, error),
        }
    }
    End::Open
}
