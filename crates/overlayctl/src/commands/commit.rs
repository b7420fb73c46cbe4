// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl commit`: asks the next boot to move the upper's changes into the lower.

use crate::commands::reset::reboot;
use crate::commands::{diff, stale, uppers};
use crate::output::exit::{Exit, refuse, refused};
use crate::state::kept::{self, Found, Pending};
use crate::state::request::{self, Request};
use anyhow::{Context, Result, ensure};
use overlayroot_core::feature::commit::{Asked, WRITABLE};
use overlayroot_core::layout::Store;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::record::Record;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::size::rounded;
use overlayroot_linux::commit::{Choice, Found as FoundIn, scan};
use overlayroot_linux::sys::mounts;
use overlayroot_linux::sys::statvfs::room;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What `overlayctl commit` takes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Files and directories, with all that is in them [default: all changes]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Leave paths that match this pattern (*, ?) in the upper
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Print what would be moved and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Also if the lower has changed since the upper was created
    #[arg(long)]
    force: bool,
    /// Reboot at once
    #[arg(long, conflicts_with = "dry_run")]
    now_and_reboot: bool,
    /// Show what the next boot is asked for, and the result of the last request
    #[arg(long, conflicts_with_all = ["paths", "exclude", "dry_run", "force", "now_and_reboot"])]
    status: bool,
    /// Cancel what the next boot was asked for
    #[arg(long, conflicts_with_all = ["paths", "exclude", "dry_run", "force", "now_and_reboot", "status"])]
    cancel: bool,
}

impl Args {
    /// Whether nothing is changed.
    pub fn only_tells(&self) -> bool {
        self.dry_run || self.status
    }
}

/// Asks, shows or cancels.
pub fn run(args: &Args) -> Result<Exit> {
    let (record, store) = match kept::find()? {
        Found::Upper(record, store) => (record, store),
        Found::None(why) => return refuse(&why),
    };
    if args.status {
        return status(&store);
    }
    if args.cancel {
        return cancel(&store);
    }
    let asked =
        Asked { paths: in_root(&args.paths)?, exclude: args.exclude.clone(), force: args.force, ..Asked::default() };
    if let Some(why) = in_the_way(&record, &store)? {
        return refuse(&why);
    }
    let Weighed { found, how, choice } = weighed(&record, &store, &asked)?;
    if let Some(why) = request::lacking() {
        return refuse(&why);
    }
    if args.dry_run {
        diff::list(&["/".to_owned()], |path| choice.takes(Path::new(OsStr::from_bytes(path))))?;
        println!("{} changes would be moved into the lower: {how}", found.entries);
        return Ok(Exit::Good);
    }
    request::ask(&store, &asked)?;
    println!("at the next boot: {} changes will be moved into the lower ({how})", found.entries);
    if args.now_and_reboot {
        reboot()?;
    }
    Ok(Exit::Good)
}

/// Why it can't be asked for.
fn in_the_way(record: &Record, store: &Store) -> Result<Option<String>> {
    if record.requested.reset {
        return Ok(Some("rd.overlay.reset is set: all changes are lost at the next boot".to_owned()));
    }
    let other = |words: &str, by: &str| {
        Ok(Some(format!("the next boot is asked for something else ({words}): see overlayctl {by} --cancel")))
    };
    let pending = kept::pending(store)?;
    if pending != Pending::Nothing {
        return other(&uppers::words(pending.marker()), "reset");
    }
    match request::pending(store)? {
        Some(asked @ (Request::Revert(_) | Request::Unknown(_))) => other(&asked.to_string(), "revert"),
        Some(Request::Commit(_)) | None => Ok(None),
    }
}

/// What would be moved, and how.
struct Weighed {
    found: FoundIn,
    how: String,
    choice: Choice,
}

