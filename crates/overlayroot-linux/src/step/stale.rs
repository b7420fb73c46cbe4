// SPDX-License-Identifier: GPL-2.0-or-later
//! Compares the fingerprint stored with an upper with the lower's, and does what the policy says.

use crate::step::report::Report;
use crate::step::reset::{self, Became};
use crate::step::shadow::{self, Limits};
use crate::step::store;
use crate::sys::files::{read_small, remove};
use crate::sys::newfile;
use crate::sys::sync::sync_parent;
use anyhow::{Context, Result};
use overlayroot_core::facts::Fingerprint;
use overlayroot_core::feature::stale::{self, Action, Compare, Policy, Shadows, Stale};
use overlayroot_core::layout::Store;
use overlayroot_core::layout::pending::Marker;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

/// What a boot pays at most for the list of hidden paths.
const BOOT_ENTRIES: u64 = 20_000;
const BOOT_TIME: Duration = Duration::from_secs(2);
/// Paths in the record.
const BOOT_LISTED: usize = 100;

/// A fingerprint beside an upper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// None is there, or an empty file, which a power cut leaves.
    None,
    /// Something that can't be read or understood.
    Unclear(String),
    /// It is there; `taken` is filled in from the file's own time where it does not tell.
    Is(Fingerprint),
}

/// Reads the fingerprint at `path`.
pub fn stored(path: &str) -> Stored {
    let text = match read_small(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Stored::None,
        Err(error) => return Stored::Unclear(format!("{path} can't be read ({error})")),
        Ok(text) if text.iter().all(u8::is_ascii_whitespace) => return Stored::None,
        Ok(text) => text,
    };
    let Some(mut found) = stale::parse(&String::from_utf8_lossy(&text)) else {
        return Stored::Unclear(format!("{path} is not valid"));
    };
    if found.taken == 0 {
        found.taken = fs::symlink_metadata(path).map_or(0, |metadata| metadata.mtime());
    }
    Stored::Is(found)
}

/// Compares, acts, and reports.
pub(crate) fn step(asked: &Compare, report: &mut Report) -> Result<()> {
    let (found, became) = apply(asked, report.restored)?;
    report.stale = found;
    report.keep(became)
}

/// Compares and acts. `restored`: this boot has just brought the upper back because somebody asked for it.
///
/// # Errors
/// Where an upper that was to be put aside can't be: it must not be used then.
pub fn apply(asked: &Compare, restored: bool) -> Result<(Option<Stale>, Became)> {
    let path = &asked.store.fingerprint;
    let was = match stored(path) {
        Stored::None => return Ok((None, Became::default())),
        Stored::Unclear(why) => {
            let note = Some(format!("{why}: it is unknown whether the upper matches this lower"));
            return Ok((None, Became { note, ..Became::default() }));
        }
        Stored::Is(was) => was,
    };
    let differs = stale::differences(&was, &asked.now);
    if differs.is_empty() {
        return Ok((None, Became::default()));
    }
    if !asked.readonly && is_empty(&asked.store.upper) {
        // Nothing is in it, so it is of no lower; the next step remembers this one.
        remove(path)?;
        return Ok((None, Became::default()));
    }
    let mut found = Stale {
        action: Action::default(),
        differs: differs.iter().map(|name| (*name).to_owned()).collect(),
        shadows: if asked.policy == Policy::Keep { Shadows::default() } else { shadows(asked, was.taken) },
        was,
    };
    if asked.policy != Policy::Keep {
        crate::log::warning!("{found}");
    }
    let (action, became) = act(asked, restored)?;
    found.action = action;
    Ok((Some(found), became))
}

fn act(asked: &Compare, restored: bool) -> Result<(Action, Became)> {
    let store = &asked.store;
    let noted = |note: &str| Became { note: Some(note.to_owned()), ..Became::default() };
    let aside = matches!(asked.policy, Policy::Park | Policy::Reset);
    if aside && asked.readonly {
        return Ok((Action::Warned, noted("stale upper: rd.overlay.stale waits, nothing may be written")));
    }
    if aside && restored {
        // Who asked for it by hand would else have lost it at the same boot, or at the next.
        store::remember_anew(&store.fingerprint, &asked.now)?;
        return Ok((Action::Accepted, noted("stale upper: restored by hand, so it is accepted for this lower")));
    }
    match asked.policy {
        Policy::Keep => Ok((Action::Kept, Became::default())),
        Policy::Warn => Ok((Action::Warned, Became::default())),
        Policy::Park => Ok((Action::Parked, said(park(store)?))),
        Policy::Reset => {
            let became = said(reset::every_boot(store)?);
            let text = "stale upper: the old upper is in the trash";
            let note = became.note.map_or_else(|| text.to_owned(), |more| format!("{text}; {more}"));
            Ok((Action::Reset, Became { note: Some(note), ..became }))
        }
    }
}

/// As `overlayctl reset --keep`, and by the same marker: after a cut half way, the fingerprint that told has
/// moved already, and the marker is what makes the next boot go on.
fn park(store: &Store) -> Result<Became> {
    newfile::write_durable(&store.marker, &Marker::Keep.to_string()).context("putting a stale upper aside")?;
    let became = reset::once(store, false, false)?;
    sync_parent(store.whole())?;
    Ok(Became { note: became.note.map(|note| note.replacen("reset once", "stale upper", 1)), ..became })
}

fn said(became: Became) -> Became {
    if let Some(note) = &became.note {
        crate::log::warning!("{note}");
    }
    became
}

fn shadows(asked: &Compare, since: i64) -> Shadows {
    let until = Some(Instant::now() + BOOT_TIME);
    let limits = Limits { entries: BOOT_ENTRIES, until, listed: BOOT_LISTED };
    shadow::find(&asked.store.upper, &asked.lower, since, asked.hidden.as_deref(), limits)
}

fn is_empty(upper: &str) -> bool {
    match fs::read_dir(upper) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) => error.kind() == ErrorKind::NotFound,
    }
}

#[cfg(test)]
mod tests;
