// SPDX-License-Identifier: GPL-2.0-or-later
//! What there is to say about a loop file, without writing to it.

use crate::probe::place;
use crate::sys::program::{self, last_line};
use crate::sys::scratch::Scratch;
use crate::sys::{files, loopdev};
use anyhow::{Context, Result, bail};
use overlayroot_core::facts::place::PlaceKind;
use overlayroot_core::step::refusal::UPPER_FILE_SYSTEMS;
use overlayroot_core::value::size::human;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// What stands at the path of a loop file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// Nothing.
    #[default]
    Missing,
    /// A file that is complete.
    Finished,
    /// One that a boot or `create` had no time to complete.
    HalfMade,
    /// Something else.
    Other(PlaceKind),
}

impl State {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Finished => "finished",
            Self::HalfMade => "half-made",
            Self::Other(kind) => kind.word(),
        }
    }
}

/// A loop file as it was found.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Where.
    pub path: String,
    /// What stands there.
    pub state: State,
    /// Length; what is taken by a half-made file.
    pub bytes: u64,
    /// Bytes that have their place on the disk.
    pub allocated: u64,
    /// Type of the file system in it; empty where none is recognised.
    pub fstype: String,
    /// Nodes of its loop devices.
    pub attached: Vec<String>,
    /// What e2fsck found; `None` where it was not asked.
    pub clean: Option<bool>,
    /// e2fsck's words, or why it was not asked.
    pub said: String,
}

impl Report {
    /// Whether blocks are missing on the disk.
    pub fn sparse(&self) -> bool {
        self.allocated < self.bytes
    }

    /// Whether the next boot can use it, as far as can be seen from outside.
    pub fn sound(&self) -> bool {
        self.state == State::Finished && UPPER_FILE_SYSTEMS.contains(&self.fstype.as_str()) && self.clean != Some(false)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<12} {}", self.state.word(), self.path)?;
        if self.state == State::HalfMade {
            return writeln!(f, "{:<12} {} M, recreated by the next boot or by create", "leftover", self.bytes >> 20);
        }
        if self.state != State::Finished {
            return Ok(());
        }
        match self.sparse() {
            true => {
                writeln!(f, "{:<12} {}, sparse: only {} M reserved", "size", human(self.bytes), self.allocated >> 20)
            }
            false => writeln!(f, "{:<12} {}, all of it reserved", "size", human(self.bytes)),
        }?;
        let fstype = if self.fstype.is_empty() { "unknown" } else { &self.fstype };
        writeln!(f, "{:<12} {fstype}", "file system")?;
        if !self.attached.is_empty() {
            writeln!(f, "{:<12} {}", "attached", self.attached.join(" "))?;
        }
        match self.clean {
            Some(true) => writeln!(f, "{:<12} sound", "e2fsck"),
            Some(false) => writeln!(f, "{:<12} NOT SOUND: {}", "e2fsck", self.said),
            None => writeln!(f, "{:<12} not checked: {}", "e2fsck", self.said),
        }
    }
}

/// Looks at the file at `path`; e2fsck only reads.
///
/// # Errors
/// Where e2fsck can't be run.
pub fn check(path: &str) -> Result<Report> {
    let place = place::look_into("", path);
    let mut report = Report { path: path.to_owned(), fstype: place.fstype, ..Report::default() };
    report.state = match place.kind {
        PlaceKind::File => State::Finished,
        PlaceKind::Missing if place.half_made > 0 => State::HalfMade,
        PlaceKind::Missing => State::Missing,
        other @ (PlaceKind::Directory | PlaceKind::Subvolume | PlaceKind::Link | PlaceKind::Other) => {
            State::Other(other)
        }
    };
    report.bytes = place.half_made;
    if report.state != State::Finished {
        return Ok(report);
    }
    report.bytes = place.bytes;
    report.allocated = fs::symlink_metadata(path).with_context(|| format!("looking at {path}"))?.blocks() * 512;
    report.attached = loopdev::of_file(path)?;
    if !report.fstype.starts_with("ext") {
        report.said = "only ext can be, others check themselves when they are mounted".to_owned();
    } else if !report.attached.is_empty() {
        report.said = "the file is in use".to_owned();
    } else {
        let (clean, said) = e2fsck(path)?;
        (report.clean, report.said) = (Some(clean), said);
    }
    Ok(report)
}

fn e2fsck(path: &str) -> Result<(bool, String)> {
    let scratch = Scratch::new()?;
    let log = scratch.log();
    let code = program::run("e2fsck", &["-n", "-f", path], &log)?;
    if code == 127 {
        bail!("e2fsck not found");
    }
    let text = files::tail(&log);
    let mut said = last_line(&text);
    if String::from_utf8_lossy(&text).contains("skipping journal recovery") {
        said.push_str(" (its journal waits to be replayed, which the boot does before it checks)");
    }
    Ok((code == 0, said))
}
