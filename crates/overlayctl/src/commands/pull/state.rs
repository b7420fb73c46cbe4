// SPDX-License-Identifier: GPL-2.0-or-later
//! `/run/overlayroot/pull.json`: written at each step of a pull, read by `overlayctl status`.

use super::Failure;
use crate::output::exit::refused;
use crate::state::asked::Found;
use anyhow::{Context, Result, bail};
use overlayroot_core::feature::pulled::{Outcome, Pulled, SCHEMA};
use overlayroot_core::layout::paths;
use overlayroot_core::value::redact;
use overlayroot_core::value::why::Why;
use overlayroot_linux::sys::files;
use overlayroot_linux::sys::newfile::{self, write_atomic};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
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
    let path = paths::PULLED;
    let text = match files::read_small(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.with_context(|| format!("reading {path}"))?,
    };
    let value: serde_json::Value = serde_json::from_slice(&text).with_context(|| format!("parsing {path}"))?;
    match value.get("schema").and_then(serde_json::Value::as_u64) {
        Some(schema) if schema == u64::from(SCHEMA) => {}
        other => bail!("{path} has schema {other:?}, this version reads {SCHEMA}"),
    }
    let mut pulled: Pulled = serde_json::from_value(value).with_context(|| format!("reading the fields of {path}"))?;
    if pulled.outcome == Outcome::Running && !running() {
        pulled.interrupted();
    }
    Ok(Some(pulled))
}
