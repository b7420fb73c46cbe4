// SPDX-License-Identifier: GPL-2.0-or-later
//! The last moment before power-off: file systems that systemd-shutdown could not make read-only, and, where
//! it returned into the initramfs, their end.
//!
//! A loop device holds its file open for writing, so the file system under it can't be remounted while
//! the loop is there, and the loop can't go while the overlay on it is `/`. The kernel's emergency
//! remount asks nobody (docs/internals/boot-sequence.md, Shutdown).

use crate::log::kmsg;
use crate::sys::mounts;
use anyhow::{Context, Result, ensure};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo::Mount;
use rustix::fs::sync;
use rustix::mount::{UnmountFlags, unmount};
use std::time::{Duration, Instant};

/// How long the kernel may take; it writes back what is in memory first.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes every file system of ours read-only, and so clean. Does nothing where all are.
///
/// An emergency remount passes over btrfs, which has no block device of its own (kernel: fs/super.c,
/// do_emergency_remount_callback). It needs none: what is synced last, with nobody left who writes, is a whole
/// tree without a log to replay.
///
/// # Errors
/// Where one can still be written afterwards: it will be unclean at the next boot.
pub fn clean() -> Result<()> {
    let before = writable()?;
    if before.is_empty() {
        return Ok(());
    }
    sync();
    if before.iter().any(|left| left.remountable) {
        crate::sys::files::tell_kernel("/proc/sysrq-trigger", "u").context("asking for an emergency remount")?;
    }
    let (started, mut left) = (Instant::now(), before);
    while left.iter().any(|left| left.remountable) && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
        left = writable()?;
    }
    // The upper wrote its last into its file just now.
    sync();
    let unclean: Vec<&str> = left.iter().filter(|left| left.remountable).map(|left| left.at.as_str()).collect();
    ensure!(unclean.is_empty(), "still writable, and so not clean: {}", unclean.join(", "));
    let word = if left.is_empty() { "read-only" } else { "read-only, or synced," };
    kmsg::write(5, &format!("the overlay's file systems are {word} now"));
    Ok(())
}

/// A file system of ours that can be written.
struct Writable {
    at: String,
    /// Whether the emergency remount reaches it.
    remountable: bool,
}

fn writable() -> Result<Vec<Writable>> {
    let places = [paths::ROOT_KEPT, paths::HOLDER_KEPT, paths::BACKING_KEPT, paths::SERVICED_KEPT];
    let kept = |mount: &Mount| mount.at.strip_prefix(paths::KEEP).is_some_and(|rest| rest.starts_with('/'));
    let ours = |mount: &Mount| places.contains(&mount.at.as_str()) || kept(mount);
    let mounts = mounts::read()?.into_iter().filter(|mount| ours(mount) && !mount.super_read_only());
    Ok(mounts.map(|mount| Writable { remountable: !mount.devno.starts_with("0:"), at: mount.at }).collect())
}

/// Unmounts what is left of the overlay, so that its loop device goes and what is under the root can be taken
/// apart by others (LUKS, LVM, RAID). Only in dracut's shutdown ramdisk, where nothing runs from it any more.
///
/// # Errors
/// Where something stays in use for two seconds.
pub fn take_apart() -> Result<()> {
    let mut left = remains()?;
    if left.is_empty() {
        return Ok(());
    }
    let started = Instant::now();
    while !left.is_empty() && started.elapsed() < Duration::from_secs(2) {
        // The newest first: what lies on another was mounted after it. One pins the other until it is gone.
        for at in left.iter().rev() {
            let _ = unmount(at.as_str(), UnmountFlags::NOFOLLOW);
        }
        std::thread::sleep(Duration::from_millis(20));
        left = remains()?;
    }
    ensure!(left.is_empty(), "still in use: {}", left.join(", "));
    kmsg::write(5, "the overlay's file systems are unmounted");
    Ok(())
}

fn remains() -> Result<Vec<String>> {
    Ok(mounts::read()?.into_iter().map(|mount| mount.at).filter(|at| ours_at_the_end(at)).collect())
}

/// The pivots of systemd-shutdown and of dracut leave our mounts at more than one place, below other names.
fn ours_at_the_end(at: &str) -> bool {
    let private = paths::PRIVATE.trim_start_matches("/run/initramfs");
    let public = [paths::BACKING, paths::LOWER].map(|path| path.trim_start_matches("/run"));
    at.strip_prefix(private).is_some_and(|rest| rest.starts_with('/'))
        || at.contains(&format!("{}/", paths::PRIVATE))
        || public.iter().any(|name| at.strip_suffix(name).is_some_and(|run| run.ends_with("/run")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_apart() {
        // As seen in the ramdisks of dracut 059 and 106, and in a running system.
        for at in [
            "/overlayroot/root",
            "/overlayroot/upper",
            "/oldsys/run/initramfs/overlayroot/root",
            "/run/initramfs/overlayroot/holder",
            "/oldroot/run/overlayfs-backing",
            "/run/rootfsbase",
        ] {
            assert!(ours_at_the_end(at), "{at}");
        }
        for at in
            ["/", "/run", "/run/initramfs", "/overlayroot", "/home/rootfsbase", "/srv/overlayroot/root", "/oldroot"]
        {
            assert!(!ours_at_the_end(at), "{at}");
        }
    }
}
