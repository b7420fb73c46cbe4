// SPDX-License-Identifier: GPL-2.0-or-later
//! `/run/overlayroot/pull.json`: written at each step of a pull, read by `overlayctl status`.

use super::Failure;
use crate::output::exit::refused;
use crate::output::format::now;
use crate::state::asked::Found;
use anyhow::{Context, Result};
use overlayroot_core::feature::pulled::{Outcome, Pulled, SCHEMA};
use overlayroot_core::layout::paths;
use overlayroot_core::value::redact;
use overlayroot_core::value::why::Why;
use overlayroot_linux::sys::newfile::{self, write_atomic};
use overlayroot_linux::sys::{files, json};
use std::fs::{self, File};
use std::thread;
use std::time::Duration;

/// What is told so far.
pub struct State {
    /// The same as in the file.
    pub pulled: Pulled,
    /// The URL on this machine, of which the file has what people are told; empty until it is known.
    pub url: String,
}

impl State {
    /// A pull that begins.
    pub fn begin(found: &Result<Option<Found>, String>) -> Self {
        let asked = found.as_ref().ok().and_then(Option::as_ref).map(|found| found.asked.clone());
        let pulled = match asked {
            Some(asked) => {
                let reference = asked.git.reference.as_ref().map(ToString::to_string);
                Pulled::begin(redact::told(&asked.git.url.to_string()), reference, asked.origin, asked.verify, now())
            }
            None => Pulled::begin(String::new(), None, String::new(), None, now()),
        };
        let state = Self { pulled, url: String::new() };
        state.write();
        state
    }

    /// Changes it, and the file with it.
    pub fn change(&mut self, how: impl FnOnce(&mut Pulled)) {
        how(&mut self.pulled);
        self.write();
    }

    /// Says something, and keeps it.
    pub fn note(&mut self, text: String) {
        tracing::warn!("{text}");
        self.change(|pulled| pulled.notes.push(text));
    }

    /// The end.
    pub fn end(&mut self, result: Result<(), Failure>) {
        self.change(|pulled| {
            pulled.ended = Some(now());
            pulled.outcome = if result.is_ok() { Outcome::Done } else { Outcome::Failed };
            pulled.reason = result.err().map(|failure| Why { code: failure.code.to_owned(), text: failure.text });
        });
        match self.pulled.outcome {
            Outcome::Done => tracing::info!("{}", self.pulled),
            Outcome::Running | Outcome::Failed => tracing::error!("{}", self.pulled),
        }
    }

    /// Writes the file. That nobody is told is no reason not to pull.
    pub fn write(&self) {
        let text = serde_json::to_string_pretty(&self.pulled).context("as JSON");
        if let Err(error) = text.and_then(|text| write_atomic(paths::PULLED, &(text + "\n"))) {
            tracing::error!("{} could not be written: {error:#}", paths::PULLED);
        }
    }
}

/// Only one at a time.
///
/// # Errors
/// Where another holds it.
pub fn lock() -> Result<File> {
    fs::create_dir_all(paths::STATE_DIR).context("making the directory of the record")?;
    // `running` below holds it for a moment.
    for _ in 0..20 {
        if let Some(held) = newfile::lock(paths::PULL_LOCK)? {
            return Ok(held);
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err(refused("another overlayctl pull is running"))
}

fn running() -> bool {
    newfile::is_held(paths::PULL_LOCK)
}

/// What became of this boot's pull; `None` where there was none.
///
/// # Errors
/// Where it can't be read, or has a schema this version does not know.
pub fn read() -> Result<Option<Pulled>> {
    let mut found: Option<Pulled> = json::read(paths::PULLED, files::SMALL, SCHEMA)?;
    if let Some(pulled) = found.as_mut().filter(|pulled| pulled.outcome == Outcome::Running && !running()) {
        pulled.interrupted();
    }
    Ok(found)
}
