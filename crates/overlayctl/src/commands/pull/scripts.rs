// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs what a repository has in `overlayroot.d`: as root, in the checkout, with what it may want to know in its
//! environment and nothing in its arguments.

use crate::state::asked::{HOME, PATH};
use anyhow::{Context, Result};
use overlayroot_core::feature::pulled::{Pulled, Ran, SCRIPTS, Script};
use overlayroot_host::pull::Entry;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// journald's own protocol (sd_journal_stream_fd(3)): the lines get the script's name.
const JOURNAL: &str = "/run/systemd/journal/stdout";

/// What is the same for all scripts.
pub struct Surroundings {
    dir: PathBuf,
    environment: Vec<(&'static str, String)>,
    journal: bool,
}

impl Surroundings {
    /// In `dir`, for what was pulled.
    pub fn new(dir: &Path, hostname: &str, url: &str, pulled: &Pulled) -> Self {
        let environment = vec![
            ("OVERLAYROOT_HOSTNAME", hostname.to_owned()),
            ("OVERLAYROOT_URL", url.to_owned()),
            ("OVERLAYROOT_REF", pulled.reference.clone().unwrap_or_default()),
            ("OVERLAYROOT_COMMIT", pulled.commit.clone().unwrap_or_default()),
        ];
        Self { dir: dir.to_owned(), environment, journal: goes_to_journal() }
    }
}

/// Whether stderr is the journal's; what a terminal has inherited does not count (systemd.exec(5)).
fn goes_to_journal() -> bool {
    let told = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    fs::metadata("/proc/self/fd/2").is_ok_and(|stream| format!("{}:{}", stream.dev(), stream.ino()) == told)
}

/// What is in the directory; `None` where there is none.
pub fn entries(dir: &Path) -> Result<Option<Vec<Entry>>> {
    let context = || format!("reading {}", dir.display());
    match fs::symlink_metadata(dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Ok(found) if !found.is_dir() => return Ok(None),
        other => other.with_context(context)?,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).with_context(context)? {
        let entry = entry.with_context(context)?;
        let metadata = entry.metadata().with_context(context)?;
        found.push(Entry {
            name: entry.file_name().into_string().map_err(|name| name.to_string_lossy().into_owned()),
            is_file: metadata.is_file(),
            executable: metadata.permissions().mode() & 0o100 != 0,
        });
    }
    Ok(Some(found))
}

/// How a script ended.
pub struct Ended {
    status: io::Result<ExitStatus>,
    ms: u64,
}

impl Ended {
    /// With 0.
    pub fn is_good(&self) -> bool {
        self.status.as_ref().is_ok_and(ExitStatus::success)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.status {
            Err(error) => write!(f, "it can't be run: {error}"),
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => write!(f, "exit status {code}"),
                (None, signal) => write!(f, "killed by signal {}", signal.unwrap_or(0)),
            },
        }
    }
}

/// Writes it down.
pub fn note_end(script: &mut Script, ended: &Ended) {
    script.result = if ended.is_good() { Ran::Done } else { Ran::Failed };
    script.status = ended.status.as_ref().ok().and_then(ExitStatus::code);
    script.ms = ended.ms;
    script.text = if script.status.is_none() { Some(ended.to_string()) } else { None };
}

/// Runs one to its end, however long that takes.
pub fn run(name: &str, around: &Surroundings) -> Ended {
    let started = Instant::now();
    let status = start(name, around);
    Ended { status, ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX) }
}

fn start(name: &str, around: &Surroundings) -> io::Result<ExitStatus> {
    let mut command = Command::new(around.dir.join(SCRIPTS).join(name));
    command.current_dir(&around.dir).stdin(Stdio::null());
    for (name, value) in [("HOME", HOME), ("PATH", PATH)] {
        if std::env::var_os(name).is_none() {
            command.env(name, value);
        }
    }
    command.envs(around.environment.iter().map(|(name, value)| (name, value)));
    if around.journal {
        match journal(name) {
            Ok(stream) => {
                command.env_remove("JOURNAL_STREAM");
                command.stdout(stream.try_clone()?).stderr(stream);
            }
            Err(error) => tracing::warn!("{JOURNAL}: {error}; its lines go without its name"),
        }
    }
    command.status()
}

/// A stream into the journal under the name `overlayroot.d/NAME`.
fn journal(name: &str) -> io::Result<File> {
    let name: String = name.chars().map(|c| if c.is_control() { '?' } else { c }).collect();
    let mut stream = UnixStream::connect(JOURNAL)?;
    // Identifier, unit (it knows), priority info, lines may begin with <N>, and nowhere else than into the journal.
    stream.write_all(format!("{SCRIPTS}/{name}\n\n6\n1\n0\n0\n0\n").as_bytes())?;
    stream.shutdown(Shutdown::Read)?;
    Ok(File::from(OwnedFd::from(stream)))
}