/// Looks at both layers as the next boot will.
///
/// # Errors
/// Why that would refuse, and where they can't be looked at.
fn weighed(record: &Record, store: &Store, asked: &Asked) -> Result<Weighed> {
    let lower = kept::lower(record)?;
    let mounts = mounts::read()?;
    let fstype = mountinfo::at(&mounts, lower).map(|mount| mount.fstype.clone()).unwrap_or_default();
    if !WRITABLE.contains(&fstype.as_str()) {
        return Err(refused(format!("the lower is {fstype}, which is not written")));
    }
    if !asked.force && record.stale.is_some() && stale::holds(record) {
        let text = "the lower has changed since the upper was created, and older files would replace newer ones";
        return Err(refused(format!("{text}: see overlayctl stale, or use --force")));
    }
    let own = stale::hidden(record, lower)?;
    let choice = Choice::asked(asked, &keep(record), own.as_deref());
    let found = scan(Path::new(&store.upper), &choice).map_err(|why| refused(format!("{why:#}")))?;
    let (way, free) = (way(store, lower)?, room(lower)?.available);
    if way == Way::Copied && found.bytes + found.bytes / 20 > free {
        return Err(refused(format!("the lower has {} free, {} are needed", rounded(free), rounded(found.bytes))));
    }
    let how = match way {
        Way::Copied => format!("{} to copy, {} free in the lower", rounded(found.bytes), rounded(free)),
        Way::Shared => "copied by reference between subvolumes".to_owned(),
        Way::Renamed => "renamed in the same file system".to_owned(),
    };
    Ok(Weighed { found, how, choice })
}

/// What the next boot is asked for, and why it would refuse it, where that is known.
///
/// # Errors
/// Where the layers can't be looked at.
pub fn outlook() -> Result<Option<(String, Option<String>)>> {
    let Some((record, store)) = kept::find()?.upper() else { return Ok(None) };
    let Some(asked) = request::pending(&store)? else { return Ok(None) };
    let why = match &asked {
        Request::Unknown(_) => Some("it will be refused".to_owned()),
        Request::Revert(_) => request::lacking(),
        Request::Commit(asked) => {
            weighed(&record, &store, asked).err().map(|error| format!("{error:#}")).or_else(request::lacking)
        }
    };
    Ok(Some((asked.to_string(), why)))
}

/// What each boot puts into the upper by itself.
fn keep(record: &Record) -> Vec<String> {
    let paths = record.effective.paths.iter().map(|state| state.path.clone());
    paths.chain(record.effective.hostname.as_ref().map(|_| "/etc/hostname".to_owned())).collect()
}

/// How files get from the one layer to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Renamed,
    Shared,
    Copied,
}

fn way(store: &Store, lower: &str) -> Result<Way> {
    if store.subvolume.is_some() {
        return Ok(Way::Shared);
    }
    let device = |path: &str| fs::metadata(path).map(|metadata| metadata.dev()).with_context(|| path.to_owned());
    Ok(if device(&store.upper)? == device(lower)? { Way::Renamed } else { Way::Copied })
}

/// Absolute, without `.` and `..`; links are not followed, for they may be what is asked for. Nothing for the root.
///
/// # Errors
/// Where one has `..`, or is not UTF-8.
pub fn in_root(paths: &[PathBuf]) -> Result<Vec<String>> {
    let plain = |path: &PathBuf| {
        let whole = std::path::absolute(path).with_context(|| path.display().to_string())?;
        let text = whole.to_str().with_context(|| format!("{} is not UTF-8", whole.display()))?;
        ensure!(!text.split('/').any(|part| part == ".."), "{}: without .. please", escape(text));
        Ok(text.trim_end_matches('/').to_owned())
    };
    let all: Vec<String> = paths.iter().map(plain).collect::<Result<_>>()?;
    // The root is everything.
    Ok(if all.iter().any(String::is_empty) { Vec::new() } else { all })
}

/// What the next boot is asked for, and what became of the last request.
fn status(store: &Store) -> Result<Exit> {
    let pending = request::pending(store)?.map(|asked| asked.to_string());
    println!("at the next boot: {}", pending.as_deref().unwrap_or("nothing is asked for"));
    let Some(done) = request::result() else {
        println!("at this boot: nothing was asked for");
        return Ok(Exit::Good);
    };
    println!("at this boot: {done} ({} ms)", done.took_ms);
    for stays in &done.stays {
        println!("{}: {}", escape(&stays.path), escape(&stays.why));
    }
    Ok(Exit::Good)
}

/// Takes back what the next boot was asked for.
///
/// # Errors
/// Those of the file system.
pub fn cancel(store: &Store) -> Result<Exit> {
    println!(
        "{}",
        if request::cancel(store)? { "cancelled; what is in the upper stays there" } else { "nothing to cancel" }
    );
    Ok(Exit::Good)
}
