// SPDX-License-Identifier: GPL-2.0-or-later
//! mount(2) and umount2(2). The classic calls: they are there from Linux 4.18 (RHEL 8) on, and
//! their reasons are in the kernel log as with the new ones (docs/internals/dependencies.md).

use crate::sys::{btrfs_members, files};
use anyhow::{Context, Result};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo::{self, Mount};
use rustix::io::Errno;
pub use rustix::mount::MountFlags;
use rustix::mount::{UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_remount};
use std::ffi::{CStr, CString};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::time::Duration;

/// What every mount beside the merged root has: what lies in a layer, in the trash or in a store must give nobody
/// rights that it does not have in the merged root. overlayfs asks its own mount, not those of its layers.
const BESIDE: MountFlags = MountFlags::NOSUID.union(MountFlags::NODEV);

/// The mounts of this process's namespace.
pub fn read() -> Result<Vec<Mount>> {
    // thread-self, not self: a thread may be in a mount namespace of its own.
    let text = files::ask_kernel("/proc/thread-self/mountinfo").context("reading mountinfo")?;
    Ok(mountinfo::parse(&text))
}

/// Makes a mount point, with its parents.
pub fn make_dir(at: &str) -> Result<()> {
    if at.starts_with(paths::PRIVATE) {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(paths::PRIVATE);
        made.with_context(|| format!("making the directory {}", paths::PRIVATE))?;
    }
    std::fs::create_dir_all(at).with_context(|| format!("making the directory {at}"))
}

/// Makes the directory that a path is in.
pub(crate) fn make_parent(path: &str) -> Result<()> {
    let parent = path.rsplit_once('/').map_or("/", |(parent, _)| parent);
    make_dir(parent)
}

/// Mounts a file system beside the merged root: without setuid and devices. A btrfs with all its devices.
pub fn mount_fs(source: &str, at: &str, fstype: &str, flags: MountFlags, data: &str) -> Result<()> {
    let others = if fstype == "btrfs" { btrfs_members::options(source) } else { String::new() };
    let all = [data, &others].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",");
    mount_as(source, at, fstype, flags | BESIDE, &all)
}

/// Mounts an overlay as the root.
pub fn mount_overlay(source: &str, at: &str, data: &str) -> Result<()> {
    mount_as(source, at, "overlay", MountFlags::empty(), data)
}

fn mount_as(source: &str, at: &str, fstype: &str, flags: MountFlags, data: &str) -> Result<()> {
    make_dir(at)?;
    let context = || format!("mounting {fstype} '{source}' on {at}");
    let data = (!data.is_empty()).then(|| CString::new(data)).transpose().with_context(context)?;
    mount(source, at, fstype, flags, data.as_deref()).with_context(context)
}

/// Makes `from` visible at `to` too, beside the merged root: without setuid and devices, and without the mounts
/// below it.
pub fn bind(from: &str, to: &str) -> Result<()> {
    bind_as_is(from, to)?;
    let set = flags(to).and_then(|held| set_flags(to, held | BESIDE));
    set.inspect_err(|_| {
        let _ = unmount(to);
    })
}

/// Makes `from` visible at `to` too, with the flags that it has, and without the mounts below it.
pub fn bind_as_is(from: &str, to: &str) -> Result<()> {
    make_dir(to)?;
    bind_here(from, to)
}

/// The same where the place is there: a directory or a file.
pub fn bind_here(from: &str, to: &str) -> Result<()> {
    mount_bind(from, to).with_context(|| format!("binding {from} to {to}"))
}

/// The same with the mounts below it.
pub fn bind_all_as_is(from: &str, to: &str) -> Result<()> {
    mount_bind_recursive(from, to).with_context(|| format!("binding {from} to {to}"))
}

/// Lets setuid and devices count at `at` again: what was bound there from beside the root is a part of it now.
pub fn join_root(at: &str) -> Result<()> {
    set_flags(at, flags(at)? - BESIDE)
}

/// Unmounts; waits up to half a second for whoever still looks at it.
pub fn unmount(at: &str) -> Result<()> {
    patient(10, || rustix::mount::unmount(at, UnmountFlags::NOFOLLOW)).with_context(|| format!("unmounting {at}"))
}

