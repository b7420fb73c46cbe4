// SPDX-License-Identifier: GPL-2.0-or-later
//! Discards what an upper has of single paths: by a rename into the trash, so that a cut leaves the whole of it or
//! nothing. By descriptors, for what lies in an upper may be anything.

use crate::step::layers;
use crate::step::store::unused;
use crate::sys::attributes::by_descriptor;
use crate::sys::descent;
use anyhow::{Context, Result};
use overlayroot_core::feature::commit::Stays;
use overlayroot_core::value::diagnostics::escape;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, renameat, statat, syncfs};
use rustix::io::Errno;
use std::fs;

/// What an upper has of a path.
#[derive(Debug)]
pub enum Had {
    /// Nothing: the lower's shows.
    Nothing,
    /// Its name in this directory.
    Entry(OwnedFd, String),
    /// Something that takes the place of a directory on the way there: without the path, the lower's would not show.
    Covered(String),
}

/// Looks for what an upper has of an absolute path, whose lower is that.
///
/// # Errors
/// Those of the file system.
pub fn had(upper: &str, lower: &str, path: &str) -> Result<Had> {
    let mut above = descent::open(CWD, upper).with_context(|| format!("opening {upper}"))?;
    let mut below = descent::open(CWD, lower).ok();
    let mut way = String::new();
    let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
    let mut covered = None;
    for part in parents.split('/').filter(|part| !part.is_empty()) {
        way = format!("{way}/{part}");
        above = match descent::open(&above, part) {
            Ok(directory) => directory,
            Err(Errno::NOENT) => return Ok(Had::Nothing),
            Err(Errno::NOTDIR | Errno::LOOP) => return Ok(Had::Covered(way)),
            Err(error) => return Err(error).with_context(|| format!("opening {way} in the upper")),
        };
        below = below.and_then(|below| descent::open(&below, part).ok());
        if below.is_some() && layers::is_opaque(by_descriptor(&above) + "/.") {
            covered.get_or_insert(way.clone());
        }
    }
    let is_there = |at: &OwnedFd| statat(at, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
    if let Some(way) = covered.filter(|_| below.as_ref().is_some_and(is_there)) {
        return Ok(Had::Covered(way));
    }
    Ok(if is_there(&above) { Had::Entry(above, name.to_owned()) } else { Had::Nothing })
}

/// What was done with the paths that were asked for.
#[derive(Debug, Default)]
pub struct Reverted {
    /// Paths whose changes are in the trash.
    pub moved: u64,
    /// What stays.
    pub stays: Vec<Stays>,
}

/// Moves all of it into the trash, where `aside` is, and tells as it goes on.
///
/// # Errors
/// Those of the file system. What was moved before stays so, and the next boot does the rest.
pub fn discard(upper: &str, lower: &str, aside: &str, asked: &[String], done: &mut Reverted) -> Result<()> {
    fs::create_dir_all(aside).with_context(|| format!("making {aside}"))?;
    for path in asked {
        match had(upper, lower, path)? {
            Had::Nothing => {}
            Had::Covered(by) => {
                let why = format!("{} takes the place of the lower's", escape(&by));
                done.stays.push(Stays { path: path.clone(), why });
            }
            Had::Entry(directory, name) => {
                renameat(&directory, &name, CWD, unused(aside, "revert"))
                    .with_context(|| format!("moving {path} of the upper into the trash"))?;
                done.moved += 1;
            }
        }
    }
    let top = descent::open(CWD, upper).with_context(|| format!("opening {upper}"))?;
    syncfs(&top).context("syncing the upper")
}
