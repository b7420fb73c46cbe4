// SPDX-License-Identifier: GPL-2.0-or-later
//! A root on a partition of its disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::case::{FsKind, RootKind};
use crate::disk;
use crate::fsimage;
use crate::host;

/// Where the root begins.
const START: u64 = 1 << 20;
/// What is left free behind it.
const FREE: u64 = 256 << 20;

impl RootKind {
    /// sfdisk's word for its partition table, where the root is on a partition.
    #[must_use]
    pub fn table(self) -> Option<&'static str> {
        match self {
            Self::Gpt => Some("gpt"),
            Self::Mbr => Some("dos"),
            Self::Ext4
            | Self::Ext4Quota
            | Self::Xfs
            | Self::Btrfs
            | Self::BtrfsSubvol
            | Self::SplitUsr
            | Self::Export
            | Self::Squashfs
            | Self::Erofs => None,
        }
    }
}

/// Makes a disk with the table of that kind, and the file system image as its first partition.
///
/// # Errors
/// Those of sfdisk, and of writing.
pub fn wrap(table: &str, part: &Path, img: &Path) -> Result<()> {
    let bytes = fs::metadata(part)?.len();
    File::create(img)?.set_len(START + bytes + FREE)?;
    let mut child = Command::new("sfdisk").arg("--quiet").arg(img).stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no pipe")?;
    write!(input, "label: {table}\nstart={}, size={}, type=linux\n", START / 512, bytes / 512)?;
    drop(input);
    ensure!(child.wait()?.success(), "sfdisk made no {table} table");
    disk::insert(part, img)
}

/// Checks that each ext4 of the disk was cleanly unmounted.
///
/// # Errors
/// What is unclean.
pub fn check_clean(img: &Path) -> Result<()> {
    let dump = host::run(Command::new("sfdisk").arg("--dump").arg(img))?;
    let text = String::from_utf8_lossy(&dump);
    let starts = text.lines().filter_map(|line| line.split_once("start=")?.1.split(',').next()?.trim().parse().ok());
    let starts: Vec<u64> = starts.collect();
    ensure!(!starts.is_empty(), "no partition in {}", img.display());
    for start in starts {
        // a file system inside a file, as e2fsprogs names it
        let at = PathBuf::from(format!("{}?offset={}", img.display(), start * 512));
        fsimage::check_clean(FsKind::Ext4, &at).with_context(|| format!("the partition at {start}"))?;
    }
    Ok(())
}
