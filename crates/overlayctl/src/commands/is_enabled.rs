// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl is-enabled`: whether the next boot makes the overlay that is asked for, as an exit status.

use crate::output::exit::Exit;
use crate::state::next::{self, Query};
use anyhow::Result;
use overlayroot_host::next::{NextBoot, Verdict};

/// What the verb takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Check the system in this directory; devices are not checked
    #[arg(long, value_name = "DIR", default_value = "/", hide_default_value = true)]
    root: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints the word; 0 for enabled alone.
pub fn run(asked: &Args) -> Result<Exit> {
    // Who can't open devices would find each of them missing.
    let boot = next::find(&Query { root: &asked.root, lightly: !next::is_root(), ..Query::HERE }).boot;
    match asked.json {
        true => crate::output::out::json(&boot.told())?,
        false => println!("{}", boot.verdict().word()),
    }
    if boot.verdict() == Verdict::Unknown {
        eprintln!("overlayctl: {}", boot.says());
    }
    Ok(status(&boot))
}

/// As systemctl's.
pub fn status(boot: &NextBoot) -> Exit {
    match boot.verdict() {
        Verdict::Enabled => Exit::Good,
        Verdict::Degraded | Verdict::Disabled | Verdict::Unknown => Exit::No,
    }
}
