// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs in the guest's initramfs, and on the host, during `vm bench`: the nine calls that make an overlay of /sysroot
//! with its upper in RAM, and nothing else. What they took goes to /run/vm-calls, in microseconds.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::fs::{Mode, mkdir};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};

const UPPER: &str = "/run/vm-upper";
const LOWER: &str = "/run/rootfsbase";
const ROOT: &str = "/sysroot";
const BESIDE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

fn main() -> Result<()> {
    let begun = Instant::now();
    let (private, open) = (Mode::from_raw_mode(0o700), Mode::from_raw_mode(0o755));
    mkdir(UPPER, private).context(UPPER)?;
    mount("tmpfs", UPPER, "tmpfs", BESIDE, c"size=50%,mode=0700").context("the upper's tmpfs")?;
    mkdir("/run/vm-upper/upper", open).context("the upper")?;
    mkdir("/run/vm-upper/work", private).context("the work directory")?;
    mkdir(LOWER, open).context(LOWER)?;
    mount_bind(ROOT, LOWER).context("the lower")?;
    mount_remount(LOWER, BESIDE | MountFlags::BIND | MountFlags::RDONLY, c"").context("the lower read-only")?;
    leave(ROOT).context("the root's old place")?;
    let layers = c"lowerdir=/run/rootfsbase,upperdir=/run/vm-upper/upper,workdir=/run/vm-upper/work";
    mount("overlay", ROOT, "overlay", MountFlags::empty(), layers).context("the overlay")?;
    fs::write("/run/vm-calls", format!("calls {}\n", begun.elapsed().as_micros()))?;
    Ok(())
}

/// Somebody may look at it just now.
fn leave(at: &str) -> rustix::io::Result<()> {
    for _ in 0..50 {
        match unmount(at, UnmountFlags::NOFOLLOW) {
            Err(Errno::BUSY) => sleep(Duration::from_millis(10)),
            other => return other,
        }
    }
    unmount(at, UnmountFlags::NOFOLLOW)
}
