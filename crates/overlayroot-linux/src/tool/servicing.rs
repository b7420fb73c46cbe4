// SPDX-License-Identifier: GPL-2.0-or-later
//! The lower, writable for servicing: mounts that only one process tree sees, and what is undone at its end.

use crate::source::read_in_root;
use crate::sys::mounts::{self, MountFlags};
use crate::sys::newfile::{self, Lasting};
use crate::sys::{block, files, filesystem};
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::layout::paths::{SERVICED_KEPT, SHELL};
use overlayroot_core::parse::mountinfo::{self, Mount};
use overlayroot_host::servicing::{self, Target, Way};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions, chroot, set_parent_process_death_signal, wait};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

/// From now on this process gets a signal when its parent ends.
///
/// # Errors
/// Where the kernel refuses.
pub fn end_with_parent(signal: Signal) -> Result<()> {
    set_parent_process_death_signal(Some(signal)).context("asking for a signal at the parent's end")
}

/// Whether the kernel holds a block device of the lower for read-only.
pub fn device_read_only(lower: &Mount) -> bool {
    filesystem::devices_of(lower).iter().any(|name| block::sysfs(name, "ro") == "1")
}

/// Makes the lower writable, in this process's mounts.
///
/// # Errors
/// Where the kernel refuses, as it does for a device that can't be written.
pub fn open(target: &Target) -> Result<()> {
    match target.way {
        Way::Remount => mounts::remount_super(&target.lower, false),
        Way::View => mounts::remount_bind(&target.lower, false),
        Way::Look => Ok(()),
    }
}

/// Takes the writable state of the lower's file system back. The mounts of the rest of the system were read-only
/// all the time. Whether it is as before: where something of the lower was removed that still runs, the kernel keeps
/// its file system writable until that ends.
///
/// # Errors
/// Where it fails for another reason.
pub fn close(target: &Target) -> Result<bool> {
    match target.way {
        Way::Look => return Ok(true),
        Way::Remount | Way::View => rustix::fs::sync(),
    }
    if target.way == Way::View {
        return Ok(true);
    }
    let read_only = || match mounts::remount_super(&target.lower, true) {
        Ok(()) => Ok(true),
        Err(error) if error.downcast_ref() == Some(&Errno::BUSY) => Ok(false),
        Err(error) => Err(error),
    };
    if read_only()? {
        return Ok(true);
    }
    // What was removed also stays while the overlay remembers it from an earlier look, though nobody uses it any
    // more: names and inodes that are not in use are forgotten (kernel: admin-guide/sysctl/vm.rst).
    if let Err(error) = files::tell_kernel("/proc/sys/vm/drop_caches", "2") {
        crate::log::debug!("the caches stay: {error}");
    }
    read_only()
}

/// Mounts the lower once more where the shutdown finds it: a file system that stays writable is unclean else.
///
/// # Errors
/// Where it can't be mounted.
pub fn keep_for_shutdown(target: &Target) -> Result<()> {
    if mountinfo::at(&mounts::read()?, SERVICED_KEPT).is_some() {
        return Ok(());
    }
    mounts::bind(&target.lower, SERVICED_KEPT)?;
    mounts::remount_bind(SERVICED_KEPT, true)
}

/// Puts the lower on [`SHELL`], with everything that programs in it need but `/proc`. Gives back notes.
///
/// # Errors
/// Where the lower has no place for it, or a mount fails.
pub fn furnish(target: &Target) -> Result<Vec<String>> {
    mounts::bind(&target.lower, SHELL)?;
    // In mounts of our own it is the root of those inside: setuid programs work there as they do when it is booted.
    mounts::join_root(SHELL)?;
    let look = target.way == Way::Look;
    if look {
        mounts::remount_bind(SHELL, true)?;
    }
    for dir in ["dev", "proc", "run", "sys"] {
        let at = format!("{SHELL}/{dir}");
        let is_dir = fs::symlink_metadata(&at).is_ok_and(|metadata| metadata.is_dir());
        ensure!(is_dir, "the lower has no directory /{dir} to mount on");
    }
    if let Some(path) = &target.protect {
        protect(path)?;
    }
    let all = mounts::read()?;
    let fstab = String::from_utf8_lossy(&read_in_root(SHELL, "/etc/fstab").unwrap_or_default()).into_owned();
    let mut notes = Vec::new();
    for at in servicing::submounts(&all, &fstab) {
        match inside(at).filter(|to| to.exists()).map(|to| show(at, &to, look)) {
            Some(Ok(())) => {}
            Some(Err(error)) => notes.push(format!("{at} is not available inside: {error:#}")),
            None => notes.push(format!("{at} is not available inside: the lower has no such directory")),
        }
    }
    for dir in ["dev", "sys"] {
        mounts::bind_all_as_is(&format!("/{dir}"), &format!("{SHELL}/{dir}"))?;
    }
    run_and_tmp()?;
    notes.extend(resolver()?);
    Ok(notes)
}

/// Shows a mount of the running system inside, read-only where the lower is.
fn show(at: &str, to: &Path, look: bool) -> Result<()> {
    let to = to.to_str().context("a path that is not UTF-8")?;
    mounts::bind_here(at, to)?;
    match look {
        true => mounts::remount_bind(to, true),
        false => Ok(()),
    }
}

