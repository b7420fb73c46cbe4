// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl top`: which directories and files of the upper grow, as they do.

mod growth;
mod page;
mod screen;

use crate::commands::diff::place::{Place, WhichUpper};
use crate::output::exit::Exit;
use anyhow::{Context, Result};
use growth::Snapshot;
use overlayroot_diff::shown;
use overlayroot_linux::sys::statvfs::room;
use page::{Look, page};
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
    /// Seconds between updates
    #[arg(short = 'd', long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    interval: u64,
    /// Exit after N updates
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print updates one after another, as into a pipe
    #[arg(short, long)]
    batch: bool,
    /// Maximum directory depth
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
    let title = (place.upper.display().to_string(), place.file_system());
    let mut before: Option<Look> = None;
    for turn in 1_u64.. {
        let at = Instant::now();
        let snapshot = match before.as_ref() {
            None => std::mem::take(&mut first),
            Some(before) => look(Some(&before.snapshot))?,
        };
        let now = Look { at, snapshot, room: room(&place.upper.to_string_lossy()).ok() };
        let rows = screen.rows().map_or(ROWS, |rows| rows.saturating_sub(7) / 2);
        let text = page(&title, &now, before.as_ref(), rows);
        match screen.show(&text) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
            result => result.context("writing to standard output")?,
        }
        if args.count == Some(turn) {
            break;
        }
        let pause = Duration::from_secs(args.interval).max(at.elapsed() * (SHARE - 1));
        before = Some(now);
        match screen.wait(pause)? {
            Woken::ByTime => {}
            Woken::ToEnd => break,
        }
    }
    drop(screen);
    Ok(Exit::Good)
}
