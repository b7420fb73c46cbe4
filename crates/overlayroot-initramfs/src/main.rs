// SPDX-License-Identifier: GPL-2.0-or-later
//! One ELF, four names: which tool runs is the name it was started under.

mod args;
mod assemble;
#[cfg(not(debug_assertions))]
mod backtrace;
mod loopfile;
mod upper;
mod verb;

use args::{Args, Tool};
use overlayroot_core::value::diagnostics::plain;
use overlayroot_linux::boot::shutdown;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args = match Args::parse() {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{}", plain(&format!("{error:#}")));
            return ExitCode::from(64);
        }
    };
    if let Some(text) = args.answer() {
        print!("{text}");
        return ExitCode::SUCCESS;
    }
    let most = if args.verbose { tracing::Level::DEBUG } else { tracing::Level::INFO };
    overlayroot_linux::log::start(most, args.by != "hand" || args.tool == Tool::Shutdown);
    let result = match args.tool {
        Tool::Assemble => assemble::run(&args),
        Tool::Upper => upper::run(&args),
        Tool::Shutdown => shutdown::clean().map(|()| ExitCode::SUCCESS),
        Tool::Loop => loopfile::run(&args),
    };
    result.unwrap_or_else(|error| {
        tracing::error!("{error:#}");
        ExitCode::FAILURE
    })
}
