// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl`: what the root is, why, and what the next boot would make of it; resets and kept uppers, images,
//! and what is pulled after the boot.

#[macro_use]
mod out;

mod args;
mod bar;
mod check;
mod completions;
mod config;
mod diff;
mod doctor;
mod du;
mod enable;
mod exit;
mod explain;
mod fill;
mod hostinside;
mod hostkernels;
mod hostprobe;
mod hoststack;
mod image;
mod imagelayers;
mod imagemenu;
mod imagesource;
mod imagetool;
mod is_enabled;
mod keep;
mod kept;
mod keys;
mod label;
mod live;
mod loopfile;
mod manual;
mod migrate;
mod motd;
mod next;
mod pager;
mod plan;
mod pull;
mod reset;
mod resize;
mod shell;
mod stale;
mod status;
mod top;
mod trash;
mod trim;
mod units;
mod uppers;
mod walk;
mod watch;

use args::{Args, Command, Image, OfStale, OfTrash, OfUppers, Output};
use clap::FromArgMatches;
use exit::Exit;
use std::process::ExitCode;

fn main() -> ExitCode {
    // clap exits with 2 for wrong arguments, which monitoring reads as "critical".
    let parsed = args::command().try_get_matches().and_then(|found| Args::from_arg_matches(&found));
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
        Command::Uppers { what: None, names: true, .. } => uppers::names(),
        Command::Uppers { what: None, json, .. } => uppers::list(json),
        Command::Uppers { what: Some(OfUppers::Restore { name }), .. } => uppers::restore(&name),
        Command::Uppers { what: Some(OfUppers::Remove { name }), .. } => uppers::remove(&name),
        Command::Uppers { what: Some(OfUppers::Describe { name, text }), .. } => uppers::describe(&name, &text),
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
        Command::Keep(asked) => keep::run(&asked),
        Command::Resize(asked) => resize::run(&asked),
        Command::Watch(asked) => watch::run(&asked),
        Command::Shell(asked) => shell::run(&asked),
        Command::Explain(asked) => explain::run(&asked),
        Command::Config(asked) => config::run(&asked),
        Command::Completions(asked) => completions::run(&asked, args::command()),
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
