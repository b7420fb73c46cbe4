// SPDX-License-Identifier: GPL-2.0-or-later
//! Has the upper's changes moved into the lower, or discarded, by a program of its own that is only in images which ask
//! for it. It removes the request last: a boot that is cut, or that had no time for all, is followed by one that goes on.

use crate::probe::fingerprint;
use crate::step::report::Report;
use crate::step::store;
use crate::sys::files::read_small;
use crate::sys::{mounts, program, writable};
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::feature::commit::{Commit, PROGRAM};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

/// Where the program says how it went.
const OUTPUT: &str = "/run/initramfs/overlayroot/commit.log";
/// It ends by itself when its time is over, but for the file that it copies just then. Ended here, it leaves what a power
/// cut leaves.
const MOST: Duration = Duration::from_secs(600);

/// Does what `overlayctl` asked for, if it did.
///
/// # Errors
/// Why nothing was done, or not all; the overlay shows the same as without.
pub(crate) fn step(asked: &Commit, report: &mut Report) -> Result<()> {
    let request = asked.store.commit();
    match fs::symlink_metadata(&request) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.with_context(|| format!("looking for {request}"))?,
    };
    ensure!(!asked.readonly, "rd.overlay.readonly is set, and {request} waits for a boot without it");
    crate::log::info!("doing what {request} asks for");
    mounts::make_dir(paths::PRIVATE)?;
    let said = match asked.closed {
        true => writable::restored(&asked.lower, || run(asked, &request, report.stale.is_some())),
        false => run(asked, &request, report.stale.is_some()),
    };
    // The program removes it before the first change, and may have ended in the middle: what was read before the change,
    // of the package database too, is of another lower.
    if fs::symlink_metadata(&asked.store.fingerprint).is_err() {
        let mounts = mounts::read()?;
        let mount = mountinfo::at(&mounts, &asked.lower).context("the lower is not mounted")?;
        let now = fingerprint::of(mount, &asked.lower);
        store::remember_anew(&asked.store.fingerprint, &now)?;
        report.fingerprint = Some(now);
    }
    report.notes.push(format!("commit: {}", said?));
    Ok(())
}

fn run(asked: &Commit, request: &str, moved: bool) -> Result<String> {
    let store = &asked.store;
    let mut words = vec!["--upper", &store.upper, "--lower", &asked.lower, "--request", request];
    words.extend(["--fingerprint", &store.fingerprint, "--result", paths::COMMITTED]);
    let flags = [("--moved", moved), ("--shared", store.subvolume.is_some()), ("--closed", asked.closed)];
    words.extend(flags.into_iter().filter_map(|(word, is)| is.then_some(word)));
    let aside = store.aside();
    let named = [("--own", asked.own.as_deref()), ("--refused", asked.refused.as_deref()), ("--trash", Some(&*aside))];
    let keep = asked.keep.iter().map(|keep| ("--keep", Some(&**keep)));
    for (word, value) in named.into_iter().chain(keep) {
        words.extend(value.iter().flat_map(|value| [word, value]));
    }
    let code = match program::run_within(PROGRAM, &words, OUTPUT, MOST) {
        Err(error) if error.chain().any(is_missing) => bail!(
            "{PROGRAM} is not in this initramfs: overlayroot_commit=\"yes\" in /etc/dracut.conf.d, then dracut --force"
        ),
        code => code?,
    };
    let said = program::last_line(&read_small(OUTPUT).with_context(|| format!("reading {OUTPUT}"))?);
    ensure!(code == 0, "{PROGRAM} ({code}): {said}");
    Ok(said)
}

fn is_missing(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}
