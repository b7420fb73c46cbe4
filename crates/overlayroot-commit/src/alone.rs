// SPDX-License-Identifier: GPL-2.0-or-later
//! The command line of a program that takes none.

use std::process::ExitCode;

/// How it ends before it begins: where help or version are asked for, or something that it does not take.
pub(crate) fn without_words(program: &str, help: &str) -> Option<ExitCode> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => return None,
        ["-h" | "--help"] => print!("{help}"),
        ["-V" | "--version"] => println!("overlayroot-rs {}", env!("CARGO_PKG_VERSION")),
        [..] => {
            eprintln!("{program} takes no arguments (see {program} --help)");
            return Some(ExitCode::from(64));
        }
    }
    Some(ExitCode::SUCCESS)
}
