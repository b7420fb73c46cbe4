// SPDX-License-Identifier: GPL-2.0-or-later
//! The whole: fetched, its sum looked at, unpacked beside the upper, and put in its place by one rename. A cut leaves
//! the upper empty or whole, never half of one; what lies in the work directory is emptied at the next boot.

use crate::decompress::open;
use crate::fault::{At, Fault, Result, io, shown};
use crate::fetch::{Bounds, fetch};
use crate::reader::Archive;
use crate::unpack::{RESERVE, Unpack};
use overlayroot_core::feature::populate::Marker;
use overlayroot_linux::probe::image::checksum;
use overlayroot_linux::source;
use overlayroot_linux::sys::newfile::nameless;
use overlayroot_linux::sys::statvfs::room;
use overlayroot_linux::sys::{attributes, remove_tree, sync};
use rustix::fs::{XattrFlags, syncfs};
use std::fs::{self, File};
use std::io::{ErrorKind, Seek, SeekFrom};

/// What to do.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// URL, or path in the lower.
    pub source: String,
    /// The same for people.
    pub told: String,
    /// The upper: an empty directory.
    pub upper: String,
    /// Its work directory.
    pub work: String,
    /// A directory of the same file system, for the archive.
    pub scratch: String,
    /// Where the lower can be read.
    pub lower: String,
    /// Sum that the archive must have.
    pub sha256: Option<String>,
    /// Proxy.
    pub proxy: Option<String>,
    /// Device nodes and pipes are taken.
    pub devices: bool,
    /// Seconds for all attempts to fetch it, seconds for further attempts, seconds without progress.
    pub seconds: (u64, u64, u64),
}

/// Does it; gives back what could not be kept, in words, or nothing.
///
/// # Errors
/// Why not; the upper is as it was then.
pub fn run(job: &Job) -> Result<Option<String>> {
    let file = match job.source.starts_with('/') {
        true => local(job)?,
        false => fetched(job)?,
    };
    let sum = sum(&file)?;
    if let Some(want) = job.sha256.as_ref().filter(|want| **want != sum) {
        let text = format!("the archive has sha256 {sum}, not {want} ({})", job.told);
        return Err(Fault { word: "sha256", text });
    }
    let stage = format!("{}/populate", job.work);
    clear(&stage)?;
    fs::create_dir(&stage).at(|| format!("making {stage}"))?;
    let done = unpack(job, &file, &stage, sum);
    if done.is_err() {
        // Nothing of it is left, also where the next boot will not ask again.
        let _ = clear(&stage);
    }
    done
}

fn local(job: &Job) -> Result<File> {
    let opened = source::open_in_root(&job.lower, &job.source);
    let file = opened.map_err(|error| Fault { word: "fetch", text: format!("{error:#}") })?;
    let plain = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let text = || format!("{} is not a plain file", shown(job.source.as_bytes()));
    if plain { Ok(file) } else { Err(Fault { word: "fetch", text: text() }) }
}

fn fetched(job: &Job) -> Result<File> {
    let file = nameless(&job.scratch).at(|| format!("making a file in {}", job.scratch))?;
    let free = room(&job.scratch).map_or(u64::MAX, |room| room.available);
    let (total, retry, stall) = job.seconds;
    let bounds = Bounds { total, retry, stall, bytes: free.saturating_sub(RESERVE).max(1) };
    fetch(&job.source, job.proxy.as_deref(), &job.told, &file, bounds)?;
    Ok(file)
}

fn sum(file: &File) -> Result<String> {
    let context = || "reading the archive".to_owned();
    let mut from = file.try_clone().at(context)?;
    from.seek(SeekFrom::Start(0)).at(context)?;
    Ok(checksum(from, "the archive").map_err(io)?.1)
}

fn unpack(job: &Job, file: &File, stage: &str, sum: String) -> Result<Option<String>> {
    let mut into = Unpack::new(stage, &job.lower, job.devices)?;
    let mut archive = Archive::new(open(file)?);
    into.all(&mut archive)?;
    attributes::copy_attributes(&job.upper, stage).map_err(io)?;
    let marker = Marker::of(sum, &job.source).to_string();
    let marked = rustix::fs::lsetxattr(stage, Marker::NAME, marker.as_bytes(), XattrFlags::empty());
    marked.at(|| format!("marking {stage}"))?;
    // What the name stands for must be on the disk before the name is.
    syncfs(crate::tree::root(stage)?).at(|| format!("syncing {stage}"))?;
    fs::rename(stage, &job.upper).at(|| format!("putting the new upper in the place of {}", job.upper))?;
    sync::sync_parent(&job.upper).and_then(|()| sync::sync(&job.work)).map_err(io)?;
    let lost = into.lost;
    Ok((lost > 0).then(|| format!("{lost} entries have user attributes that the upper's file system can't keep")))
}

/// Removes what an interruption left, and what a refused archive came to.
fn clear(stage: &str) -> Result<()> {
    match fs::symlink_metadata(stage) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Ok(metadata) if metadata.is_dir() => {}
        _ => return fs::remove_file(stage).at(|| format!("removing {stage}")),
    }
    let swept = remove_tree::empty(stage, &mut || false);
    swept.map_err(io)?;
    fs::remove_dir(stage).at(|| format!("removing {stage}"))
}
