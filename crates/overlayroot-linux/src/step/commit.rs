// SPDX-License-Identifier: GPL-2.0-or-later
//! Has the upper's changes moved into the lower, by a program of its own that is only in images which ask for it. The
//! request goes last: a boot that is cut, or that had no time for all, is followed by one that goes on.

use crate::probe::fingerprint;
use crate::step::report::Report;
use crate::step::store;
use crate::sys::files::{read_small, remove};
use crate::sys::sync::sync_parent;
use crate::sys::{mounts, program};
use anyhow::{Context, Result, bail};
use overlayroot_core::feature::commit::{Commit, Committed, PROGRAM, SECONDS, State};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use rustix::mount::MountFlags;
use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

/// Where the program says how it went.
const OUTPUT: &str = "/run/initramfs/overlayroot/commit.log";
/// It ends by itself when its time is over, but for the file that it copies just then. Ended here, it leaves what a power
/// cut leaves.
const MOST: Duration = Duration::from_secs(600);

/// Does what `overlayctl commit` asked for, if it did.
///
/// # Errors
/// Why nothing was moved, or not all; the overlay shows the same as without.
pub(crate) fn step(asked: &Commit, report: &mut Report) -> Result<()> {
    let request = asked.store.commit();
    match fs::symlink_metadata(&request) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        found => found.with_context(|| format!("looking for {request}"))?,
    };
    let started = Instant::now();
    let failed = |why: String| Committed { state: State::Failed, why: Some(why), ..Committed::default() };
    let mut found = moved(asked, &request, report).unwrap_or_else(|error| failed(format!("{error:#}")));
    found.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (state, text) = (found.state, found.to_string());
    report.commit = Some(found);
    if state == State::Done {
        remove(&request)?;
        sync_parent(&request)?;
    }
    match state {
        State::Done | State::Partial => {
            crate::log::info!("commit: {text}");
            report.notes.push(format!("commit: {text}"));
            Ok(())
        }
        State::Refused | State::Failed => bail!("{text}"),
    }
}

fn refused(why: impl Into<String>) -> Committed {
    Committed { state: State::Refused, why: Some(why.into()), ..Committed::default() }
}

fn moved(asked: &Commit, request: &str, report: &mut Report) -> Result<Committed> {
    if let Some(why) = &asked.refused {
        return Ok(refused(why));
    }
    crate::log::info!("moving the upper's changes into the lower, as overlayctl commit asked for");
    mounts::make_dir(paths::PRIVATE)?;
    let found = match asked.closed {
        true => opened(&asked.lower, || run(asked, request, report)),
        false => run(asked, request, report),
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
    found
}

/// With the lower writable for as long as `inside` takes.
fn opened<T>(at: &str, inside: impl FnOnce() -> Result<T>) -> Result<T> {
    let mounts = mounts::read()?;
    let closed = mountinfo::at(&mounts, at).with_context(|| format!("{at} is not a mount point"))?.super_read_only();
    let flags = mounts::flags(at)?;
    if closed {
        mounts::remount_super(at, false)?;
    }
    let done = mounts::set_flags(at, flags - MountFlags::RDONLY).and_then(|()| inside());
    mounts::set_flags(at, flags)?;
    if closed {
        mounts::remount_super(at, true)?;
    }
    done
}

fn run(asked: &Commit, request: &str, report: &Report) -> Result<Committed> {
    let (store, seconds) = (&asked.store, SECONDS.to_string());
    let mut words = vec!["--upper", &store.upper, "--lower", &asked.lower, "--request", request];
    words.extend(["--fingerprint", &store.fingerprint, "--seconds", &seconds]);
    if report.stale.is_some() {
        words.push("--moved");
    }
    if store.subvolume.is_some() {
        words.push("--shared");
    }
    words.extend(asked.own.iter().flat_map(|own| ["--own", own]));
    words.extend(asked.keep.iter().flat_map(|keep| ["--keep", keep]));
    match program::run_within(PROGRAM, &words, OUTPUT, MOST) {
        Err(error) if error.chain().any(is_missing) => {
            return Ok(refused(format!(
                "{PROGRAM} is not in this initramfs: overlayroot_commit=\"yes\" in /etc/dracut.conf.d, then dracut --force"
            )));
        }
        code => code?,
    };
    let said = read_small(OUTPUT).with_context(|| format!("reading {OUTPUT}"))?;
    let said = String::from_utf8_lossy(&said);
    Committed::read(&said).with_context(|| format!("{PROGRAM}: {}", program::last_line(said.as_bytes())))
}

fn is_missing(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
}
