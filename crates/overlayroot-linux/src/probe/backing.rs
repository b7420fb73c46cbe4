// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks at a path on another device's file system: mounts it for a moment, read-only. On the running host, which may
//! have it mounted already, there.

use crate::probe::place;
use crate::sys::statvfs::room;
use crate::sys::{filesystem, mounts};
use anyhow::{Context, Result};
use overlayroot_core::facts::device::{Device, Lookup};
use overlayroot_core::facts::place::Place;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::step::refusal::UPPER_FILE_SYSTEMS;
use overlayroot_core::upper::loop_file::LoopFile;
use rustix::mount::MountFlags;

/// What to do with a journal that a power cut left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Journal {
    /// Replay it, as every mount does: without it a file that was finished before the cut may not be seen.
    Replay,
    /// Leave it: nothing is written, and what is seen may be old.
    Leave,
}

/// What lies at the path of the file on the device that was found; `None` where the device can't be
/// used, which is known without looking.
pub fn look(device: Option<&Lookup>, asked: &LoopFile, journal: Journal) -> Option<Place> {
    let Some(Lookup::Found(device)) = device else {
        return None;
    };
    if !UPPER_FILE_SYSTEMS.contains(&device.fstype.as_str()) {
        return None;
    }
    let seen = match (device.is_free(), journal) {
        (true, _) => ours(device, asked).unwrap_or_else(|| apart(device, asked, journal)),
        (false, Journal::Leave) => mounted(device, asked).unwrap_or_else(|| apart(device, asked, journal)),
        (false, Journal::Replay) => return None,
    };
    Some(seen.unwrap_or_else(|error| Place { unseen: Some(format!("{error:#}")), ..Place::default() }))
}

/// On the running host this boot's own mount of it.
fn ours(device: &Device, asked: &LoopFile) -> Option<Result<Place>> {
    let mounts = mounts::read().ok()?;
    let mount = mountinfo::at(&mounts, paths::HOLDER_KEPT)?;
    filesystem::shows(mount, &device.file_system()).then(|| seen_at(paths::HOLDER_KEPT, asked))
}

/// Where the running system has all of it, and not only a directory or subvolume.
fn mounted(device: &Device, asked: &LoopFile) -> Option<Result<Place>> {
    let mounts = mounts::read().ok()?;
    let system = device.file_system();
    let mount = mounts.iter().find(|mount| mount.root == "/" && filesystem::shows(mount, &system))?;
    Some(seen_at(&mount.at, asked))
}

fn apart(device: &Device, asked: &LoopFile, journal: Journal) -> Result<Place> {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let options = match journal {
        Journal::Replay => &[""],
        Journal::Leave => crate::sys::mounts::unreplayed(&device.fstype),
    };
    let mut last = None;
    for option in options {
        match mounts::mount_fs(&device.path, paths::LOOK, &device.fstype, flags, option) {
            Ok(()) => {
                let seen = seen_at(paths::LOOK, asked);
                mounts::unmount(paths::LOOK)?;
                return seen;
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.with_context(|| format!("mounting {}", device.path))?)
}

fn seen_at(at: &str, asked: &LoopFile) -> Result<Place> {
    let room = room(at)?;
    Ok(Place { fs_bytes: room.bytes, fs_free: room.available, ..place::look_into(at, &asked.path) })
}
