// SPDX-License-Identifier: GPL-2.0-or-later
//! What a run shows at its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cell::Cell;
use crate::host;
use crate::runner::Finished;

/// The line alone at the end.
#[must_use]
pub fn summary(finished: &[Finished]) -> String {
    let failed = finished.iter().filter(|f| f.failure.is_some()).count();
    format!("{} passed, {failed} failed", finished.len() - failed)
}

/// Writes a matrix of cases and cells as Markdown.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, finished: &[Finished]) -> Result<()> {
    let mut rows: BTreeMap<&str, BTreeMap<Cell, String>> = BTreeMap::new();
    for one in finished {
        let word = if one.failure.is_some() { "FAIL" } else { "ok" };
        let text = format!("{word} {:.0} s", one.elapsed.as_secs_f32());
        rows.entry(&one.name).or_default().insert(one.cell, text);
    }
    let day = String::from_utf8_lossy(&host::run(Command::new("date").args(["-u", "+%Y-%m-%d"]))?).trim().to_owned();
    let mut out = String::from("<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n# Boot tests\n\n");
    out.push_str(&format!("{day}: {}. Seconds are of the whole case, software emulation.\n\n", summary(finished)));
    let heads = Cell::ALL.map(|cell| cell.to_string()).join(" | ");
    out.push_str(&format!("| case | {heads} |\n|---|{}\n", "---|".repeat(Cell::ALL.len())));
    for (name, cells) in rows {
        let texts = Cell::ALL.map(|cell| cells.get(&cell).cloned().unwrap_or_else(|| "-".to_owned()));
        out.push_str(&format!("| {name} | {} |\n", texts.join(" | ")));
    }
    fs::write(path, out).with_context(|| path.display().to_string())
}
