// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl revert`: asks the next boot to discard what the upper has of single paths.

use crate::commands::commit::{cancel, in_root};
use crate::commands::reset::reboot;
use crate::commands::{diff, uppers};
use crate::output::exit::{Exit, refuse};
use crate::state::kept::{self, Found, Pending};
use crate::state::request::{self, Request};
use anyhow::Result;
use overlayroot_core::feature::commit::Asked;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_linux::commit::revert::{Had, had};
use std::path::PathBuf;

/// What `overlayctl revert` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and directories, with all that is in them
    #[arg(value_name = "PATH", required_unless_present = "cancel")]
    paths: Vec<PathBuf>,
    /// Print what would be discarded and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Reboot at once
    #[arg(long, conflicts_with = "dry_run")]
    now_and_reboot: bool,
    /// Cancel what the next boot was asked for
    #[arg(long, conflicts_with_all = ["paths", "dry_run", "now_and_reboot"])]
    cancel: bool,
}

/// Asks, or lists.
pub fn run(args: &Args) -> Result<Exit> {
    let (record, store) = match kept::find()? {
        Found::Upper(record, store) => (record, store),
        Found::None(why) => return refuse(&why),
    };
    if args.cancel {
        return cancel(&store);
    }
    let mut paths = in_root(&args.paths)?;
    if paths.is_empty() {
        return refuse("that is the whole root: see overlayctl reset");
    }
    let lower = kept::lower(&record)?;
    for path in &paths {
        let why = match had(&store.upper, lower, path)? {
            Had::Entry(..) => continue,
            Had::Nothing => format!("nothing is changed at {}", escape(path)),
            Had::Covered(by) => format!("{} takes the place of the lower's: revert that", escape(&by)),
        };
        return refuse(&why);
    }
    let pending = kept::pending(&store)?;
    let other = |words: &str, by: &str| {
        refuse(&format!("the next boot is asked for something else ({words}): see overlayctl {by} --cancel"))
    };
    if pending != Pending::Nothing {
        return other(&uppers::words(pending.marker()), "reset");
    }
    match request::pending(&store)? {
        None => {}
        Some(Request::Revert(before)) => paths.extend(before),
        Some(asked @ (Request::Commit(_) | Request::Unknown(_))) => return other(&asked.to_string(), "commit"),
    }
    if let Some(why) = request::lacking() {
        return refuse(&why);
    }
    paths.sort();
    paths.dedup();
    if args.dry_run {
        println!("{} changes would be lost", diff::list(&paths, |_| true)?);
        return Ok(Exit::Good);
    }
    request::ask(&store, &Asked { revert: Some(paths.clone()), ..Asked::default() })?;
    println!("at the next boot: {}", Request::Revert(paths));
    if args.now_and_reboot {
        reboot()?;
    }
    Ok(Exit::Good)
}
