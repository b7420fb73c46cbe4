// SPDX-License-Identifier: GPL-2.0-or-later
//! The tools' own words steer no terminal, whatever their arguments are.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::os::unix::process::CommandExt;
use std::process::Command;

const ODD: &str = "/none/\x1b]0;title\x07\u{9b}2J\r.img";

#[test]
fn no_argument_steers_the_terminal() {
    let grown = format!("{ODD},size=16M");
    let cases: [(&str, &[&str]); 9] = [
        ("overlay-loop", &["--dry-run", "create", &grown]),
        ("overlay-loop", &["--dry-run", "attach", ODD]),
        ("overlay-loop", &["attach", ODD]),
        ("overlay-loop", &["check", ODD]),
        ("overlay-loop", &["--dry-run", "grow", &grown]),
        ("overlay-loop", &[ODD, ODD]),
        ("overlay-loop", &["grow", ODD]),
        ("overlay-assemble", &["--by", ODD]),
        ("overlay-assemble", &["--\x1b[2J"]),
    ];
    for (name, args) in cases {
        let tool = Command::new(env!("CARGO_BIN_EXE_overlay-assemble")).arg0(name).args(args).output().unwrap();
        for bytes in [tool.stdout, tool.stderr] {
            let text = String::from_utf8_lossy(&bytes);
            let raw = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
            assert_eq!(raw, None, "{name} {args:?}: {text:?}");
        }
    }
}
