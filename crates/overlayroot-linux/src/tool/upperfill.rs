// SPDX-License-Identifier: GPL-2.0-or-later
//! The upper in use: where it is, and how full it is.

use crate::sys::statvfs::room;
use crate::sys::{memory, mounts, namespace};
use anyhow::{Context, Result};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::meminfo::Memory;
use overlayroot_core::parse::mountinfo::{self, Mount};
use overlayroot_core::record::Record;
use overlayroot_core::step::effective::{RootKind, UpperKind};
use overlayroot_host::watch::levels::{Reading, Space};
use std::fs::{self, File};

/// The upper that `/` has now.
#[derive(Debug, Clone)]
pub struct Upper {
    /// What it is.
    pub kind: UpperKind,
    /// The mount of its file system.
    pub mount: Mount,
    /// Where the kernel is asked for its fill.
    pub at: String,
    /// The upper directory.
    pub directory: String,
}

/// Finds the upper of this boot; `None` where `/` is no overlay of this project.
///
/// # Errors
/// Where the mounts can't be read, or the upper's is not among them.
pub fn find(record: &Record) -> Result<Option<Upper>> {
    let effective = &record.effective;
    let (RootKind::Overlay, Some(at)) = (effective.root, effective.upper_fs.as_deref()) else {
        return Ok(None);
    };
    let mut mounts = mounts::read()?;
    if mountinfo::at(&mounts, at).is_none() && join_first() {
        mounts = mounts::read()?;
    }
    let Some(directory) = mountinfo::at(&mounts, "/")
        .filter(|root| root.fstype == "overlay")
        .and_then(|root| root.super_option("upperdir"))
    else {
        return Ok(None);
    };
    let mount =
        mountinfo::at(&mounts, at).with_context(|| format!("the upper's file system is not mounted on {at}"))?;
    // The directory may be held to a size, and shows that.
    let at = if effective.upper.is_limited() { paths::UPPER_LINK } else { at };
    Ok(Some(Upper { kind: effective.upper, mount: mount.clone(), at: at.to_owned(), directory }))
}

/// A unit or a container may have mounts of its own, where the upper's is hidden: then those of the first process
/// count. A process with several threads can't change its own, and stays.
fn join_first() -> bool {
    let same = |path: &str| fs::read_link(path).ok();
    if same("/proc/1/ns/mnt") == same("/proc/self/ns/mnt") {
        return false;
    }
    File::open("/proc/1/ns/mnt").is_ok_and(|other| namespace::enter_mounts(&other).is_ok())
}

/// How full the file system is that is mounted as `mount`, as seen at `at`.
///
/// # Errors
/// Where the kernel does not tell.
pub fn reading(at: &str, fstype: &str) -> Result<Reading> {
    let room = room(at)?;
    Ok(Reading {
        bytes: room.bytes,
        used: room.bytes.saturating_sub(room.free),
        available: room.available,
        inodes: room.inodes,
        inodes_used: room.inodes.saturating_sub(room.inodes_free),
        memory: if fstype == "tmpfs" { memory() } else { None },
        outer: None,
    })
}

/// The same for a directory that is the upper, `mount` being of its file system: where it is held to a size, the kernel
/// shows that one, and nothing of what else fills the file system.
///
/// # Errors
/// Where the kernel does not tell.
pub fn directory(at: &str, mount: &Mount) -> Result<Reading> {
    let mut reading = reading(at, &mount.fstype)?;
    let whole = room(&mount.at)?;
    if whole.bytes > reading.bytes {
        reading.outer = Some(Space { used: whole.bytes.saturating_sub(whole.free), available: whole.available });
    }
    Ok(reading)
}

/// How full the upper in use is.
///
/// # Errors
/// Where the kernel does not tell.
pub fn now(upper: &Upper) -> Result<Reading> {
    match upper.kind.is_limited() {
        true => directory(&upper.at, &upper.mount),
        false => reading(&upper.at, &upper.mount.fstype),
    }
}

fn memory() -> Option<Memory> {
    Some(memory::read()).filter(|memory| memory.ram > 0)
}

/// Gives this thread, and no other, the least of the CPU.
pub fn be_nice() {
    let _ = rustix::process::nice(19);
}
