// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl thaw`: asks for boots without the overlay, to update the root itself.

mod work;

pub use work::{kernel, work};

use crate::commands::reset::reboot;
use crate::commands::shell::{in_lower, unwritable};
use crate::output::exit::{Exit, refuse};
use crate::output::format::{date, now};
use crate::state::kept::{self, Found};
use crate::state::next::{self, Query};
use crate::state::request::{self, without};
use crate::state::thaw;
use anyhow::{Result, ensure};
use overlayroot_core::feature::stale::Policy;
use overlayroot_core::feature::thaw::{Asked, MOST, USUAL, Work, parse_time};
use overlayroot_core::keys;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use overlayroot_linux::sys::mounts;
use std::path::Path;

/// What `overlayctl thaw` takes.
#[derive(Debug, clap::Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Args {
    /// One boot, which is also what is asked for without it
    #[arg(long, conflicts_with = "boots")]
    once: bool,
    /// So many boots
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u32).range(1..=i64::from(MOST)))]
    boots: u32,
    /// Reboot after this time at the latest: 45m, 2h [default: 1h]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_time)]
    time: Option<u64>,
    /// Run this command line, instead of the system's own updater
    #[arg(long, value_name = "COMMAND")]
    run: Option<String>,
    /// Run nothing: for work by hand, until the time is over or the machine is rebooted
    #[arg(long, conflicts_with = "run")]
    no_run: bool,
    /// Do nothing where the last one ended less than this time ago
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    not_within: Option<u64>,
    /// Print what would be asked for and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Reboot at once
    #[arg(long, conflicts_with = "dry_run")]
    now_and_reboot: bool,
    /// Show what is asked for, and the result of the last time
    #[arg(long, conflicts_with_all = ["once", "boots", "time", "run", "no_run", "dry_run", "now_and_reboot"])]
    status: bool,
    /// Cancel what the next boots were asked for
    #[arg(long, conflicts_with_all = ["once", "boots", "time", "run", "no_run", "dry_run", "now_and_reboot", "status"])]
    cancel: bool,
}

impl Args {
    /// Whether nothing is changed.
    pub fn only_tells(&self) -> bool {
        self.dry_run || self.status
    }

    /// Also where a clock that is wrong says that the last one is still to come.
    fn is_too_soon(&self, last: u64) -> bool {
        self.not_within.is_some_and(|least| now() < last.saturating_add(least))
    }

    fn asked(&self) -> Asked {
        let work = match &self.run {
            Some(command) => Work::Run(command.clone()),
            None if self.no_run => Work::Nothing,
            None => Work::Update,
        };
        Asked { boots: self.boots, seconds: self.time.unwrap_or(USUAL), work }
    }
}

/// Asks, shows or cancels.
pub fn run(args: &Args) -> Result<Exit> {
    if args.status {
        return status();
    }
    if args.cancel {
        let done = in_root(thaw::cancel)?;
        println!("{}", if done { "cancelled; the next boot has the overlay" } else { "nothing to cancel" });
        return Ok(Exit::Good);
    }
    let asked = args.asked();
    ensure!(asked.clone().valid().is_some(), "--run needs a command of at most 4096 bytes");
    if thaw::this_boot().is_some() {
        return refuse("this boot is thawed: what you change stays, and the reboot ends it");
    }
    if let Some(last) = thaw::result().filter(|last| args.is_too_soon(last.at)) {
        println!("nothing is asked for: the last one ended {}", date(last.at));
        return Ok(Exit::Good);
    }
    if let Some(why) = unwritable()? {
        return refuse(&why);
    }
    if let Found::Upper(_, store) = kept::find()? {
        if let Some(other) = request::pending(&store)? {
            return refuse(&format!(
                "the next boot is asked for something else ({other}), which an update of the lower would spoil: see \
                 overlayctl commit --cancel"
            ));
        }
    }
    if asked.work == Work::Update && work::updater().is_none() {
        return refuse(
            "no updater was found (unattended-upgrade, apt-get, dnf, zypper): name one with --run, or --no-run",
        );
    }
    let boot = next::find(&Query { lightly: true, frozen: true, ..Query::HERE }).boot;
    if boot.line.is_ok() && !boot.config.asks_for_overlay() {
        return refuse("the next boot has no overlay, and nothing is to be thawed: overlayctl enable");
    }
    if boot.config.stale.value == Policy::Reset {
        eprintln!(
            "overlayctl: warning: {}=reset: an update of the lower makes the upper stale, and all its changes will be \
             lost at the boot after it",
            keys::STALE.name
        );
    }
    if let Some(why) = without(boot.image.path.as_deref(), thaw::PROGRAM, "overlayroot_thaw") {
        return refuse(&why);
    }
    if args.dry_run {
        println!("the next boot would be {asked}");
        return Ok(Exit::Good);
    }
    in_lower(|lower| thaw::ask(lower, &asked))?;
    println!("the next boot is {asked}");
    if args.now_and_reboot {
        reboot()?;
    }
    Ok(Exit::Good)
}

/// In the root that the next boot has: the lower, or the root itself where it is not hidden by an overlay.
fn in_root<T>(inside: impl FnOnce(&str) -> Result<T>) -> Result<T> {
    let overlay = mountinfo::at(&mounts::read()?, "/").is_some_and(|root| root.fstype == "overlay");
    if overlay { in_lower(inside) } else { inside("/") }
}

fn status() -> Result<Exit> {
    match thaw::pending()? {
        Some(asked) => {
            println!("{}", thaw::words(&asked, &next::find(&Query { lightly: true, ..Query::HERE }).boot));
        }
        None => println!("the next boot: nothing is asked for"),
    }
    match thaw::this_boot() {
        Some(asked) => println!("this boot is {asked}"),
        None if Path::new(paths::NOT_THAWED).exists() => println!("this boot was to be thawed: see overlayctl status"),
        None => println!("this boot: nothing was asked for"),
    }
    if let Some(last) = thaw::result() {
        println!("the last one, {}: {last}", date(last.at));
    }
    Ok(Exit::Good)
}
