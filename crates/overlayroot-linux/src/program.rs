// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs another program. posix_spawn through nix: std's Command is 20 KB larger, and nothing here
//! needs its pipes.

use crate::{files, newfile};
use anyhow::{Context, Result};
use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, posix_spawnp};
use nix::sys::wait::{WaitStatus, waitpid};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;

/// For whoever does not want to know what a program says.
pub const NOWHERE: &str = "/dev/null";

/// Runs `program` to its end, its output going to the file `output`, and gives back its exit code
/// (128 and the signal's number where one ended it).
///
/// # Errors
/// Where it can't be started.
pub fn run(program: &str, args: &[&str], output: &str) -> Result<i32> {
    spawn(program, args, None, output)
}

/// The same, with the file `input` to read from.
///
/// # Errors
/// As [`run`].
pub fn run_fed(program: &str, args: &[&str], input: &str, output: &str) -> Result<i32> {
    let file = files::open(input).with_context(|| format!("opening {input}"))?;
    spawn(program, args, Some(&file), output)
}

fn spawn(program: &str, args: &[&str], input: Option<&File>, output: &str) -> Result<i32> {
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
    let mut files = PosixSpawnFileActions::init().with_context(context)?;
    let file = match output {
        NOWHERE => OpenOptions::new().write(true).open(NOWHERE).with_context(context)?,
        _ => newfile::fresh(output).with_context(context)?,
    };
    if let Some(input) = input {
        files.add_dup2(input.as_raw_fd(), 0).with_context(context)?;
    }
    files.add_dup2(file.as_raw_fd(), 1).with_context(context)?;
    files.add_dup2(file.as_raw_fd(), 2).with_context(context)?;
    let attributes = PosixSpawnAttr::init().with_context(context)?;
    let name = words.first().with_context(context)?;
    let child = posix_spawnp(name, &files, &attributes, &words, &environment).with_context(context)?;
    match waitpid(child, None).with_context(context)? {
        WaitStatus::Exited(_, code) => Ok(code),
        WaitStatus::Signaled(_, signal, _) => Ok(128 + signal as i32),
        _ => Ok(128),
    }
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
}
