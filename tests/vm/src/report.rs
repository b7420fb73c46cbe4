// SPDX-License-Identifier: GPL-2.0-or-later
//! What a run shows at its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cell::Cell;
use crate::host;
use crate::plan::Job;
use crate::runner::Finished;

/// The line alone at the end.
#[must_use]
pub fn summary(finished: &[Finished], left: &[Job]) -> String {
    let failed = finished.iter().filter(|f| f.failure.is_some()).count();
    let left = if left.is_empty() { String::new() } else { format!(", {} not run", left.len()) };
    format!("{} passed, {failed} failed{left}", finished.len() - failed)
}

/// The day, in UTC.
///
/// # Errors
/// When date(1) cannot run.
pub fn today() -> Result<String> {
    let day = host::run(Command::new("date").args(["-u", "+%Y-%m-%d"]))?;
    Ok(String::from_utf8_lossy(&day).trim().to_owned())
}

/// Writes a matrix of cases and cells as Markdown; `of` says how much all of it is.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, finished: &[Finished], left: &[Job], today: &str, of: &str) -> Result<()> {
    let mut rows: BTreeMap<&str, BTreeMap<Cell, String>> = BTreeMap::new();
    for one in finished {
        let word = if one.failure.is_some() { "FAIL" } else { "ok" };
        let earlier = if one.kept.is_some() { " *" } else { "" };
        let text = format!("{word} {:.0} s{earlier}", one.elapsed.as_secs_f32());
        rows.entry(&one.name).or_default().insert(one.cell, text);
    }
    for job in left {
        rows.entry(&job.case.name).or_default().insert(job.cell, "not run".to_owned());
    }
    let mut out = String::from("<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n# Boot tests\n\n");
    out.push_str(&format!(
        "{today}, software emulation on {} processors: {}, of {of}.\n\
         Seconds are of the whole case. `-`: the case has nothing to show in that cell.\n",
        std::thread::available_parallelism().map_or(1, usize::from),
        summary(finished, left)
    ));
    let failed = finished.iter().filter_map(|one| Some((&one.name, one.cell, one.failure.as_ref()?)));
    for (name, cell, why) in failed {
        out.push_str(&format!("FAIL {name} {cell}: {}\n", why.lines().next().unwrap_or_default()));
    }
    if let Some(first) = finished.iter().filter_map(|one| one.kept.as_deref()).min() {
        let count = finished.iter().filter(|one| one.kept.is_some()).count();
        out.push_str(&format!(
            "`*`: {count} results of earlier runs, from {first} on, which booted the very same bytes.\n"
        ));
    }
    out.push('\n');
    let met = |cell: &Cell| rows.values().any(|cells| cells.contains_key(cell));
    let columns: Vec<_> = Cell::ALL.into_iter().filter(met).collect();
    let heads: Vec<_> = columns.iter().map(ToString::to_string).collect();
    out.push_str(&format!("| case | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(columns.len())));
    for (name, cells) in rows {
        let text = |cell| cells.get(cell).cloned().unwrap_or_else(|| "-".to_owned());
        let texts: Vec<_> = columns.iter().map(text).collect();
        out.push_str(&format!("| {name} | {} |\n", texts.join(" | ")));
    }
    fs::write(path, out).with_context(|| path.display().to_string())
}
