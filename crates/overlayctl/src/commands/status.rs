// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl status`: a table for eyes, JSON for machines, an exit code for monitoring.

use crate::commands::{pull, resize, shell, stale, uppers};
use crate::output::exit::Exit;
use crate::output::format::date;
use crate::output::out::fold;
use crate::output::progress::cells;
use crate::state::fill::{alone, named};
use crate::state::kept::{self, Pending};
use crate::state::live::{self, Fill, Level, Live};
use crate::state::next::{self, Query};
use crate::state::{request, thaw, tries};
use anstyle::{AnsiColor, Style};
use anyhow::Result;
use overlayroot_core::config::Config;
use overlayroot_core::feature::commit::Committed;
use overlayroot_core::feature::pulled::{self, Pulled};
use overlayroot_core::feature::thaw::{Asked, Thawed};
use overlayroot_core::layout::paths;
use overlayroot_core::record::Record;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::size::rounded;
use overlayroot_host::next::{NextBoot, Told};
use overlayroot_host::resize::Resized;
use overlayroot_host::servicing::Serviced;
use overlayroot_host::watch::levels::{Resource, Space};
use overlayroot_linux::source::{self, recordfile};
use serde::Serialize;

#[derive(Serialize)]
struct Status<'a> {
    level: Level,
    problems: Vec<&'a str>,
    #[serde(flatten)]
    record: Option<&'a Record>,
    live: &'a Live,
    commit: Option<Committed>,
    pull: Option<&'a Pulled>,
    resized: Option<Resized>,
    serviced: Option<&'a Serviced>,
    thaw: Option<Asked>,
    thawed: Option<Thawed>,
    next_boot: Told,
}

/// Whether this boot's command line or the host's configuration files ask for an overlay.
pub fn asked_for() -> bool {
    let config = Config::read(&source::read(Some("/")));
    config.asks_for_overlay()
}

/// Shows the status.
pub fn run(json: bool) -> Result<Exit> {
    let mut record = recordfile::read(paths::RECORD)?;
    if let Some(record) = record.as_mut().filter(|record| record.stale.is_some() && !stale::holds(record)) {
        record.stale = None;
        record.notes.push("the upper was stale at boot and has been accepted".to_owned());
    }
    let mut live = live::read(record.as_ref())?;
    live.count_own(record.as_ref());
    let mut problems = live::problems(record.as_ref(), asked_for(), &live);
    let pulled = pull::state::read()?;
    if pulled.as_ref().is_some_and(|pulled| pulled.outcome == pulled::Outcome::Failed) {
        problems.push((Level::Warning, "pulling the configuration failed; see the row pull".to_owned()));
    }
    let serviced = shell::state();
    problems.extend(serviced.as_ref().map(|state| (Level::Warning, of_shell(state, shell::is_open()))));
    let thawed = thaw::result();
    // Until this boot's own is at its end it is told as one that was not.
    let over = thawed.as_ref().filter(|last| !last.is_good() && thaw::this_boot().is_none());
    problems.extend(over.map(|last| (Level::Warning, of_thaw(last))));
    let next = next::find(&Query { lightly: true, ..Query::HERE }).boot;
    let level = problems.iter().map(|(level, _)| *level).max().unwrap_or(Level::Ok);
    if json {
        let status = Status {
            level,
            problems: problems.iter().map(|(_, text)| text.as_str()).collect(),
            record: record.as_ref(),
            live: &live,
            commit: request::result(),
            pull: pulled.as_ref(),
            resized: resize::resized(),
            serviced: serviced.as_ref(),
            thaw: thaw::pending().ok().flatten(),
            thawed,
            next_boot: next.told(),
        };
        crate::output::out::json(&status)?;
    } else {
        let pull = pull::row(record.as_ref(), pulled.as_ref(), live.root_fstype == "overlay");
        let shown = Shown { live: &live, pull: pull.as_deref(), next: &next };
        show(record.as_ref(), &shown, &problems, level);
    }
    Ok(level.exit())
}

/// What became of the last thawed boot.
fn of_thaw(last: &Thawed) -> String {
    format!("the last thawed boot ({}): {last}", date(last.at))
}

/// What a shell in the lower left to be said.
fn of_shell(state: &Serviced, open: bool) -> String {
    let at = date(state.ended.unwrap_or(state.started));
    // Who only looks holds the lock, too.
    match (open && state.ended.is_none(), state.restored) {
        (true, _) => "the lower is open in overlayctl shell".to_owned(),
        (false, true) => format!("the lower was modified ({at}); reboot required"),
        (false, false) => {
            format!("the lower was modified ({at}), and its file system is still writable; reboot required")
        }
    }
}

fn style(level: Level) -> Style {
    let color = match level {
        Level::Ok => AnsiColor::Green,
        Level::Warning => AnsiColor::Yellow,
        Level::Critical => AnsiColor::Red,
        Level::Unknown => AnsiColor::Cyan,
    };
    color.on_default().bold()
}

/// Who made the overlay.
fn by(word: &str) -> String {
    match word {
        "unit" => "overlayroot-rs.service".to_owned(),
        "hook" => "the hook of dracut's module".to_owned(),
        other => escape(other),
    }
}

/// What is shown besides the record.
struct Shown<'a> {
    live: &'a Live,
    pull: Option<&'a str>,
    next: &'a NextBoot,
}

