// SPDX-License-Identifier: GPL-2.0-or-later
//! Uppers on the machine's own disk: `dir:PATH`, and what its parameters share with `loop:PATH`'s
//! (`loopspec.rs`).

use crate::bytes::{bytes_of, percent_of};
use crate::issue::{nearest, shown};
use crate::upper::{Problem, SIZES};
use serde::{Deserialize, Serialize};
use std::fmt;

pub use crate::loopspec::{LoopFile, parse_loop, parse_loop_by_hand};

/// A size as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// Bytes.
    Bytes(u64),
    /// Percent of the file system that holds it, 1 to 100.
    Percent(u8),
}

impl Size {
    /// `8G`, `512MiB`, `25%`; at least [`LEAST`].
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = || bytes_of(text).filter(|bytes| *bytes >= LEAST).map(Self::Bytes);
        percent_of(text).map(Self::Percent).or_else(bytes)
    }

    /// Bytes, rounded down to whole mebibytes, of a file system of `all` bytes.
    pub fn of(self, all: u64) -> u64 {
        let bytes = match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => {
                let bytes = u128::from(all) * u128::from(percent) / 100;
                u64::try_from(bytes).unwrap_or(all)
            }
        };
        bytes >> 20 << 20
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{}", human(*bytes)),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// Bytes in the largest unit that leaves no rest.
pub fn human(bytes: u64) -> String {
    let units = [(30, "G"), (20, "M"), (10, "k")];
    let fits = units.iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    fits.map_or_else(|| bytes.to_string(), |(shift, unit)| format!("{}{unit}", bytes >> shift))
}

/// The smallest upper that is made: an ext4 with its journal, and room to work in.
pub const LEAST: u64 = 16 << 20;
/// xfsprogs 6 refuses less.
pub const LEAST_XFS: u64 = 300 << 20;
/// btrfs-progs 6 refuses less (mixed block groups aside).
pub const LEAST_BTRFS: u64 = 128 << 20;

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

/// `dir:PATH[,size=SIZE]`: a directory on the root's own file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dir {
    /// Absolute path in the root.
    pub path: String,
    /// Project quota.
    pub size: Option<Size>,
}

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        self.size.map_or(Ok(()), |size| write!(f, ",size={size}"))
    }
}

/// What stands behind `dir:`.
pub fn parse_dir(text: &str) -> Result<Dir, Problem> {
    let (path, params) = split(text)?;
    on_root(&path)?;
    let mut dir = Dir { path, size: None };
    for (key, value) in params {
        match key {
            "size" => dir.size = Some(size(key, value)?),
            _ => return Err(unknown(key, &["size"])),
        }
    }
    Ok(dir)
}

pub(crate) type Params<'a> = Vec<(&'a str, Option<&'a str>)>;

/// The path and the parameters behind it.
pub(crate) fn split(text: &str) -> Result<(String, Params<'_>), Problem> {
    let mut parts = text.split(',');
    let path = plain_path(parts.next().unwrap_or_default())?;
    let params = parts.filter(|part| !part.is_empty());
    let params = params.map(|part| part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value))));
    Ok((path, params.collect()))
}

/// An absolute path below `/` without `.`, `..` and doubled slashes, and nothing that mount(2) or
/// overlayfs would read as a separator.
pub fn plain_path(text: &str) -> Result<String, Problem> {
    let problem = |what: &str| Err(Problem::new(format!("'{}' {what}", shown(text)), None));
    let Some(below) = text.strip_prefix('/') else {
        return problem("is not an absolute path");
    };
    let parts: Vec<&str> = below.split('/').filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return problem("is the root itself");
    }
    if parts.iter().any(|part| matches!(*part, "." | "..")) {
        return problem("must not contain '..'");
    }
    let forbidden = |c: char| c.is_control() || matches!(c, ':' | '\\' | '"' | '\'');
    if text.contains(forbidden) {
        return problem("has a character that is not allowed in a path");
    }
    Ok(format!("/{}", parts.join("/")))
}

/// The boot looks on the root's own file system only.
pub(crate) fn on_root(path: &str) -> Result<(), Problem> {
    let first = path.split('/').nth(1).unwrap_or_default();
    if matches!(first, "dev" | "proc" | "sys" | "run" | "tmp") {
        return Err(Problem::new(format!("'{}' lies where other file systems are mounted", shown(path)), None));
    }
    Ok(())
}

pub(crate) fn size(key: &str, value: Option<&str>) -> Result<Size, Problem> {
    let value = value.unwrap_or_default();
    Size::parse(value).ok_or_else(|| {
        let text = format!("{key}={} is not a size of at least {}, {SIZES}", shown(value), human(LEAST));
        Problem::new(text, None)
    })
}

pub(crate) fn fs(word: &str) -> Result<MadeFs, Problem> {
    let found = MadeFs::ALL.iter().find(|(name, _)| *name == word);
    found.map(|(_, fs)| *fs).ok_or_else(|| {
        let near = nearest(word, MadeFs::ALL.iter().map(|(name, _)| *name));
        Problem::new(format!("fs={} is not one of ext4, xfs, btrfs", shown(word)), near)
    })
}

/// Refuses a size in bytes that `fs` can't be made in; percentages are known at the boot.
pub(crate) fn enough(fs: MadeFs, size: Option<Size>) -> Result<(), Problem> {
    match size {
        Some(Size::Bytes(bytes)) if bytes < fs.least() => {
            Err(Problem::new(format!("{} needs at least size={}", fs.word(), human(fs.least())), None))
        }
        _ => Ok(()),
    }
}

pub(crate) fn unknown(key: &str, known: &[&'static str]) -> Problem {
    let text = format!("'{}' is not among the parameters {}", shown(key), known.join(", "));
    Problem::new(text, nearest(key, known.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_and_units() {
        assert_eq!(Size::Percent(25).of(10 << 30), 2560 << 20);
        assert_eq!((human(8 << 30), human(1536 << 20), human(5)), ("8G".into(), "1536M".into(), "5".into()));
        assert!(parse_dir("/d,fs=ext4").is_err());
    }
}
