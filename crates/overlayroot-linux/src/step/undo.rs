// SPDX-License-Identifier: GPL-2.0-or-later
//! What takes a step back. A plan that fails half way leaves the machine as it found it.

use crate::sys::{blkpg, loopdev, mounts};
use anyhow::Result;
use overlayroot_core::facts::live_image::Live;
use rustix::mount::MountFlags;
use std::fmt;

/// Takes one step back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undo {
    /// Unmount.
    Unmount(String),
    /// Unmount with what is mounted below.
    Detached(String),
    /// Remove a link or file that the step made.
    Remove(String),
    /// Make the file system mounted here writable again.
    SuperWritable(String),
    /// Make the file system mounted here read-only again.
    SuperReadOnly(String),
    /// Give the loop device of a file back, and remove the link to it. It may have gone with its mount, and be
    /// somebody else's by now.
    Detach {
        /// Link to the device.
        link: String,
        /// The file.
        file: String,
    },
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
        /// The flags of that mount, which the lower's has not.
        flags: MountFlags,
    },
    /// Put dmsquash-live's overlay back.
    Cover {
        /// Where it was.
        at: String,
        /// What it was.
        live: Live,
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
            Self::Detached(at) => mounts::detach(at),
            Self::Remove(path) => Ok(std::fs::remove_file(path)?),
            Self::SuperWritable(at) => mounts::remount_super(at, false),
            Self::SuperReadOnly(at) => mounts::remount_super(at, true),
            Self::Detach { link, file } => {
                let node = std::fs::canonicalize(link)?.to_string_lossy().into_owned();
                std::fs::remove_file(link)?;
                if loopdev::of_file(file)?.contains(&node) { loopdev::detach(&node) } else { Ok(()) }
            }
            Self::Release { disk, number } => blkpg::delete(disk, *number),
            Self::RootBack { lower, at, flags } => {
                mounts::bind_as_is(lower, at)?;
                // A bind inherits the flags of what it was made from.
                mounts::set_flags(at, *flags)
            }
            Self::Cover { at, live } => {
                // Ours may have put links in their place.
                for directory in [&live.upper, &live.work] {
                    let _ = std::fs::remove_file(directory);
                    mounts::make_dir(directory)?;
                }
                let data = format!("lowerdir={},upperdir={},workdir={}", live.lower, live.upper, live.work);
                mounts::mount_overlay(&live.source, at, &data)
            }
            Self::Unpark { from, to } => {
                mounts::bind_as_is(from, to)?;
                mounts::unmount(from)
            }
        }
    }
}

impl fmt::Display for Undo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unmount(at) => write!(f, "unmount {at}"),
            Self::Detached(at) => write!(f, "detach {at}"),
            Self::Remove(path) => write!(f, "remove {path}"),
            Self::SuperWritable(at) => write!(f, "make the file system of {at} writable"),
            Self::SuperReadOnly(at) => write!(f, "make the file system of {at} read-only"),
            Self::Detach { link, file } => write!(f, "give the loop device {link} of {file} back"),
            Self::Release { disk, number } => write!(f, "take partition {number} of {disk} from the kernel"),
            Self::RootBack { lower, at, .. } => write!(f, "put {lower} back on {at}"),
            Self::Cover { at, .. } => write!(f, "put dmsquash-live's overlay back on {at}"),
            Self::Unpark { from, to } => write!(f, "put {from} back on {to}"),
        }
    }
}

/// Takes all steps back, the last first; goes on past what can't be taken back, and gives back its words.
pub fn all(undos: Vec<Undo>) -> Vec<String> {
    let mut left = Vec::new();
    for undo in undos.iter().rev() {
        if let Err(error) = undo.run() {
            crate::log::error!("taking back: {undo}: {error:#}");
            left.push(format!("not undone: {error:#}"));
        }
    }
    left
}