fn show(record: Option<&Record>, shown_of: &Shown<'_>, problems: &[(Level, String)], level: Level) {
    let Shown { live, pull, next } = shown_of;
    let (style, plain) = (style(level), Style::new());
    let word = record.map_or("no record", |record| record.outcome.word());
    println!("{style}● overlay root: {word}{plain:#}{style:#}");
    if let Some(record) = record {
        recorded(record);
    }
    layers(live);
    if let Some(resized) = resize::resized() {
        row("resized", &resized.to_string());
    }
    if let Some(pull) = pull {
        row("pull", pull);
    }
    row("next boot", &next.says());
    let store = record.and_then(|record| record.effective.store.as_ref());
    let pending = store.map_or(Pending::Nothing, |store| kept::pending(store).unwrap_or(Pending::Nothing));
    if pending != Pending::Nothing {
        row("", &uppers::words(pending.marker()));
    }
    if let Some(Ok(Some(boots))) = store.map(tries::read) {
        row("", &format!("the next boot {}", boots.words()));
    }
    if let Some(Ok(Some(asked))) = store.map(request::pending) {
        row("", &asked.to_string());
    }
    if let Ok(Some(asked)) = thaw::pending() {
        row("", &thaw::words(&asked, next));
    }
    if let Some(last) = thaw::result().filter(Thawed::is_good) {
        row("", &of_thaw(&last));
    }
    if let Some(record) = record {
        row("boot", &format!("set up in {} ms by {}", record.took_us / 1000, by(&record.by)));
        for note in &record.notes {
            row("note", note);
        }
    }
    for (level, text) in problems {
        let style = self::style(*level);
        let word = format!("{level:?}").to_lowercase();
        println!("{style}{word:>10}{style:#}  {}", fold(12, text));
    }
    for line in record.iter().flat_map(|record| &record.reasons).flat_map(|reason| &reason.kernel) {
        row("kernel", line);
    }
}

/// What was asked for, and what the boot made of it.
fn recorded(record: &Record) {
    row("asked for", &format!("{}  [{}]", escape(&record.requested.spec), record.requested.origin));
    row("running", &record.effective.to_string());
    row("", &record.effective.changes());
    if let Some(name) = &record.effective.hostname {
        row("hostname", name);
    }
    for path in &record.effective.paths {
        row("path", &path.to_string());
    }
    if let Some(populate) = &record.populate {
        row("populated", &populate.to_string());
    }
    if let Some(commit) = request::result() {
        row("commit", &commit.to_string());
    }
    if let Some(image) = &record.image {
        row("image", &image.to_string());
    }
    row("policy", &format!("fallback {}, timeout {} s", record.requested.fallback, record.requested.timeout));
}

/// What the kernel says of the root, its lower and its upper.
fn layers(live: &Live) {
    let mode = if live.root_writable { "writable" } else { "read-only" };
    row("root", &format!("{} {} on /, {mode}", live.root_fstype, live.root_source));
    if let Some(lower) = &live.lower {
        let mode = match (&live.lower_shared_with, live.lower_read_only) {
            (_, false) if live.lower_holds_upper => "read-only view of the file system that holds the upper".to_owned(),
            (Some(other), false) => format!("read-only mount of a file system that {other} writes to"),
            (_, true) => "read-only".to_owned(),
            (None, false) => "WRITABLE".to_owned(),
        };
        row("lower", &format!("{lower}, {mode}"));
    }
    if let Some(fill) = &live.upper {
        row("upper", &format!("{} {} on {}", fill.fstype, fill.source, fill.at));
        row("", &bar(fill));
        if !alone(&fill.reading, &fill.fstype) {
            row("", &own(fill));
        }
    }
}

fn row(name: &str, text: &str) {
    println!("{name:>10}  {}", fold(12, text));
}

/// The share is of what it stands beside: what is kept back for root is no part of either.
fn bar(fill: &Fill) -> String {
    let of = |space: Space| format!("{} of {}", rounded(space.used), rounded(space.all()));
    let room = match fill.bytes {
        0 => format!("{}, no limit", rounded(fill.used)),
        _ => of(fill.reading.space()),
    };
    let bar = format!("{} {} %", cells(fill.percent), fill.percent);
    match fill.scarcest {
        Resource::Bytes => format!("{bar}  {room}"),
        Resource::Inodes => format!("{bar}  inodes: {} of {}; bytes: {room}", fill.inodes_used, fill.inodes),
        Resource::Memory => format!("{bar}  memory, which is scarcer than its {room}"),
        Resource::Filesystem => {
            let outer = fill.filesystem.unwrap_or_default();
            format!("{bar}  file system: {}; the upper's size: {room}", of(outer))
        }
    }
}

/// Whose the bytes of a file system are.
fn own(fill: &Fill) -> String {
    let name = named(&fill.fstype, &fill.source);
    match fill.own {
        Some(own) => {
            let least = if own.whole { "" } else { "at least " };
            let (bytes, inodes) = (rounded(own.bytes), own.inodes);
            format!("of the file system {name}; the upper's own files: {least}{bytes} in {inodes} inodes")
        }
        None => format!("of the file system {name}, including other files; run as root to see the upper's own"),
    }
}

#[cfg(test)]
mod tests;
