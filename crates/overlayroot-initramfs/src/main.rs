// SPDX-License-Identifier: GPL-2.0-or-later
//! One ELF, four names: which tool runs is the name it was started under.
#![cfg_attr(not(test), no_main)]

mod args;
mod assemble;
#[cfg(not(debug_assertions))]
mod backtrace;
#[cfg(not(test))]
mod entry;
mod loopfile;
mod upper;
mod verb;

use args::{Args, Tool};
use overlayroot_core::value::diagnostics::plain;
use overlayroot_linux::boot::shutdown;
use overlayroot_linux::log::{self, Level};
use std::io::Write;

/// Exit: the boot goes on, or what was asked is done.
const DONE: u8 = 0;
/// Exit: it failed, or the policy is `halt`.
const FAILED: u8 = 1;
/// Exit: wrong arguments (sysexits.h).
const USAGE: u8 = 64;

/// Runs the tool, and gives back what to exit with.
#[cfg_attr(test, allow(dead_code))]
fn run() -> u8 {
    let args = match Args::parse() {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{}", plain(&format!("{error:#}")));
            return USAGE;
        }
    };
    if let Some(text) = args.answer() {
        // Whoever does not want to read it to its end is no reason to panic.
        return std::io::stdout().write_all(text.as_bytes()).map_or(FAILED, |()| DONE);
    }
    log::start(if args.verbose { Level::DEBUG } else { Level::INFO }, args.by != "hand" || args.tool == Tool::Shutdown);
    let result = match args.tool {
        Tool::Assemble => assemble::run(&args),
        Tool::Upper => upper::run(&args),
        Tool::Shutdown => shutdown::clean().map(|()| DONE),
        Tool::Loop => loopfile::run(&args),
    };
    result.unwrap_or_else(|error| {
        log::say(Level::ERROR, format_args!("{error:#}"));
        FAILED
    })
}
