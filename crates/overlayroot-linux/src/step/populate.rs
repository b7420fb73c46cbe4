// SPDX-License-Identifier: GPL-2.0-or-later
//! Has a new upper populated, by a program of its own that is only in images which ask for it. What an upper began
//! with is kept as an attribute of its directory: it comes into being in the same rename as the content, and goes
//! with it when the upper is kept, restored or thrown away.

use crate::step::report::Report;
use crate::sys::{files, mounts, program};
use anyhow::{Context, Result, bail};
use overlayroot_core::feature::populate::{Marker, PROGRAM, Populate};
use overlayroot_core::feature::populated::{Populated, State};
use overlayroot_core::layout::paths;
use std::fs;
use std::io::ErrorKind;

/// Where the program says how it went.
const OUTPUT: &str = "/run/initramfs/overlayroot/populate.log";

/// What the upper began with; `None` where it was never populated.
pub fn marker(upper: &str) -> Option<Marker> {
    let mut value = vec![0_u8; 4096];
    let len = rustix::fs::lgetxattr(upper, Marker::NAME, &mut value).ok()?;
    Some(Marker::parse(&String::from_utf8_lossy(value.get(..len).unwrap_or_default())))
}

/// Populates the upper if it is new, else tells what it is.
///
/// # Errors
/// Where a new upper can't be populated; there is nothing in it then.
pub(crate) fn step(asked: &Populate, report: &mut Report) -> Result<()> {
    let mut found = Populated { source: asked.told.clone(), ..Populated::default() };
    let upper = &asked.store.upper;
    if let Some(was) = marker(upper) {
        let same = asked.is_from(&was);
        found.state = if same { State::Kept } else { State::Changed };
        found.was = (!same).then_some(was.source);
        found.sha256 = Some(was.sha256).filter(|sum| !sum.is_empty());
    } else if asked.readonly {
        found.state = State::Waits;
    } else if !is_empty(upper)? {
        found.state = State::Used;
    } else {
        let done = fill(asked, &mut found, report);
        report.populate = Some(found);
        return done;
    }
    if matches!(found.state, State::Changed | State::Used) {
        crate::log::warning!("{upper} is left as it is: it was not made from {}", found.source);
    }
    report.populate = Some(found);
    Ok(())
}

fn is_empty(upper: &str) -> Result<bool> {
    match fs::read_dir(upper) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error).with_context(|| format!("reading {upper}")),
    }
}

fn fill(asked: &Populate, found: &mut Populated, report: &mut Report) -> Result<()> {
    found.state = State::Failed;
    if let Some(why) = &asked.unready {
        found.why = Some("unready".to_owned());
        bail!("{}: {why}", asked.told);
    }
    crate::log::info!("populating the upper from {}", asked.told);
    mounts::make_dir(paths::PRIVATE)?;
    let scratch = asked.store.marker.rsplit_once('/').map_or("/", |(directory, _)| directory);
    mounts::make_dir(scratch)?;
    let code = program::run(PROGRAM, &arguments(asked, scratch), OUTPUT)?;
    let said = program::last_line(&files::tail(OUTPUT));
    if code != 0 {
        // "word: text"; a program that was killed says nothing.
        let word = said.split_once(": ").map(|(word, _)| word).filter(|word| WORDS.contains(word));
        found.why = Some(word.unwrap_or("io").to_owned());
        bail!("{}: {}", asked.told, if said.is_empty() { format!("{PROGRAM} ended with {code}") } else { said });
    }
    found.state = State::Done;
    found.sha256 = marker(&asked.store.upper).map(|marker| marker.sha256);
    // What can't be kept, such as an attribute that the file system has no place for, it says in words.
    report.notes.extend(Some(said).filter(|said| !said.is_empty()));
    Ok(())
}

/// What the program's last line begins with where it fails.
const WORDS: [&str; 5] = ["fetch", "sha256", "archive", "no-room", "io"];

fn arguments<'a>(asked: &'a Populate, scratch: &'a str) -> Vec<&'a str> {
    let store = &asked.store;
    let mut words = vec!["--upper", &store.upper, "--work", &store.work, "--scratch", scratch, "--lower", &asked.lower];
    words.extend(["--told", &asked.told]);
    if let Some(sum) = &asked.sha256 {
        words.extend(["--sha256", sum]);
    }
    if let Some(proxy) = &asked.proxy {
        words.extend(["--proxy", proxy]);
    }
    if asked.devices {
        words.push("--devices");
    }
    words.push(&asked.source);
    words
}
