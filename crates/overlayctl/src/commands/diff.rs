// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl diff`: what the upper changes of the lower.

mod json;
mod list;
mod patch;
pub mod place;

use crate::output::exit::Exit;
use crate::output::out::for_terminal;
use anyhow::{Context, Result};
use overlayroot_core::value::diagnostics::plain;
use overlayroot_diff::{Change, Options, Visitor, shown, walk};
use place::{Place, Where};
use std::io::{self, BufWriter, ErrorKind, IsTerminal, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// What `overlayctl diff` is asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file or directory of the root [default: all of it]
    path: Option<PathBuf>,
    /// One line for each directory: how many changes, how many bytes
    #[arg(long, group = "form")]
    stat: bool,
    /// Maximum directory depth of --stat
    #[arg(long, value_name = "N", default_value_t = 2, requires = "stat")]
    depth: usize,
    /// Only the paths
    #[arg(long, group = "form")]
    name_only: bool,
    /// Print JSON
    #[arg(long, group = "form")]
    pub json: bool,
    /// Show what changed in text files
    #[arg(short, long, group = "form")]
    patch: bool,
    /// End each path with a NUL and leave its bytes as they are
    #[arg(short = 'z', long, requires = "name_only")]
    null: bool,
    /// Also list files whose modification time alone differs
    #[arg(long)]
    times: bool,
    /// Also list unchanged copies (=)
    #[arg(long)]
    same: bool,
    /// List everything in removed or renamed directories
    #[arg(long)]
    expand: bool,
    /// Exit with 1 where there are differences
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    place: Where,
}

/// Shows it.
pub fn run(args: &Args) -> Result<Exit> {
    let place = Place::find(&args.place)?;
    let path = place.path(args.path.as_deref());
    let layers = place.open()?;
    let options = Options {
        stat: args.stat || args.json || args.patch,
        detail: args.json,
        same: args.same,
        times: args.times,
        expand: args.expand,
        hidden: place.hidden.clone(),
    };
    // JSON has control characters above U+007F as they are, and a terminal may obey them.
    let mut out = Out { sink: sink(), failed: None, escapes: args.json && for_terminal() };
    let mut form: Box<dyn Form + Send> = match args {
        Args { json: true, .. } => Box::new(json::Json::default()),
        Args { stat: true, .. } => Box::new(list::Summary::new(args.depth, &path)),
        Args { patch: true, .. } => Box::new(patch::Patch::new(colours(), for_terminal())),
        // Bytes as they are would be obeyed by a terminal.
        Args { name_only, null, .. } => {
            Box::new(list::Lines::new(*name_only, *null, *null && !for_terminal(), colours()))
        }
    };
    form.begin(&place, &path);
    let mut shows = Shows { form: &mut *form, out: &mut out, changes: 0, problems: 0 };
    walk(&layers, &path, &options, &mut shows).with_context(|| shown(&path).into_owned())?;
    let (changes, problems) = (shows.changes, shows.problems);
    form.end(changes, &mut out);
    if out.finish()? && problems > 0 {
        anyhow::bail!("{problems} paths could not be read");
    }
    Ok(if args.exit_code && changes > 0 { Exit::No } else { Exit::Good })
}

/// What is changed at these absolute paths of the running root and below, a line each; how many there are. `takes` is asked
/// for each path, without the `/` in front.
///
/// # Errors
/// Where a path can't be read.
pub fn list(paths: &[String], takes: impl Fn(&[u8]) -> bool + Send) -> Result<u64> {
    let place = Place::find(&Where::default())?;
    let layers = place.open()?;
    let options = Options { hidden: place.hidden.clone(), ..Options::default() };
    let mut out = Out { sink: sink(), failed: None, escapes: false };
    let mut form = Picked { lines: list::Lines::new(false, false, false, colours()), takes, picked: 0 };
    let mut problems = 0;
    for path in paths {
        let mut shows = Shows { form: &mut form, out: &mut out, changes: 0, problems: 0 };
        walk(&layers, path.as_bytes(), &options, &mut shows).with_context(|| shown(path.as_bytes()).into_owned())?;
        problems += shows.problems;
    }
    out.finish()?;
    anyhow::ensure!(problems == 0, "{problems} paths could not be read");
    Ok(form.picked)
}

/// Some of the lines.
struct Picked<F> {
    lines: list::Lines,
    takes: F,
    picked: u64,
}

impl<F: Fn(&[u8]) -> bool> Form for Picked<F> {
    fn change(&mut self, change: &Change<'_>, out: &mut Out) {
        if (self.takes)(change.path.strip_prefix(b"/").unwrap_or(change.path)) {
            self.lines.change(change, out);
            self.picked += 1;
        }
    }
}

/// Where all of it goes.
fn sink() -> Box<dyn Write + Send> {
    Box::new(BufWriter::with_capacity(1 << 16, io::stdout()))
}

/// Whether colours are wanted.
fn colours() -> bool {
    anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never && io::stdout().is_terminal()
}

/// A way to show changes.
trait Form {
    /// Before the first.
    fn begin(&mut self, _place: &Place, _path: &[u8]) {}
    /// One of them.
    fn change(&mut self, change: &Change<'_>, out: &mut Out);
    /// After the last.
    fn end(&mut self, _changes: u64, _out: &mut Out) {}
}

/// The output, until it breaks.
pub struct Out {
    sink: Box<dyn Write + Send>,
    failed: Option<io::Error>,
    escapes: bool,
}

impl Out {
    /// Writes, unless it broke before.
    pub fn put(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        self.failed = match self.escapes {
            true => self.sink.write_all(plain(&String::from_utf8_lossy(bytes)).as_bytes()).err(),
            false => self.sink.write_all(bytes).err(),
        };
    }

    /// Flushes; whether somebody read all of it. That nobody reads on, as behind `head`, is no error.
    fn finish(mut self) -> Result<bool> {
        match self.failed.take().or_else(|| self.sink.flush().err()) {
            Some(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Some(error) => Err(error).context("writing to standard output"),
            None => Ok(true),
        }
    }
}

struct Shows<'a> {
    form: &'a mut (dyn Form + Send),
    out: &'a mut Out,
    changes: u64,
    problems: u64,
}

impl Visitor for Shows<'_> {
    fn change(&mut self, change: &Change<'_>) -> ControlFlow<()> {
        self.changes += u64::from(change.kind != overlayroot_diff::Kind::Same);
        self.form.change(change, self.out);
        if self.out.failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn problem(&mut self, path: &[u8], error: io::Error) {
        self.problems += 1;
        eprintln!("overlayctl: {}: {error}", shown(path));
    }
}
