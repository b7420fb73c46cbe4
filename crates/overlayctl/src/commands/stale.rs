// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl stale`: whether the upper matches the current lower, and what it hides that has changed since.

use crate::output::exit::{Exit, refuse};
use crate::output::format::date;
use crate::state::kept::{self, Found, places};
use anyhow::{Context, Result};
use clap::Subcommand;
use overlayroot_core::facts::Fingerprint;
use overlayroot_core::feature::stale::{Kind, differences};
use overlayroot_core::parse::mountinfo;
use overlayroot_core::record::Record;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_linux::step::shadow::{self, Limits};
use overlayroot_linux::step::stale::{Stored, stored};
use overlayroot_linux::step::store::remember_anew;
use overlayroot_linux::sys::mounts;
use serde_json::json;

/// The verbs of `overlayctl stale`.
#[derive(Debug, Subcommand)]
pub enum OfStale {
    /// Accept the current lower: no more warning
    Accept,
}

const ALL: Limits = Limits { entries: u64::MAX, until: None, listed: usize::MAX };

/// Shows it for the upper in use, or for a kept one.
pub fn run(name: Option<&str>, as_json: bool) -> Result<Exit> {
    let (record, store) = match kept::find()? {
        Found::Upper(record, store) => (record, store),
        Found::None(why) => return refuse(&why),
    };
    let Some((upper, path)) = places(&store, name) else {
        return refuse(&format!("{} is not a kept upper, see overlayctl uppers", escape(name.unwrap_or_default())));
    };
    let (now, lower) = match lower(&record) {
        Ok(found) => found,
        Err(why) => return refuse(why),
    };
    kept::is_mounted(lower)?;
    let was = match stored(&path) {
        Stored::Is(was) => was,
        Stored::None => {
            return refuse(&format!("{path} does not exist: the lower of the upper is unknown"));
        }
        Stored::Unclear(why) => return refuse(&format!("{why}; overlayctl stale accept replaces it")),
    };
    let differs = differences(&was, now);
    let hidden = hidden(&record, lower)?;
    let shadows = shadow::find(&upper, lower, was.taken, hidden.as_deref(), ALL);
    if as_json {
        let value =
            json!({ "stale": !differs.is_empty(), "differs": differs, "was": was, "now": now, "shadows": shadows });
        crate::output::out::json(&value)?;
    } else {
        show(&was, now, &differs);
        for shadow in &shadows.paths {
            let kind = match shadow.kind {
                Kind::File => "file",
                Kind::Directory => "directory",
                Kind::Removed => "removed",
            };
            println!("{kind:<10} {}", shadow.path.escape_debug());
        }
        let since = date(u64::try_from(was.taken).unwrap_or(0));
        println!("{} changed files of the lower are hidden by the upper (since {since})", shadows.count);
    }
    Ok(if differs.is_empty() { Exit::Good } else { Exit::No })
}

/// Takes the lower of this boot for the one that the upper belongs to.
pub fn accept() -> Result<Exit> {
    let (record, store) = match kept::find()? {
        Found::Upper(record, store) => (record, store),
        Found::None(why) => return refuse(&why),
    };
    let now = match lower(&record) {
        Ok((now, _)) => now,
        Err(why) => return refuse(why),
    };
    if matches!(stored(&store.fingerprint), Stored::Is(was) if differences(&was, now).is_empty()) {
        println!("nothing to accept: the upper matches the current lower");
        return Ok(Exit::Good);
    }
    remember_anew(&store.fingerprint, now).context("accepting this lower")?;
    println!("accepted; you will be warned if the lower changes again");
    Ok(Exit::Good)
}

/// Whether what the boot said still holds: somebody may have accepted it since.
pub fn holds(record: &Record) -> bool {
    let stored = record.effective.store.as_ref().map(|store| stored(&store.fingerprint));
    match (stored, &record.fingerprint) {
        (Some(Stored::Is(was)), Some(now)) => !differences(&was, now).is_empty(),
        // Only root may read it everywhere.
        _ => true,
    }
}

/// The path of the upper itself in the root, which a whiteout of ours hides.
pub fn hidden(record: &Record, lower: &str) -> Result<Option<String>> {
    let mounts = mounts::read()?;
    let lower = mountinfo::at(&mounts, lower).map(|mount| mount.root.as_str());
    Ok(record.effective.hidden_path(lower))
}

/// The lower as the boot saw it, and where it is.
fn lower(record: &Record) -> Result<(&Fingerprint, &str), &'static str> {
    match (&record.fingerprint, record.effective.lowers.last()) {
        (Some(now), Some(at)) => Ok((now, at)),
        _ => Err("this boot's record has no fingerprint: the initramfs is older; rebuild it"),
    }
}

fn show(was: &Fingerprint, now: &Fingerprint, differs: &[&str]) {
    if differs.is_empty() {
        println!("the upper matches the current lower");
        return;
    }
    println!("STALE: the upper does not match the current lower");
    let time = |seconds: i64| date(u64::try_from(seconds).unwrap_or(0));
    for name in differs {
        let (was, now) = match *name {
            "uuid" => (was.uuid.clone(), now.uuid.clone()),
            "fstype" => (was.fstype.clone(), now.fstype.clone()),
            "os" => (was.os.clone(), now.os.clone()),
            _ => (time(was.packages), time(now.packages)),
        };
        println!("{name:<10} {}, was {}", escape(&now), escape(&was));
    }
}
