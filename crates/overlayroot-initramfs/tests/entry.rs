// SPDX-License-Identifier: GPL-2.0-or-later
//! The program's own entry does what std's would.

#![allow(clippy::unwrap_used)] // clippy.toml reaches test functions only, not their helpers

use std::process::{Command, Output};

/// `$1` is the program.
fn shell(line: &str) -> Output {
    Command::new("sh").args(["-c", line, "sh", env!("CARGO_BIN_EXE_overlay-assemble")]).output().unwrap()
}

#[test]
fn arguments_and_exit_codes() {
    let output = shell("\"$1\" --version");
    assert!(output.status.success() && output.stdout.starts_with(b"overlayroot-rs "), "{output:?}");
    assert_eq!(shell("\"$1\" --no-such-option").status.code(), Some(64));
}

#[test]
fn a_closed_pipe_is_an_error_and_no_signal() {
    // the shell says 141 where the signal ended it
    let output = shell("{ sleep 0.5; \"$1\" --help; echo \"exit $?\" >&2; } | :");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "exit 1\n");
}