/// Unmounts with what is mounted below, whoever still looks at it.
pub fn detach(at: &str) -> Result<()> {
    rustix::mount::unmount(at, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH).with_context(|| format!("detaching {at}"))
}

/// Tries so often, 50 ms apart, while somebody else is still at it.
fn patient(tries: u32, call: impl Fn() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    for _ in 1..tries {
        match call() {
            Err(Errno::BUSY) => std::thread::sleep(Duration::from_millis(50)),
            other => return other,
        }
    }
    call()
}

/// Without data: rustix gives an empty text, which NFS takes for options to be compared.
fn remount(at: &str, flags: MountFlags) -> rustix::io::Result<()> {
    /// MS_REMOUNT, which rustix keeps to itself.
    const REMOUNT: MountFlags = MountFlags::from_bits_retain(1 << 5);
    // Neither source nor type is looked at (mount(2)).
    mount("", at, "", flags | REMOUNT, None::<&CStr>)
}

/// Makes this one mount read-only, or writable again.
pub fn remount_bind(at: &str, read_only: bool) -> Result<()> {
    let mut flags = flags(at)? | MountFlags::BIND;
    flags.set(MountFlags::RDONLY, read_only);
    remount(at, flags).with_context(|| format!("making the mount {at} {}", word(read_only)))
}

/// Makes this one mount read-only, without setuid and devices.
pub fn close(at: &str) -> Result<()> {
    set_flags(at, flags(at)? | BESIDE | MountFlags::RDONLY)
}

/// Gives this one mount exactly these flags.
pub fn set_flags(at: &str, flags: MountFlags) -> Result<()> {
    remount(at, flags | MountFlags::BIND).with_context(|| format!("setting the flags of the mount {at}"))
}

fn word(read_only: bool) -> &'static str {
    if read_only { "read-only" } else { "writable" }
}

/// Makes the whole file system mounted at `at` read-only, or writable again. The kernel lets go of a loop
/// device's file a moment after the device is gone: up to three seconds are waited for it.
pub fn remount_super(at: &str, read_only: bool) -> Result<()> {
    let mut flags = flags(at)?;
    flags.set(MountFlags::RDONLY, read_only);
    patient(60, || remount(at, flags)).with_context(|| format!("making the file system of {at} {}", word(read_only)))
}

/// Adds options to the writable file system mounted at `at`; those that it has stay.
pub fn remount_with(at: &str, options: &str) -> Result<()> {
    let flags = flags(at)? - MountFlags::RDONLY;
    mount_remount(at, flags, options).with_context(|| format!("remounting {at} with {options}"))
}

/// The flags of this one mount, apart from its file system. A remount sets every one anew, so those that hold must be
/// said again. Not by statvfs(3), which does not tell whether mount or file system is read-only, and asks the server of
/// one on the network.
pub fn flags(at: &str) -> Result<MountFlags> {
    let mounts = read()?;
    let found = mountinfo::at(&mounts, at).with_context(|| format!("{at} is not a mount point"))?;
    let table = [
        ("ro", MountFlags::RDONLY),
        ("nosuid", MountFlags::NOSUID),
        ("nodev", MountFlags::NODEV),
        ("noexec", MountFlags::NOEXEC),
        ("noatime", MountFlags::NOATIME),
        ("nodiratime", MountFlags::NODIRATIME),
        ("relatime", MountFlags::RELATIME),
    ];
    let held = |word: &str| found.options.split(',').any(|option| option == word);
    Ok(table.iter().filter(|(word, _)| held(word)).fold(MountFlags::empty(), |all, (_, flag)| all | *flag))
}

/// Options that keep a read-only mount from replaying the journal, in the order to try them.
pub(crate) fn unreplayed(fstype: &str) -> &'static [&'static str] {
    match fstype {
        "ext3" | "ext4" => &["noload"],
        // `nologreplay` was renamed in Linux 5.9.
        "btrfs" => &["rescue=nologreplay", "nologreplay"],
        "xfs" => &["norecovery"],
        "f2fs" => &["disable_roll_forward"],
        _ => &[""],
    }
}
