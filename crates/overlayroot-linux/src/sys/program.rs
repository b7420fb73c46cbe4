// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs another program. posix_spawn through nix: std's Command is 20 KB larger, and nothing here
//! needs its pipes.

use crate::sys::{files, newfile};
use anyhow::{Context, Result, bail};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawnp};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

/// For whoever does not want to know what a program says.
pub const NOWHERE: &str = "/dev/null";

/// Between two looks whether a program has ended.
const LOOK: Duration = Duration::from_millis(10);

/// Runs `program` to its end, its output going to the file `output`, and gives back its exit code
/// (128 and the signal's number where one ended it).
///
/// # Errors
/// Where it can't be started.
pub fn run(program: &str, args: &[&str], output: &str) -> Result<i32> {
    ended(spawn(program, args, None, output)?, program)
}

/// The same for a program that waits for others: one that takes longer is killed.
///
/// # Errors
/// As [`run`]; where it took longer.
pub fn run_within(program: &str, args: &[&str], output: &str, most: Duration) -> Result<i32> {
    let child = spawn(program, args, None, output)?;
    let end = Instant::now() + most;
    loop {
        if let Some(status) = wait(child, WaitOptions::NOHANG, program)? {
            return Ok(code(status));
        }
        if Instant::now() >= end {
            break;
        }
        std::thread::sleep(LOOK);
    }
    kill_process(child, Signal::KILL).with_context(|| format!("ending {program}"))?;
    ended(child, program)?;
    bail!("{program} took longer than {} s", most.as_secs())
}

/// The same, with the file `input` to read from.
///
/// # Errors
/// As [`run`].
pub fn run_fed(program: &str, args: &[&str], input: &str, output: &str) -> Result<i32> {
    let file = files::open(input).with_context(|| format!("opening {input}"))?;
    ended(spawn(program, args, Some(&file), output)?, program)
}

/// Starts a program and does not wait for it; what it says goes nowhere. It is for a program that ends by itself: whoever
/// adopts it when this one has ended waits for it.
///
/// # Errors
/// As [`run`].
pub fn start(program: &str, args: &[&str]) -> Result<()> {
    spawn(program, args, None, NOWHERE).map(drop)
}

fn spawn(program: &str, args: &[&str], input: Option<&File>, output: &str) -> Result<Pid> {
    let context = || format!("running {program}");
    let words: Result<Vec<CString>, _> =
        std::iter::once(&program).chain(args).map(|word| CString::new(*word)).collect();
    let words = words.with_context(context)?;
    let environment: Vec<CString> = std::env::vars_os()
        .filter_map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            CString::new(name.into_vec()).ok()
        })
        .collect();
    let file = match output {
        NOWHERE => OpenOptions::new().write(true).open(NOWHERE).with_context(context)?,
        _ => newfile::fresh(output).with_context(context)?,
    };
    // As std's error: nix has a table of words of its own.
    let child = begin(&words, &environment, input, &file).map_err(std::io::Error::from).with_context(context)?;
    Pid::from_raw(child).with_context(context)
}

fn begin(words: &[CString], environment: &[CString], input: Option<&File>, output: &File) -> nix::Result<i32> {
    let mut files = PosixSpawnFileActions::init()?;
    if let Some(input) = input {
        files.add_dup2(input.as_raw_fd(), 0)?;
    }
    files.add_dup2(output.as_raw_fd(), 1)?;
    files.add_dup2(output.as_raw_fd(), 2)?;
    let name = words.first().ok_or(nix::errno::Errno::EINVAL)?;
    Ok(posix_spawnp(name, &files, &PosixSpawnAttr::init()?, words, environment)?.as_raw())
}

/// Waits for its end.
fn ended(child: Pid, program: &str) -> Result<i32> {
    Ok(wait(child, WaitOptions::empty(), program)?.map_or(128, code))
}

fn wait(child: Pid, options: WaitOptions, program: &str) -> Result<Option<WaitStatus>> {
    loop {
        match waitpid(Some(child), options) {
            Err(Errno::INTR) => {}
            waited => return Ok(waited.with_context(|| format!("running {program}"))?.map(|(_, status)| status)),
        }
    }
}

fn code(status: WaitStatus) -> i32 {
    status.exit_status().unwrap_or_else(|| 128 + status.terminating_signal().unwrap_or(0))
}

/// The last line with something on it: where most programs say what went wrong.
pub fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_and_output() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let out = out.to_str().unwrap();
        assert_eq!(run("sh", &["-c", "echo said; echo also >&2; exit 3"], out).unwrap(), 3);
        assert_eq!(std::fs::read_to_string(out).unwrap(), "said\nalso\n");
        assert_eq!(run_fed("cat", &[], out, &format!("{out}2")).unwrap(), 0);
        assert_eq!(std::fs::read_to_string(format!("{out}2")).unwrap(), "said\nalso\n");
        assert_eq!(run("sh", &["-c", "kill -9 $$"], out).unwrap(), 137);
        assert!(run("no-such-program-here", &[], out).map_or(true, |code| code == 127));
    }

    #[test]
    fn one_that_waits_for_others_has_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let pid = dir.path().join("pid");
        let pid = pid.to_str().unwrap();
        let began = Instant::now();
        let waits = run_within("sh", &["-c", "echo $$; exec sleep 60"], pid, Duration::from_secs(1));
        assert!(waits.unwrap_err().to_string().ends_with("took longer than 1 s"));
        assert!(began.elapsed() < Duration::from_secs(45), "{:?}", began.elapsed());
        let pid = std::fs::read_to_string(pid).unwrap();
        assert!(!std::path::Path::new(&format!("/proc/{}", pid.trim())).exists(), "it still runs");
        let most = Duration::from_secs(45);
        assert_eq!(run_within("sh", &["-c", "exit 3"], NOWHERE, most).unwrap(), 3);
        assert_eq!(run_within("sh", &["-c", "kill -9 $$"], NOWHERE, most).unwrap(), 137);
    }
}
