// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks at a device upper without writing a byte of it: mounted read-only, its journal left alone.

use crate::step::reset;
use crate::sys::mounts;
use crate::sys::plain_way::{self, End};
use crate::sys::statvfs::room;
use anyhow::{Context, Result, bail};
use overlayroot_core::layout::Store;
use overlayroot_core::step::Need;
use rustix::mount::MountFlags;
use std::fs;
use std::path::Path;

/// Least room for an upper to start with: whiteouts, a copied-up directory, the work directory.
pub const LEAST_BYTES: u64 = 1 << 20;
const LEAST_INODES: u64 = 16;

/// Mounts, looks and unmounts.
///
/// # Errors
/// Where the file system can't be mounted, its upper or work is no plain directory, or it lacks what it needs.
pub fn look(device: &str, fstype: &str, base: &str, store: &Store, need: Need) -> Result<()> {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let tries = mounts::unreplayed(fstype).iter();
    let mounted = tries.map(|options| mounts::mount_fs(device, base, fstype, flags, options));
    let mut last = None;
    for result in mounted {
        match result {
            Ok(()) => {
                let seen = inside(base, store, need);
                mounts::unmount(base)?;
                return seen;
            }
            Err(error) => last = Some(error),
        }
    }
    Err(last.with_context(|| format!("looking at {device}"))?)
}

/// Looks at the directories of a mounted upper, and for room, unless the marker asks for a reset.
///
/// # Errors
/// As [`look`].
pub fn inside(base: &str, store: &Store, need: Need) -> Result<()> {
    for path in [&store.upper, &store.work, &store.trash, &store.aside(), &store.fingerprint, &store.marker] {
        plain(base, path)?;
    }
    if is_somebodys(store) {
        bail!("{} is not of overlayroot-rs, and is not used as an upper", store.upper);
    }
    if need == Need::Upper && Path::new(&store.upper).symlink_metadata().is_err() {
        let below = store.upper.strip_prefix(base).unwrap_or(&store.upper).trim_start_matches('/');
        bail!("nothing was ever kept here: there is no upper ({below}), and rd.overlay.readonly makes none");
    }
    let room = room(base)?;
    // What is free but not available is ext4's own reserve, or root's: the mounter of an overlay has neither.
    let inodes_low = room.inodes > 0 && room.inodes_free < LEAST_INODES;
    if need == Need::Room && !reset::makes_room(store) && (room.available < LEAST_BYTES || inodes_low) {
        bail!("the upper's file system is full: {} KiB and {} inodes free", room.available >> 10, room.inodes_free);
    }
    Ok(())
}

/// Whether a directory that has the name of an upper has something in it and nothing of ours beside it. The default name
/// is shared with others who make overlays.
fn is_somebodys(store: &Store) -> bool {
    let is = |path: &str| Path::new(path).symlink_metadata().is_ok();
    let ours = is(&store.work) || is(&store.fingerprint) || is(&store.commit());
    store.work.ends_with("-work") && !ours && fs::read_dir(&store.upper).is_ok_and(|mut names| names.next().is_some())
}

/// Every part of the path below `base` is a directory or not there (the last may be a file's name):
/// a symbolic link would lead the upper out of its file system.
fn plain(base: &str, path: &str) -> Result<()> {
    let below = path.strip_prefix(base).unwrap_or(path).trim_start_matches('/');
    match plain_way::follow(base, below) {
        End::Open | End::Missing(..) => Ok(()),
        End::Other(way, metadata)
            if metadata.is_file() && way.ends_with(".json") && way.strip_prefix('/') == Some(below) =>
        {
            Ok(())
        }
        End::Other(..) => bail!("'{below}' on the upper's file system is not a plain directory"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_on_the_way_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().to_str().unwrap();
        let store = Store::named(base, "overlay");
        assert!(inside(base, &store, Need::Nothing).is_ok());
        assert!(inside(base, &store, Need::Upper).unwrap_err().to_string().contains("nothing was ever kept here"));
        std::os::unix::fs::symlink("/etc", dir.path().join("overlay")).unwrap();
        assert!(inside(base, &store, Need::Nothing).unwrap_err().to_string().contains("'overlay'"));
        let home = Store::named(base, "home");
        std::fs::create_dir(&home.upper).unwrap();
        assert!(inside(base, &home, Need::Nothing).is_ok());
        std::fs::write(dir.path().join("home/file"), "mine").unwrap();
        assert!(inside(base, &home, Need::Nothing).unwrap_err().to_string().contains("is not of overlayroot-rs"));
        std::fs::create_dir(&home.work).unwrap();
        assert!(inside(base, &home, Need::Nothing).is_ok());
        let deep = Store::named(&format!("{base}/overlay"), "x");
        assert!(inside(base, &deep, Need::Nothing).is_err());
    }
}
