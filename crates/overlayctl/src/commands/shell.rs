// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl shell`: a shell in the lower, which is writable meanwhile, or only looked at.
//!
//! Four processes, each this same program. The *front* waits, and puts things right should the keeper be killed. The
//! *keeper* has the lock and mounts of its own, opens the lower and closes it. The *init* is the first process of a
//! namespace: with it everything ends that was started inside. *enter* becomes the command. Front and keeper tell of
//! each other's end by a signal and by waitpid(2), so one of them may be killed at any moment.

mod inside;
mod keeper;

pub use keeper::{in_lower, is_open, state, unwritable};

use crate::commands::stale::hidden;
use crate::output::exit::Exit;
use anyhow::{Context, Result};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use overlayroot_host::servicing::{Access, Target, Way, target};
use overlayroot_linux::source::recordfile;
use overlayroot_linux::sys::mounts;
use overlayroot_linux::sys::watched::{Held, Stopped};
use overlayroot_linux::tool::servicing;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

/// Tells this program which of the four it is, and the number of the process that started it.
const STAGE: &str = "OVERLAYCTL_SHELL_STAGE";

/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Open the lower read-only; no reboot is needed
    #[arg(short, long)]
    pub read_only: bool,
    /// Command to run instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Runs it.
pub fn run(asked: &Args) -> Result<Exit> {
    let told = std::env::var(STAGE).unwrap_or_default();
    let (stage, parent) = told.split_once(' ').unwrap_or_default();
    let parent = parent.parse().unwrap_or(0);
    let result = match stage {
        "keeper" => keeper::run(parent, asked),
        "init" => inside::init(parent, asked),
        "enter" => inside::enter(&asked.command),
        _ => front(asked),
    };
    Ok(result.unwrap_or_else(|error| {
        eprintln!("overlayctl: {error:#}");
        Exit::NotOpened
    }))
}

/// What it takes to open the lower, or why not: the last is for the user, and no failure.
enum Look {
    Target(Target),
    Refused(String),
}

fn look(read_only: bool) -> Result<Look> {
    let record = recordfile::read(paths::RECORD)?;
    let mounts = mounts::read()?;
    let lower = record.as_ref().and_then(|record| record.effective.lowers.last()).cloned().unwrap_or_default();
    let device = || mountinfo::at(&mounts, &lower).is_some_and(servicing::device_read_only);
    let access = if read_only { Access::Read } else { Access::Write { device_read_only: device() } };
    let hidden = match &record {
        Some(record) if record.effective.device.is_none() => hidden(record, &lower)?,
        _ => None,
    };
    Ok(target(record.as_ref(), &mounts, access, hidden).map_or_else(Look::Refused, Look::Target))
}

fn front(asked: &Args) -> Result<Exit> {
    if !fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0) {
        eprintln!("overlayctl: only root can open the lower");
        return Ok(Exit::NotOpened);
    }
    let target = match look(asked.read_only)? {
        Look::Target(target) => target,
        Look::Refused(why) => {
            eprintln!("overlayctl: {why}");
            return Ok(Exit::NotOpened);
        }
    };
    let held = Held::new()?;
    let mut keeper = start("keeper", asked)?;
    let status = wait(&mut keeper, &held, Signal::TERM)?;
    if status.code().is_none() {
        eprintln!("overlayctl: the process that kept the lower open was killed; closing the lower");
        if target.way != Way::Look {
            keeper::closed(servicing::close(&target)?)?;
        }
    }
    if keeper::state().is_some_and(|state| !state.restored) {
        // In these mounts, not in the keeper's, which are gone.
        servicing::keep_for_shutdown(&target)?;
    }
    servicing::tidy();
    Ok(if status.code().is_some() { code(status) } else { Exit::NotOpened })
}

/// Starts this program again, as another of the four.
fn start(stage: &str, asked: &Args) -> Result<Child> {
    // By its link: the path is that of other mounts than the keeper's.
    let mut child = Command::new("/proc/self/exe");
    child.arg0("overlayctl").arg("shell").args(asked.read_only.then_some("--read-only"));
    child.arg("--").args(&asked.command).env(STAGE, format!("{stage} {}", std::process::id()));
    child.spawn().with_context(|| format!("starting the {stage}"))
}

/// Waits for a child. What ends this process is given to it as `signal`; what a terminal sends is for the command.
fn wait(child: &mut Child, held: &Held, signal: Signal) -> Result<ExitStatus> {
    loop {
        if let Some(status) = child.try_wait().context("waiting")? {
            return Ok(status);
        }
        if let Err(stopped) = held.check() {
            let by = stopped.downcast_ref().map_or(0, |Stopped(by)| *by);
            if [Signal::TERM, Signal::HUP].iter().any(|end| end.as_raw().unsigned_abs() == by) {
                let _ = kill_process(Pid::from_child(child), signal);
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The exit code of a child, or 128 and the signal's number.
fn code(status: ExitStatus) -> Exit {
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Exit::Command(u8::try_from(code).unwrap_or(u8::MAX))
}
