// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl keep`: saves the files that `rd.overlay.path=persist:` keeps, as far as they have changed.

use crate::output::exit::{Exit, refuse};
use anyhow::Result;
use overlayroot_core::layout::paths;
use overlayroot_core::record::{NO_RECORD, Record};
use overlayroot_core::step::effective::RootKind;
use overlayroot_core::step::path::Kind;
use overlayroot_core::step::path_state::{PathOutcome, PathState};
use overlayroot_linux::source::recordfile;
use overlayroot_linux::step::keepfiles;

/// The command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Do not list what was saved
    #[arg(short, long)]
    quiet: bool,
}

/// Saves all, and says what.
pub fn run(args: &Args) -> Result<Exit> {
    let Some(record) = recordfile::read(paths::RECORD)? else {
        return refuse(NO_RECORD);
    };
    let mut code = Exit::Good;
    let mut fail = |path: &str, why: &str| {
        eprintln!("overlayctl: {path} is not kept: {why}");
        code = Exit::No;
    };
    for state in files(&record) {
        let Some(store) = state.kept_files() else {
            // What the store has was not restored, so what is in the root now must not replace it.
            fail(&state.path, state.why.as_deref().unwrap_or("this boot could not restore it"));
            continue;
        };
        match keepfiles::save("/", store, &state.path) {
            Err(error) => fail(&state.path, &format!("{error:#}")),
            Ok(_) if args.quiet => {}
            Ok(saved) => {
                saved.saved.iter().for_each(|path| println!("saved {path}"));
                saved.removed.iter().for_each(|path| println!("removed {path}, which was deleted"));
            }
        }
    }
    Ok(code)
}

/// The files that were to be kept in this boot.
fn files(record: &Record) -> impl Iterator<Item = &PathState> {
    let overlay = record.effective.root == RootKind::Overlay;
    let asked = |state: &&PathState| state.files && state.kind == Kind::Persist && state.outcome != PathOutcome::Absent;
    record.effective.paths.iter().filter(move |_| overlay).filter(asked)
}