/// `/proc` of the process namespace that this process is in.
///
/// # Errors
/// Where it can't be mounted.
pub fn furnish_proc() -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mounts::mount_fs("proc", &format!("{SHELL}/proc"), "proc", flags, "")
}

/// The upper lies there: a read-only mount on itself can be neither written, nor renamed, nor removed.
fn protect(path: &str) -> Result<()> {
    let Some(at) = inside(path) else { return Ok(()) };
    let at = at.to_str().context("the upper's path")?;
    mounts::bind_here(at, at)?;
    mounts::remount_bind(at, true)
}

/// A path in the lower; `None` where it leads through a link, or is not there.
fn inside(path: &str) -> Option<PathBuf> {
    let mut at = PathBuf::from(SHELL);
    for part in Path::new(path).components() {
        match part {
            Component::Normal(name) => at.push(name),
            Component::RootDir => continue,
            Component::Prefix(_) | Component::CurDir | Component::ParentDir => return None,
        }
        if fs::symlink_metadata(&at).ok()?.is_symlink() {
            return None;
        }
    }
    Some(at)
}

/// Fresh ones, as systemd-nspawn has them. With the system's own `/run` the scripts of packages would restart
/// services of the running system, which are not the lower's any more.
fn run_and_tmp() -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    let run = format!("{SHELL}/run");
    mounts::mount_fs("run", &run, "tmpfs", flags, "mode=755")?;
    fs::create_dir(format!("{run}/lock")).context("making /run/lock")?;
    fs::set_permissions(format!("{run}/lock"), fs::Permissions::from_mode(0o1777)).context("opening /run/lock")?;
    // What blkid, grub and dracut ask of devices.
    if Path::new("/run/udev").is_dir() {
        mounts::bind("/run/udev", &format!("{run}/udev"))?;
        mounts::remount_bind(&format!("{run}/udev"), true)?;
    }
    let tmp = format!("{SHELL}/tmp");
    match fs::symlink_metadata(&tmp).is_ok_and(|metadata| metadata.is_dir()) {
        true => mounts::mount_fs("tmp", &tmp, "tmpfs", flags, "mode=1777"),
        false => Ok(()),
    }
}

/// Has the lower's resolv.conf say what the system's says, for as long as the shell is open.
fn resolver() -> Result<Option<String>> {
    let Ok(text) = files::read_linked("/etc/resolv.conf", files::SMALL) else {
        return Ok(None);
    };
    let at = format!("{SHELL}/etc/resolv.conf");
    let Ok(metadata) = fs::symlink_metadata(&at) else {
        return Ok(Some("the lower has no /etc/resolv.conf: names may not be found inside".to_owned()));
    };
    if metadata.is_symlink() {
        let link = fs::read_link(&at).with_context(|| format!("reading the link {at}"))?;
        let Some(place) = below_run(&link) else {
            return Ok(Some(format!("/etc/resolv.conf of the lower leads to {}", link.display())));
        };
        let place = Path::new(SHELL).join(place);
        fs::create_dir_all(place.parent().unwrap_or(&place)).context("making a place for resolv.conf")?;
        let place = place.to_str().context("a path that is not UTF-8")?;
        newfile::write(place, &text, newfile::ALL_READ, Lasting::Run)?;
        return Ok(None);
    }
    let copy = format!("{SHELL}/run/resolv.conf");
    newfile::write(&copy, &text, newfile::ALL_READ, Lasting::Run)?;
    mounts::bind_here(&copy, &at)?;
    Ok(None)
}

/// Where a link in `/etc` leads, if that is below `/run`; without the leading slash.
fn below_run(link: &Path) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for part in Path::new("/etc").join(link).components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::ParentDir => {
                path.pop();
            }
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
        }
    }
    path.starts_with("run").then_some(path)
}

/// Changes the root to the lower. For a process that is about to become another program.
///
/// # Errors
/// Where the kernel refuses.
pub fn enter() -> Result<()> {
    let all = nix::sys::signal::SigSet::all();
    all.thread_unblock().map_err(io::Error::from).context("letting signals through")?;
    chroot(SHELL).with_context(|| format!("entering {SHELL}"))?;
    let home = std::env::var("HOME").unwrap_or_default();
    let home = if Path::new(&home).is_dir() { home } else { "/".to_owned() };
    std::env::set_current_dir(&home).with_context(|| format!("going to {home}"))
}

/// Runs as the first process of a namespace: waits for `child`, and for every orphan meanwhile. Its exit code, or
/// 128 and the number of the signal that ended it.
///
/// # Errors
/// Where there is nothing to wait for.
pub fn wait_as_init(child: u32) -> Result<u8> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid().unsigned_abs() == child => {
                let code = status.exit_status().or_else(|| Some(128 + status.terminating_signal()?));
                if let Some(code) = code {
                    return Ok(u8::try_from(code).unwrap_or(u8::MAX));
                }
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => bail!("waiting for the command: {error}"),
        }
    }
}

/// Removes the mount point that a shell left behind, where it is empty and nobody mounts on it.
pub fn tidy() {
    let other = fs::metadata(SHELL).is_ok_and(|at| fs::metadata("/run").is_ok_and(|run| run.dev() != at.dev()));
    if !other {
        let _ = fs::remove_dir(SHELL);
    }
}

#[cfg(test)]
mod tests;
