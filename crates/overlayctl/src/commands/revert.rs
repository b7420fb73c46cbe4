// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl revert`: asks the next boot to discard what the upper has of single paths.

use crate::commands::commit::in_root;
use crate::commands::reset::{ask, reboot};
use crate::commands::{diff, uppers};
use crate::output::exit::{Exit, refuse};
use crate::state::kept::{self, Found, Pending};
use anyhow::Result;
use overlayroot_core::layout::pending::Marker;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_linux::step::revert::{Had, had};
use std::path::PathBuf;

/// What `overlayctl revert` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and directories, with all that is in them
    #[arg(value_name = "PATH", required = true)]
    paths: Vec<PathBuf>,
    /// Print what would be discarded and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Reboot at once
    #[arg(long, conflicts_with = "dry_run")]
    now_and_reboot: bool,
}

/// Asks, or lists.
pub fn run(args: &Args) -> Result<Exit> {
    let (record, store) = match kept::find()? {
        Found::Upper(record, store) => (record, store),
        Found::None(why) => return refuse(&why),
    };
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
    match kept::pending(&store)? {
        Pending::Nothing => {}
        Pending::Asked(Marker::Revert(before)) => paths.splice(0..0, before).for_each(drop),
        Pending::Asked(Marker::Reset | Marker::Keep | Marker::Restore(_)) | Pending::Unknown => {
            let words = uppers::words(kept::pending(&store)?.marker());
            return refuse(&format!(
                "the next boot is asked for something else ({words}): see overlayctl reset --cancel"
            ));
        }
    }
    if std::fs::symlink_metadata(store.commit()).is_ok() {
        return refuse("the next boot is asked to commit: see overlayctl commit --cancel");
    }
    paths.sort();
    paths.dedup();
    if args.dry_run {
        println!("{} changes would be lost", diff::list(&paths, |_| true)?);
        return Ok(Exit::Good);
    }
    ask(&store, &Marker::Revert(paths))?;
    if args.now_and_reboot {
        reboot()?;
    }
    Ok(Exit::Good)
}
