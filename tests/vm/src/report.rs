// SPDX-License-Identifier: GPL-2.0-or-later
//! What a run shows at its end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::cell::Cell;
use crate::engine::Engine;
use crate::host::{self, Host};
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

/// What a report is about.
#[derive(Clone, Debug)]
pub struct About {
    /// The command that made it.
    pub command: String,
    /// What of the project was run: a commit, and whether there were changes since.
    pub commit: String,
    /// The day.
    pub today: String,
    /// How much all of it is.
    pub of: String,
    /// What ran the guests.
    pub engines: String,
}

impl About {
    /// Of the repository as it is now, but for the page itself, which an earlier run may have written.
    ///
    /// # Errors
    /// Those of git.
    pub fn now(host: &Host, command: &str, of: String, page: &Path) -> Result<Self> {
        let commit = commit(host, page)?;
        let uml = host
            .uml()
            .map_or_else(|_| "no user-mode Linux".to_owned(), |uml| format!("user-mode Linux {}", uml.version));
        let engines = format!("`q`: in QEMU with the suite's own kernel; the others by {uml}.");
        Ok(Self { command: command.to_owned(), commit, today: today()?, of, engines })
    }
}

/// The commit that the repository is at, and whether something else than that file was changed since.
///
/// # Errors
/// Those of git.
pub fn commit(host: &Host, page: &Path) -> Result<String> {
    let git = |line: &str| host::shell_text(&format!("cd '{}' && git {line}", host.repo.display()));
    let others = format!("status --porcelain -- . ':(exclude){}'", page.display());
    let changed = if git(&others)?.is_empty() { "" } else { " with changes that are in no commit" };
    Ok(format!("{}{changed}", git("rev-parse --short=7 HEAD")?))
}

/// The middle of the boots that one engine made, and how many there were.
fn median(finished: &[Finished], engine: Engine) -> Option<(f32, usize)> {
    let of = finished.iter().filter(|one| one.engine == engine).flat_map(|one| &one.boots);
    let mut seconds: Vec<_> = of.map(Duration::as_secs_f32).collect();
    seconds.sort_by(f32::total_cmp);
    Some((*seconds.get(seconds.len() / 2)?, seconds.len()))
}

/// The same, and of how much of the page they are: of a result that was taken over nobody knows its boots.
fn whose_medians(finished: &[Finished]) -> String {
    match finished.iter().filter(|one| one.kept.is_some()).count() {
        0 => medians(finished),
        _ => format!("{} Of what is marked `*` it is not known.", medians(finished)),
    }
}

/// The medians in words.
#[must_use]
pub fn medians(finished: &[Finished]) -> String {
    let each = Engine::ALL.into_iter().filter_map(|engine| {
        let (seconds, count) = median(finished, engine)?;
        Some(format!("{seconds:.1} s by {engine} ({count} boots)"))
    });
    format!("A boot, from its start to its power-off, median: {}.", each.collect::<Vec<_>>().join(", "))
}

/// Writes a matrix of cases and cells as Markdown.
///
/// # Errors
/// When the file cannot be written.
pub fn write(path: &Path, finished: &[Finished], left: &[Job], about: &About) -> Result<()> {
    let mut rows: BTreeMap<&str, BTreeMap<Cell, String>> = BTreeMap::new();
    for one in finished {
        let word = if one.failure.is_some() { "FAIL" } else { "ok" };
        let earlier = if one.kept.is_some() { " *" } else { "" };
        let engine = match one.engine {
            Engine::Uml => "",
            Engine::Qemu => " q",
        };
        let text = format!("{word} {:.0} s{engine}{earlier}", one.elapsed.as_secs_f32());
        rows.entry(&one.name).or_default().insert(one.cell, text);
    }
    for job in left {
        rows.entry(&job.case.name).or_default().insert(job.cell, "not run".to_owned());
    }
    let mut out = String::from("<!-- SPDX-License-Identifier: GPL-2.0-or-later -->\n# Boot tests\n\n");
    out.push_str(&format!(
        "`{}` on {}, {}, {} processors, two guests at once: {}, of {}.\n\n\
         Seconds are of the whole case. {}\n{}\n`-`: the case has nothing to show in that cell.\n",
        about.command,
        about.commit,
        about.today,
        std::thread::available_parallelism().map_or(1, usize::from),
        summary(finished, left),
        about.of,
        about.engines,
        whose_medians(finished),
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
