// SPDX-License-Identifier: GPL-2.0-or-later
//! Holds an upper to its size by the quota of its project.

use crate::step::{preflight, project};
use crate::sys::quota::{Device, PROJECT};
use crate::sys::statvfs::room;
use crate::sys::{filesystem, mounts};
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::parse::mountinfo;
use overlayroot_core::step::Quota;
use overlayroot_core::value::size::human;
use std::time::Duration;

/// Holds an upper to its size, or takes the limit off.
///
/// # Errors
/// Where the kernel does not enforce the limit, or the upper holds as much already: it could not be mounted
/// writable then.
pub fn apply(quota: &Quota) -> Result<()> {
    let mounts = mounts::read()?;
    // The path by which it was mounted may be gone.
    let node = mountinfo::at(&mounts, &quota.at).and_then(filesystem::node_of);
    let node = node.unwrap_or_else(|| quota.device.clone());
    let device = Device::at(&node)?;
    if quota.bytes == 0 {
        return device.limit(0).with_context(|| format!("taking the limit off {}", quota.upper));
    }
    if quota.remount {
        mounts::remount_with(&quota.at, "prjquota")?;
    }
    device.switch_on().with_context(|| format!("switching on project quotas of {}", quota.device))?;
    let limit = |bytes| device.limit(bytes).with_context(|| format!("limiting {} to {}", quota.upper, human(bytes)));
    if project::joined(&quota.upper)? {
        project::mark(&quota.work)?;
    } else {
        if let Ok(used @ 1..) = device.used() {
            crate::log::warning!("project {PROJECT} holds {used} bytes outside of {}: they count", quota.upper);
        }
        // Files that join are held against a limit that an earlier boot left.
        limit(0)?;
        project::mark(&quota.work)?;
        project::join(&quota.upper, &quota.work)?;
    }
    limit(quota.bytes)?;
    in_force(quota)
}

/// Changes the limit of an upper in use. `device`: of its file system.
///
/// # Errors
/// Where there is no limit to change, or the kernel refuses.
pub fn change(device: &str, upper: &str, bytes: u64) -> Result<()> {
    let held = project::joined(upper)?;
    let quotas = Device::at(device)?;
    ensure!(held && quotas.enforced(), "{upper} is not held to a size by the kernel");
    quotas.limit(bytes).with_context(|| format!("limiting {upper} to {}", human(bytes)))
}

/// statvfs(3) of a limited directory shows the limit; that of one without shows the whole file system.
fn in_force(quota: &Quota) -> Result<()> {
    // xfs frees in the background what a reset has removed.
    const TRIES: u32 = 20;
    for _ in 0..TRIES {
        let room = room(&quota.upper)?;
        ensure!(room.bytes <= quota.bytes, "the kernel does not hold {} to {}", quota.upper, human(quota.bytes));
        if room.free >= preflight::LEAST_BYTES {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    bail!(
        "{} holds as much as size={} allows: set a larger size, or rd.overlay.reset (changes will be lost)",
        quota.upper,
        human(quota.bytes)
    )
}
