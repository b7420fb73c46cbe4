// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl pull`: fetches the repository of `rd.overlay.git`, checks who signed it, runs its `overlayroot.d`.

mod place;
mod repository;
mod scripts;
pub mod state;

use crate::output::exit::Exit;
use crate::state::asked::{self, Found};
use anyhow::{Result, ensure};
use overlayroot_core::feature::pulled::{Pulled, Ran, SCRIPTS};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::record::{Outcome, Record};
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::redact;
use overlayroot_host::pull::{to_run, wait};
use overlayroot_linux::log::{self, Level};
use overlayroot_linux::source::recordfile;
use overlayroot_linux::sys::mounts;
use repository::{Fetched, Repository, Trouble};
use scripts::Surroundings;
use state::State;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Why a pull ends here.
#[derive(Debug)]
pub struct Failure {
    code: &'static str,
    text: String,
}

impl Failure {
    fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    fn place(error: &anyhow::Error) -> Self {
        Self::new("place", format!("{error:#}"))
    }
}

/// Pulls, and goes on trying to fetch for `timeout` seconds; what git does then may take `grace` seconds more. On a
/// root without an overlay only where `plain_root`.
pub fn run(timeout: u64, grace: u64, plain_root: bool) -> Result<Exit> {
    log::start(Level::INFO, false);
    let is_root = std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0);
    ensure!(is_root, "only root can pull: scripts run as root");
    let record = recordfile::read(paths::RECORD)?;
    let found = asked::find(record.as_ref());
    if let Ok(None) = found {
        eprintln!("overlayctl: no repository is configured; see rd.overlay.git in overlayroot-rs(7)");
        return Ok(Exit::No);
    }
    let _held = state::lock()?;
    let mut state = State::begin(&found);
    let result = match found {
        Err(mistake) => Err(Failure::new("mistakes", mistake)),
        Ok(None) => Ok(()),
        Ok(Some(found)) => ready(&mut state, record.as_ref(), &found, plain_root)
            .and_then(|()| pull(&mut state, &found, [timeout, grace].map(Duration::from_secs))),
    };
    let done = result.is_ok();
    state.end(result);
    Ok(if done { Exit::Good } else { Exit::No })
}

/// What can be told before anything is fetched.
fn ready(state: &mut State, record: Option<&Record>, found: &Found, plain_root: bool) -> Result<(), Failure> {
    let mounts = mounts::read().map_err(|error| Failure::new("no-overlay", format!("{error:#}")))?;
    let overlay = mountinfo::at(&mounts, "/").is_some_and(|root| root.fstype == "overlay");
    if !overlay && !plain_root {
        let text = "the root is not an overlay: changes of scripts would be permanent (--plain-root allows it)";
        return Err(Failure::new("no-overlay", text));
    }
    if let Some(record) = record.filter(|record| record.outcome == Outcome::Degraded) {
        let why = record.reasons.first().map(|reason| reason.text.clone());
        let why = why.or_else(|| record.issues.first().map(ToString::to_string)).unwrap_or_default();
        state.note(format!("the overlay is degraded: {why}"));
    }
    let (url, reference) = found
        .asked
        .git
        .on(&found.node)
        .map_err(|text| Failure::new("value", format!("{}: {text}", found.asked.origin)))?;
    state.url.clone_from(&url);
    state.change(|pulled| (pulled.url, pulled.reference) = (redact::told(&url), reference));
    let lacking = asked::lacking(&found.asked);
    if lacking.is_empty() { Ok(()) } else { Err(Failure::new("lacking", format!("not there: {}", lacking.join(", ")))) }
}

