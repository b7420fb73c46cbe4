// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl`: what the root is, why, and what the next boot would make of it.

mod args;
mod bar;
mod check;
mod keys;
mod live;
mod loopfile;
mod plan;
mod status;

use args::{Args, Command};
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    // clap exits with 2 for wrong arguments, which monitoring reads as "critical".
    let args = Args::try_parse().unwrap_or_else(|error| {
        let _ = error.print();
        std::process::exit(if error.use_stderr() { 64 } else { 0 });
    });
    let result = match args.command {
        Command::Status { json } => status::run(json),
        Command::Check => check::run(),
        Command::Plan { cmdline, json } => plan::run(cmdline, json),
        Command::Keys => keys::run(),
        Command::Loop { verb } => loopfile::run(&verb),
    };
    result.unwrap_or_else(|error| {
        eprintln!("overlayctl: {error:#}");
        ExitCode::from(3)
    })
}
