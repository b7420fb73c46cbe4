// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl top`: which directories and files of the upper grow, as they do.

mod growth;
mod screen;

use crate::diff::place::{Place, WhichUpper};
use crate::exit::Exit;
use crate::status::human;
use anyhow::{Context, Result};
use growth::{Grown, Snapshot};
use overlayroot_diff::shown;
use overlayroot_linux::room::room;
use screen::{Screen, Woken};
use std::io::{ErrorKind, IsTerminal};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Rows of each list where there is no screen to fill.
const ROWS: usize = 10;
/// The walk takes at most one part in so many of the time.
const SHARE: u32 = 4;

/// What `overlayctl top` is asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A directory of the root [default: all of it]
    path: Option<PathBuf>,
    /// Seconds between two looks
    #[arg(short = 'd', long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// End after so many looks
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// One look below the other, as where the output is no terminal
    #[arg(short, long)]
    batch: bool,
    /// Directories so far below PATH are told apart
    #[arg(long, value_name = "N", default_value_t = 4)]
    depth: usize,
    #[command(flatten)]
    place: WhichUpper,
}

/// Shows it until it is ended.
pub fn run(args: &Args) -> Result<Exit> {
    let place = Place::of_upper(&args.place)?;
    let path = place.path(args.path.as_deref());
    place.raise_file_limit();
    let look = |before: Option<&Snapshot>| {
        Snapshot::take(&place.upper, &path, args.depth, before)
            .with_context(|| format!("counting {} in {}", shown(&path), place.upper.display()))
    };
    // before the terminal is taken: what is wrong is to be read
    let mut first = look(None)?;
    let mut screen = Screen::new(!args.batch && std::io::stdout().is_terminal())?;
    let begun = Instant::now();
    let (mut before, mut then) = (None, begun);
    for turn in 1_u64.. {
        let now = Instant::now();
        let snapshot = match before.as_ref() {
            None => std::mem::take(&mut first),
            Some(before) => look(Some(before))?,
        };
        let grown = before.as_ref().map(|before| snapshot.grown(before));
        let seconds = now.duration_since(then).as_secs_f64();
        let rows = screen.rows().map_or(ROWS, |rows| rows.saturating_sub(6) / 2);
        let text = page(&place, &snapshot, grown.as_ref(), seconds, rows);
        match screen.show(&text) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            result => result.context("writing to standard output")?,
        }
        if args.count == Some(turn) {
            break;
        }
        let pause = Duration::from_secs(args.interval).max(now.elapsed() * (SHARE - 1));
        (before, then) = (Some(snapshot), now);
        match screen.wait(pause)? {
            Woken::ByTime => {}
            Woken::ToEnd => break,
        }
    }
    drop(screen);
    Ok(Exit::Good)
}

/// What is shown of one look.
fn page(place: &Place, now: &Snapshot, grown: Option<&Grown>, seconds: f64, rows: usize) -> String {
    let mut text = format!("{}: {} in {} inodes", place.upper.display(), human(now.all.bytes), now.all.inodes);
    if let Ok(room) = room(&place.upper.to_string_lossy()) {
        // What is kept back for root is no part of either: it can't be had by an overlay.
        let used = room.bytes.saturating_sub(room.free);
        let all = human(used.saturating_add(room.available));
        text.push_str(&format!("; {} of the {all} of {} free", human(room.available), place.file_system()));
    }
    let Some(grown) = grown else {
        text.push_str("\n\nlargest directories\n");
        for (bytes, path) in now.largest(rows) {
            text.push_str(&format!("{:>12}  {}\n", human(bytes), shown(&path)));
        }
        return text;
    };
    let rate = |bytes: i64| {
        let sign = if bytes < 0 { '-' } else { '+' };
        let rate = bytes.unsigned_abs() as f64 / seconds.max(0.001);
        format!("{sign}{}/s", human(rate as u64))
    };
    text.push_str(&format!(", {}\n\n{:>14} {:>12}  directories that grow\n", rate(grown.all), "rate", "size"));
    for row in grown.directories.iter().take(rows) {
        text.push_str(&format!("{:>14} {:>12}  {}\n", rate(row.growth), human(row.bytes), shown(&row.path)));
    }
    text.push_str(&format!("\n{:>14} {:>12}  files that grow\n", "rate", "size"));
    for row in grown.files.iter().take(rows) {
        text.push_str(&format!("{:>14} {:>12}  {}\n", rate(row.growth), human(row.bytes), shown(&row.path)));
    }
    text
}
