// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl`: what the root is, why, and what the next boot would make of it; resets and kept uppers, images,
//! and what is pulled after the boot.

// First: its `println!` and kin stand in for those of std in all below.
#[macro_use]
mod output;

mod cli;
mod commands;
mod state;

use clap::FromArgMatches;
use cli::{Args, Command, Output};
use commands::image::args::Image;
use commands::stale::OfStale;
use commands::trash::OfTrash;
use commands::uppers::choose;
use commands::{
    check, commit, completions, config, diff, doctor, du, enable, explain, image, is_enabled, keep, keys, label,
    loopfile, migrate, plan, pull, reset, resize, revert, shell, stale, status, thaw, top, trash, trim, uppers, watch,
};
use output::exit::Exit;
use output::{out, pager};
use std::process::ExitCode;

fn main() -> ExitCode {
    // clap exits with 2 for wrong arguments, which monitoring reads as "critical".
    let parsed = cli::command().try_get_matches().and_then(|found| Args::from_arg_matches(&found));
    let args = parsed.unwrap_or_else(|error| {
        let _ = error.print();
        if error.use_stderr() { Exit::Usage.now() } else { Exit::Good.now() }
    });
    let output = args.command.output();
    if output.only_tells() {
        out::end_with_the_reader();
    }
    let pager = if args.no_pager || output != Output::Long { None } else { pager::start() };
    let result = match args.command {
        Command::Status { json } => status::run(json),
        Command::Check { motd } => check::run(motd),
        Command::Plan { cmdline, json } => plan::run(cmdline, json),
        Command::Keys => keys::run(),
        Command::Loop { verb } => loopfile::run(&verb),
        Command::Reset { cancel: true, .. } => reset::cancel(),
        Command::Reset { keep, now_and_reboot, .. } => reset::run(keep, now_and_reboot),
        Command::Commit(asked) => commit::run(&asked),
        Command::Revert(asked) => revert::run(&asked),
        Command::Uppers { what: None, names: true, .. } => uppers::names(),
        Command::Uppers { what: None, json, .. } => uppers::list(json),
        Command::Uppers { what: Some(what), .. } => uppers::run(&what),
        Command::Stale { what: None, upper, json } => stale::run(upper.as_deref(), json),
        Command::Stale { what: Some(OfStale::Accept), .. } => stale::accept(),
        Command::Diff(asked) => diff::run(&asked),
        Command::Du(asked) => du::run(&asked),
        Command::Top(asked) => top::run(&asked),
        Command::Pull { timeout, grace, plain_root } => pull::run(timeout, grace, plain_root),
        Command::Label => label::run(),
        Command::Doctor { cmdline, json } => doctor::run(cmdline, json),
        Command::Enable(asked) => enable::enable(&asked),
        Command::Disable(asked) => enable::disable(&asked),
        Command::IsEnabled(asked) => is_enabled::run(&asked),
        Command::Migrate(asked) => migrate::run(&asked),
        Command::Image { verb: Image::Build(asked) } => image::build(&asked),
        Command::Good => choose::good(),
        Command::Keep(asked) => keep::run(&asked),
        Command::Resize(asked) => resize::run(&asked),
        Command::Watch(asked) => watch::run(&asked),
        Command::Shell(asked) => shell::run(&asked),
        Command::Thaw(asked) => thaw::run(&asked),
        Command::Thawed => thaw::work(),
        Command::Kernel => thaw::kernel(),
        Command::Explain(asked) => explain::run(&asked),
        Command::Config(asked) => config::run(&asked),
        Command::Completions(asked) => completions::run(&asked, cli::command()),
        Command::Trash { what: OfTrash::Empty } => trash::empty(),
        Command::Trim => trim::run(),
    };
    drop(pager);
    let exit = result.unwrap_or_else(|error| {
        eprintln!("overlayctl: {error:#}");
        Exit::of(&error)
    });
    exit.into()
}
