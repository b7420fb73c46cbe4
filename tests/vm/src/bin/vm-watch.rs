// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs in the guest's initramfs during `vm bench`: notes when the root is mounted on /sysroot and
//! when an overlay is, in microseconds since boot, with the number of processes started so far.
//! It sleeps in poll(2), which the kernel ends at every change of the mounts. `vm-watch root` waits for no overlay.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};

use anyhow::{Context as _, Result};
use nix::time::{ClockId, clock_gettime};
use rustix::event::{PollFd, PollFlags, poll};

fn main() -> Result<()> {
    let mut mounts = File::open("/proc/self/mountinfo")?;
    let mut out = File::create("/run/vm-watch")?;
    let root_only = std::env::args().nth(1).is_some_and(|word| word == "root");
    let mut root_seen = false;
    loop {
        let mut text = String::new();
        mounts.seek(SeekFrom::Start(0))?;
        mounts.read_to_string(&mut text)?;
        // before anything else, so that reading and writing are not counted
        let now = stamp()?;
        let fstype = text.lines().rev().find_map(fstype_on_sysroot);
        match fstype {
            Some("overlay") => {
                writeln!(out, "overlay {now}")?;
                return Ok(());
            }
            Some(_) if !root_seen => {
                root_seen = true;
                writeln!(out, "root {now}")?;
                if root_only {
                    return Ok(());
                }
            }
            _ => {}
        }
        let mut fds = [PollFd::new(&mounts, PollFlags::PRI | PollFlags::ERR)];
        poll(&mut fds, None)?;
    }
}

fn fstype_on_sysroot(line: &str) -> Option<&str> {
    let (left, right) = line.split_once(" - ")?;
    (left.split(' ').nth(4)? == "/sysroot").then(|| right.split(' ').next()).flatten()
}

fn stamp() -> Result<String> {
    // by libc: rustix takes the vDSO that user-mode Linux has for one of its machine, and aborts
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let stat = fs::read_to_string("/proc/stat")?;
    let forks = stat.lines().find_map(|line| line.strip_prefix("processes ")).context("no count of processes")?;
    Ok(format!("{} {forks}", now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000))
}
