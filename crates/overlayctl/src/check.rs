// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl check`: fails where what runs is not what was asked for.

use crate::live::{self, Level};
use crate::status::asked_for;
use anyhow::Result;
use overlayroot_core::issue::shown;
use overlayroot_core::paths;
use overlayroot_linux::recordfile;
use std::process::ExitCode;

/// Prints the reasons and exits with 1, or is silent and exits with 0. How full the upper is,
/// on which lower it was begun, and with which archive, does not count here: that is `status`, for monitoring.
pub fn run() -> Result<ExitCode> {
    let mut record = recordfile::read(paths::RECORD)?;
    if let Some(record) = &mut record {
        record.stale = None;
        record.populate = None;
    }
    let mut live = live::read(record.as_ref())?;
    live.upper = None;
    let problems = live::problems(record.as_ref(), asked_for(), &live);
    let bad: Vec<_> = problems.into_iter().filter(|(level, _)| *level != Level::Unknown).collect();
    if bad.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(record) = &record {
        eprintln!("asked for: {} ({})", shown(&record.requested.spec), record.requested.origin);
        eprintln!("running:   {} ({})", record.effective, record.outcome.word());
    }
    for (_, text) in bad {
        eprintln!("because:   {text}");
    }
    Ok(ExitCode::FAILURE)
}
