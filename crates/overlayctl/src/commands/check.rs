// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl check`: fails where what runs is not what was asked for.

use crate::commands::status::asked_for;
use crate::output::exit::Exit;
use crate::state::live::{self, Level};
use anyhow::Result;
use overlayroot_core::layout::paths;
use overlayroot_core::record::{Outcome, Record};
use overlayroot_core::value::diagnostics::escape;
use overlayroot_linux::source::recordfile;

/// Prints the reasons and exits with 1, or is silent and exits with 0. How full the upper is,
/// on which lower it was begun, and with which archive, does not count here: that is `status`, for monitoring.
///
/// With `motd` who logs in is told, too: a shell on a machine that forgets looks like any other.
pub fn run(motd: bool) -> Result<Exit> {
    let mut record = recordfile::read(paths::RECORD)?;
    if let Some(record) = &mut record {
        record.stale = None;
        record.populate = None;
    }
    let mut live = live::read(record.as_ref())?;
    live.upper = None;
    let problems = live::problems(record.as_ref(), asked_for(), &live);
    let bad: Vec<_> = problems.into_iter().filter(|(level, _)| *level != Level::Unknown).collect();
    if motd {
        crate::output::motd::set(paths::MOTD_BOOT, (!bad.is_empty()).then(|| at_login(record.as_ref())).as_deref());
    }
    // A thawed boot is what was asked for; who logs in is told of it, which is one of them.
    let thawed = record.as_ref().is_some_and(|record| record.outcome == Outcome::Thawed);
    if bad.len() <= usize::from(thawed) {
        return Ok(Exit::Good);
    }
    if let Some(record) = &record {
        eprintln!("asked for: {} ({})", escape(&record.requested.spec), record.requested.origin);
        eprintln!("running:   {} ({})", record.effective, record.outcome.word());
        eprintln!("changes:   {}", record.effective.changes());
    }
    for (_, text) in bad {
        eprintln!("because:   {text}");
    }
    Ok(Exit::No)
}

/// What who logs in is told where the root is not what was asked for.
fn at_login(record: Option<&Record>) -> String {
    if record.is_some_and(|record| record.outcome == Outcome::Thawed) {
        let what = "the root is thawed: there is no overlay in this boot, and changes are permanent";
        return format!("overlayroot-rs: {what}.\nSee: overlayctl thaw --status\n");
    }
    let what = record.map_or_else(
        || "no record of this boot".to_owned(),
        |record| {
            let (asked, now) = (escape(&record.requested.spec), &record.effective);
            format!("asked for: {asked}; running: {now}; {}", now.changes())
        },
    );
    format!("overlayroot-rs: the root does not match the request. {what}.\nSee: overlayctl status\n")
}
