// SPDX-License-Identifier: GPL-2.0-or-later
//! A pager, where git has one: stdout is a terminal, and the text may be longer than it. less ends by itself where
//! all fits (`F`).

use rustix::stdio::dup2_stdout;
use std::env;
use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::process::{Child, Command, Stdio};

/// less: quit where it fits, colours as they are, no clearing. As git's.
const LESS: &str = "FRX";

/// A pager that runs; its end is waited for when this is dropped.
pub struct Pager(Child);

/// Starts one and gives it stdout. `None` where none is wanted or none can be had: then the text goes where it went.
pub fn start() -> Option<Pager> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    let line = wanted(|name| env::var(name).ok())?;
    crate::output::out::columns();
    // By a shell, for the variables hold a command line (PAGER="less -S"), as everywhere.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", &line]).stdin(Stdio::piped());
    if env::var_os("LESS").is_none() {
        command.env("LESS", LESS);
    }
    if env::var_os("LV").is_none() {
        command.env("LV", "-c");
    }
    // Decided for the terminal: what follows is a pipe to the eye of anstream.
    anstream::AutoStream::choice(&std::io::stdout()).write_global();
    let mut child = command.spawn().ok()?;
    let given = child.stdin.take().is_some_and(|pipe| dup2_stdout(&pipe).is_ok());
    if !given {
        let _ = child.wait();
        return None;
    }
    crate::output::out::is_paged();
    Some(Pager(child))
}

impl Drop for Pager {
    fn drop(&mut self) {
        let _ = std::io::stdout().flush();
        // The pipe's last writer goes, so that the pager sees the end.
        if let Ok(null) = OpenOptions::new().write(true).open("/dev/null") {
            let _ = dup2_stdout(&null);
        }
        let _ = self.0.wait();
    }
}

/// The command line of the pager; none for `cat` and for an empty variable, as git has it.
fn wanted(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let given = variable("OVERLAYCTL_PAGER").or_else(|| variable("PAGER"));
    let dumb = variable("TERM").is_none_or(|term| term == "dumb");
    let line = given.unwrap_or_else(|| "if command -v less >/dev/null; then exec less; else exec cat; fi".to_owned());
    (!dumb && !line.trim().is_empty() && line.trim() != "cat").then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Option<String> {
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        wanted(|name| find(name).or_else(|| (name == "TERM").then(|| "xterm".to_owned())))
    }

    #[test]
    fn which_one() {
        assert!(with(&[]).unwrap().contains("exec less"));
        assert_eq!(with(&[("PAGER", "most")]).as_deref(), Some("most"));
        assert_eq!(with(&[("PAGER", "most"), ("OVERLAYCTL_PAGER", "less -S")]).as_deref(), Some("less -S"));
        for none in ["", "cat", " "] {
            assert_eq!(with(&[("PAGER", "most"), ("OVERLAYCTL_PAGER", none)]), None, "{none:?}");
        }
        assert_eq!(with(&[("TERM", "dumb")]), None);
        assert_eq!(wanted(|_| None), None, "no terminal type at all");
    }
}
