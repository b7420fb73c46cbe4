// SPDX-License-Identifier: GPL-2.0-or-later
//! A program that runs for long: how far it is, and whether somebody wants an end of it.

use crate::sys::{files, newfile};
use anyhow::{Context, Result};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A signal that asked for the end came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped(pub u32);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped by signal {}", self.0)
    }
}

impl std::error::Error for Stopped {}

/// Holds SIGINT, SIGTERM, SIGHUP and SIGQUIT back, so that what was begun can be taken away again.
pub struct Held(SignalFd);

impl Held {
    /// From now on, for this thread and what it starts. A signal that is ignored (nohup) stays so.
    ///
    /// # Errors
    /// Where the kernel gives no signalfd.
    pub fn new() -> Result<Self> {
        let status = files::ask_kernel("/proc/thread-self/status").context("reading the signals that are ignored")?;
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let ignored = ignored.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
        let mut held = SigSet::empty();
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
            // The kernel queues also what is ignored, once it is held back.
            if ignored & (1 << (signal as u64 - 1)) == 0 {
                held.add(signal);
            }
        }
        held.thread_block().map_err(io::Error::from).context("holding signals back")?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&held, flags).map_err(io::Error::from).context("making a signalfd")?))
    }

    /// Looks whether one has come.
    ///
    /// # Errors
    /// [`Stopped`] where one has.
    pub fn check(&self) -> Result<()> {
        match self.0.read_signal() {
            Ok(Some(signal)) => Err(Stopped(signal.ssi_signo).into()),
            _ => Ok(()),
        }
    }
}

/// Runs a program to its end, all its output going to the file `log`, and gives back its exit code (128
/// and the signal's number where one ended it). `look` gets its process number, ten times a second.
///
/// # Errors
/// Where it can't be started; [`Stopped`], the program being dead then.
pub fn run(command: &mut Command, log: &str, held: &Held, look: &mut dyn FnMut(u32)) -> Result<i32> {
    let context = || format!("running {}", command.get_program().to_string_lossy());
    let (what, file) = (context(), newfile::fresh(log).with_context(context)?);
    let errors = file.try_clone().with_context(|| what.clone())?;
    let spawned = command.stdin(Stdio::null()).stdout(file).stderr(errors).spawn();
    let mut child = spawned.with_context(|| what.clone())?;
    let ended = watch(&mut child, held, look).context(what);
    if ended.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    ended
}

fn watch(child: &mut Child, held: &Held, look: &mut dyn FnMut(u32)) -> Result<i32> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)));
        }
        held.check()?;
        look(child.id());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_output() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let log = log.to_str().unwrap();
        let held = Held::new().unwrap();
        let sh = |text: &str| run(Command::new("sh").args(["-c", text]), log, &held, &mut |_| ());
        assert_eq!(sh("echo said; echo also >&2; exit 3").unwrap(), 3);
        assert_eq!(std::fs::read_to_string(log).unwrap(), "said\nalso\n");
        assert_eq!(sh("kill -9 $$").unwrap(), 137);
        assert!(run(&mut Command::new("no-such-program-here"), log, &held, &mut |_| ()).is_err());
    }
}
