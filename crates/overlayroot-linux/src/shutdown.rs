// SPDX-License-Identifier: GPL-2.0-or-later
//! The last moment before power-off: file systems that systemd-shutdown could not make read-only.
//!
//! A loop device holds its file open for writing, so the file system under it can't be remounted while
//! the loop is there, and the loop can't go while the overlay on it is `/`. The kernel's emergency
//! remount asks nobody (docs/boot-sequence.md, Shutdown).

use crate::{kmsg, mounts};
use anyhow::{Context, Result, ensure};
use overlayroot_core::mountinfo::Mount;
use overlayroot_core::paths;
use std::time::{Duration, Instant};

/// How long the kernel may take; it writes back what is in memory first.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes every file system of ours read-only, and so clean. Does nothing where all are.
///
/// # Errors
/// Where one can still be written afterwards: it will be unclean at the next boot.
pub fn clean() -> Result<()> {
    if writable()?.is_empty() {
        return Ok(());
    }
    nix::unistd::sync();
    std::fs::write("/proc/sysrq-trigger", "u").context("asking for an emergency remount")?;
    let started = Instant::now();
    while !writable()?.is_empty() && started.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    let left = writable()?;
    ensure!(left.is_empty(), "still writable, and so not clean: {}", left.join(", "));
    kmsg::write(5, "the overlay's file systems are read-only now");
    Ok(())
}

fn writable() -> Result<Vec<String>> {
    let places = [paths::ROOT_KEPT, paths::HOLDER_KEPT, paths::BACKING_KEPT];
    let ours = |mount: &Mount| places.contains(&mount.at.as_str());
    let mounts = mounts::read()?.into_iter().filter(|mount| ours(mount) && !mount.super_read_only());
    Ok(mounts.map(|mount| mount.at).collect())
}