fn pull(state: &mut State, found: &Found, times: [Duration; 2]) -> Result<(), Failure> {
    let (number, dir) = place::begin().map_err(|error| Failure::place(&error))?;
    let fetched = fetch(state, &dir, times)
        .and_then(|(repository, fetched)| take(state, &repository, &fetched, found.asked.verify.as_deref()));
    if let Err(failure) = fetched {
        place::discard(&dir);
        return Err(failure);
    }
    let placed = |result: Result<()>| result.map_err(|error| Failure::place(&error));
    placed(place::point("current", number))?;
    state.change(|pulled| pulled.directory = Some(dir.to_string_lossy().into_owned()));
    run_all(state, &dir, &found.hostname)?;
    placed(place::point("good", number))?;
    placed(place::tidy())
}

/// Fetches, as often as it takes.
fn fetch(state: &mut State, dir: &Path, [total, grace]: [Duration; 2]) -> Result<(Repository, Fetched), Failure> {
    let started = Instant::now();
    let repository = Repository::new(dir, &state.url, started + total, grace);
    loop {
        state.change(|pulled| pulled.tries += 1);
        let tries = state.pulled.tries;
        let text = match repository.fetch(state.pulled.reference.as_deref()) {
            Ok(fetched) => return Ok((repository, fetched)),
            Err(Trouble::Never(failure)) => return Err(failure),
            Err(Trouble::Again(text)) => text,
        };
        let Some(wait) = wait(tries, started.elapsed(), total) else {
            return Err(Failure::new("unreachable", format!("{tries} tries: {text}")));
        };
        tracing::warn!("try {tries}: {text}; again in {} s", wait.as_secs());
        thread::sleep(wait);
    }
}

/// Checks the signature, and only then puts files in place.
fn take(state: &mut State, repository: &Repository, fetched: &Fetched, verify: Option<&str>) -> Result<(), Failure> {
    state.change(|pulled| pulled.commit = Some(fetched.commit.clone()));
    if let Some(file) = verify {
        let signer = repository.verify(file, fetched)?;
        tracing::info!("{} is signed by {}", fetched.commit, escape(&signer));
        state.change(|pulled| pulled.verified_by = Some(signer));
    }
    repository.checkout(&fetched.commit)
}

/// Runs what is to run, up to the first that fails.
fn run_all(state: &mut State, dir: &Path, hostname: &str) -> Result<(), Failure> {
    let entries = scripts::entries(&dir.join(SCRIPTS)).map_err(|error| Failure::place(&error))?;
    match entries {
        Some(entries) => state.change(|pulled| pulled.scripts = to_run(entries)),
        None => state.note(format!("the repository has no directory {SCRIPTS}")),
    }
    let around = Surroundings::new(dir, hostname, &state.url, &state.pulled);
    for index in 0..state.pulled.scripts.len() {
        let Some(script) = state.pulled.scripts.get_mut(index) else { break };
        let name = script.name.clone();
        if script.result == Ran::LeftOut {
            tracing::warn!("{SCRIPTS}/{} is left out: {}", escape(&name), script.text.clone().unwrap_or_default());
            continue;
        }
        script.result = Ran::Running;
        state.write();
        tracing::info!("runs {SCRIPTS}/{}", escape(&name));
        let ended = scripts::run(&name, &around);
        state.change(|pulled| {
            if let Some(script) = pulled.scripts.get_mut(index) {
                scripts::note_end(script, &ended);
            }
        });
        if !ended.is_good() {
            return Err(Failure::new("script", format!("{SCRIPTS}/{}: {ended}", escape(&name))));
        }
    }
    Ok(())
}

/// The row of `overlayctl status`, and what is wrong.
pub fn row(record: Option<&Record>, pulled: Option<&Pulled>, overlay: bool) -> Option<String> {
    if let Some(pulled) = pulled {
        return Some(pulled.to_string());
    }
    let asked = match asked::find(record) {
        Ok(found) => found?.asked,
        Err(mistake) => return Some(format!("nothing is pulled: {mistake}")),
    };
    let overlayroot_core::plan::git::Asked { git, origin, .. } = asked;
    Some(match overlay {
        true => format!("{git}: not yet  [{origin}]"),
        false => format!("{git}: not on a plain root  [{origin}]"),
    })
}
