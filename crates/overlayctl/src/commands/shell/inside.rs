// SPDX-License-Identifier: GPL-2.0-or-later
//! The two processes inside: the first of the namespace, and the one that becomes the command.

use super::{Args, STAGE, start};
use crate::output::exit::Exit;
use crate::state::asked::PATH;
use anyhow::{Context, Result, bail};
use overlayroot_linux::tool::servicing;
use rustix::process::Signal;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The first process: ends with the keeper, and takes all others along.
pub fn init(keeper: u32, asked: &Args) -> Result<Exit> {
    servicing::end_with_parent(Signal::KILL)?;
    // getppid(2) gives 0 here; /proc is still the one outside, and has numbers as they are there.
    let parent = fs::read_to_string("/proc/self/status").context("looking for the keeper")?;
    let parent = parent.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<u32>().ok());
    if parent != Some(keeper) {
        bail!("the keeper is gone");
    }
    servicing::furnish_proc()?;
    let child = start("enter", asked)?;
    servicing::wait_as_init(child.id()).map(Exit::Command)
}

/// Becomes the command.
pub fn enter(command: &[String]) -> Result<Exit> {
    servicing::enter()?;
    let shell = std::env::var("SHELL").ok().filter(|shell| Path::new(shell).is_file());
    let fallback = if Path::new("/bin/bash").is_file() { "/bin/bash" } else { "/bin/sh" };
    let shell = shell.unwrap_or_else(|| fallback.to_owned());
    let (program, arguments) = command.split_first().map_or((&shell, &[][..]), |(program, rest)| (program, rest));
    let given = std::env::var("PATH").unwrap_or_default();
    // The caller's may lack the system's.
    let path = if given.split(':').any(|dir| dir == "/usr/sbin") { given } else { PATH.to_owned() };
    let mut child = Command::new(program);
    // systemctl does not ask a systemd that is not there; Debian's bash shows the other in its prompt.
    child.args(arguments).env("PATH", path).env("SYSTEMD_OFFLINE", "1").env("debian_chroot", "lower");
    child.env("OVERLAYCTL_SHELL", "lower").env_remove(STAGE);
    let error = child.exec();
    eprintln!("overlayctl: {program}: {error}");
    Ok(if error.kind() == ErrorKind::NotFound { Exit::NotFound } else { Exit::NotRun })
}
