// SPDX-License-Identifier: GPL-2.0-or-later
//! The process that opens the lower and closes it, and what it leaves in `/run`.

use super::{Args, Look, code, look, start, wait};
use crate::output::exit::{Exit, refused};
use crate::output::format::now;
use anyhow::{Context, Result, bail};
use overlayroot_core::layout::paths::{SERVICED, SHELL_LOCK, STATE_DIR};
use overlayroot_core::parse::mountinfo;
use overlayroot_core::step::refusal::UPPER_FILE_SYSTEMS;
use overlayroot_host::servicing::{SCHEMA, Serviced, Target, Way};
use overlayroot_linux::sys::watched::Held;
use overlayroot_linux::sys::{json, mounts, namespace, newfile};
use overlayroot_linux::tool::servicing;
use rustix::process::{Signal, getppid};
use std::fs::{self, File};

/// Opens the lower, runs the command in it, and closes it, whatever happens between. One that is only looked at is not
/// opened, and nothing remembers it.
pub fn run(parent: u32, asked: &Args) -> Result<Exit> {
    let held = Held::new()?;
    servicing::end_with_parent(Signal::TERM)?;
    if getppid().is_none_or(|id| id.as_raw_pid().unsigned_abs() != parent) {
        bail!("the process that asked for it is gone");
    }
    let _lock = lock()?;
    // Once more, for now nobody else changes it.
    let target = match look(asked.read_only)? {
        Look::Target(target) => target,
        Look::Refused(why) => bail!("{why}"),
    };
    namespace::dependent_mounts()?;
    if target.way == Way::Look {
        return serve(&target, asked, &held);
    }
    servicing::open(&target).context("the lower can't be written")?;
    // From here on it is to be closed.
    let ended = begun().and_then(|()| serve(&target, asked, &held));
    let restored = servicing::close(&target).context("the lower can't be closed")?;
    closed(restored)?;
    if !restored {
        eprintln!(
            "overlayctl: files that were removed are still in use, so the kernel keeps the lower's file system \
             writable until the reboot; no mount of it is"
        );
    }
    if ended.is_ok() {
        eprintln!("overlayctl: the lower was modified; reboot required");
    }
    ended
}

/// Has something done in the lower, at the path that it is given, in mounts of its own. From here on this process has
/// those.
///
/// # Errors
/// Where the lower can't be opened or closed, or another shell is open; those of what is done.
pub fn in_lower<T>(inside: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let _held = Held::new()?;
    let _lock = lock()?;
    let target = match look(false)? {
        Look::Target(target) => target,
        Look::Refused(why) => return Err(refused(why)),
    };
    namespace::dependent_mounts()?;
    servicing::open(&target).context("the lower can't be written")?;
    let done = inside(&target.lower);
    if !servicing::close(&target).context("the lower can't be closed")? {
        closed(false)?;
        servicing::keep_for_shutdown(&target)?;
    }
    done
}

/// Why nothing can be asked of the next boot in the lower, where that is so: it can't be written, or the initramfs does
/// not write it.
///
/// # Errors
/// Where the machine can't be looked at.
pub fn unwritable() -> Result<Option<String>> {
    let lower = match look(false)? {
        Look::Target(target) => target.lower,
        Look::Refused(why) => return Ok(Some(why)),
    };
    let mounts = mounts::read()?;
    let fstype = mountinfo::at(&mounts, &lower).map_or("", |mount| mount.fstype.as_str());
    let known = UPPER_FILE_SYSTEMS.contains(&fstype);
    Ok((!known).then(|| format!("the lower is {fstype}, which is not written in the initramfs")))
}

fn serve(target: &Target, asked: &Args, held: &Held) -> Result<Exit> {
    for note in servicing::furnish(target)? {
        eprintln!("overlayctl: {note}");
    }
    match target.way {
        // Of one command nothing is said: its output may be for a program.
        Way::Look if !asked.command.is_empty() => {}
        Way::Look => eprintln!("overlayctl: this is the LOWER, {}, read-only", target.lower),
        Way::Remount | Way::View => eprintln!(
            "overlayctl: this is the LOWER, {}, writable. Changes may not appear until you reboot{}: REBOOT when you \
             are done.",
            target.lower,
            match target.shares_content {
                true => ", or appear at once in files that were only renamed or given another mode or owner",
                false => "",
            }
        ),
    }
    namespace::own_processes()?;
    let mut init = start("init", asked)?;
    // Nothing but this ends the first process of a namespace, and all in it with it.
    let status = wait(&mut init, held, Signal::KILL)?;
    Ok(if status.code().is_some() { code(status) } else { Exit::NotOpened })
}

fn lock() -> Result<File> {
    fs::create_dir_all(STATE_DIR).with_context(|| format!("making {STATE_DIR}"))?;
    newfile::lock(SHELL_LOCK)?.context("another overlayctl shell is running")
}

/// Whether a shell is open now.
pub fn is_open() -> bool {
    newfile::is_held(SHELL_LOCK)
}

/// What earlier shells of this boot left.
pub fn state() -> Option<Serviced> {
    json::glance(SERVICED, SCHEMA)
}

fn begun() -> Result<()> {
    let started = state().map_or_else(now, |earlier| earlier.started);
    write(&Serviced { schema: SCHEMA, started, ended: None, restored: false })
}

/// Notes that it was closed.
pub fn closed(restored: bool) -> Result<()> {
    let started = state().map_or_else(now, |state| state.started);
    write(&Serviced { schema: SCHEMA, started, ended: Some(now()), restored })
}

fn write(state: &Serviced) -> Result<()> {
    json::write(SERVICED, state)
}
