// SPDX-License-Identifier: GPL-2.0-or-later
//! Namespaces of mounts and of processes (namespaces(7)).
#![allow(unsafe_code, reason = "unshare(2) takes also what would leave a thread without its files")]

use anyhow::{Context, Result};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use std::fs::File;
use std::os::fd::AsFd;

/// Gives this thread, and what it starts from now on, mounts of its own: nobody else sees what it mounts.
///
/// # Errors
/// Without the right to mount, or in a chroot whose `/` is no mount point.
pub fn own_mounts() -> Result<()> {
    unshared(MountPropagationFlags::PRIVATE, "making the mounts private")
}

/// The same, but what others unmount goes here as well.
///
/// # Errors
/// As [`own_mounts`].
pub fn dependent_mounts() -> Result<()> {
    unshared(MountPropagationFlags::DOWNSTREAM, "keeping the mounts to ourselves")
}

fn unshared(propagation: MountPropagationFlags, doing: &'static str) -> Result<()> {
    // SAFETY: of mounts only; no other thread's descriptors go.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }.context("making a mount namespace")?;
    mount_change("/", MountPropagationFlags::REC | propagation).context(doing)
}

/// The next process that is started is the first of its own process namespace: all in it end with it.
///
/// # Errors
/// Without the right to.
pub fn own_processes() -> Result<()> {
    // SAFETY: of processes only; no other thread's descriptors go.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID) }.context("making a process namespace")
}

/// Enters the mounts of an open namespace.
///
/// # Errors
/// Without the right to, or where this process has other threads.
pub fn enter_mounts(namespace: &File) -> Result<()> {
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?)
}
