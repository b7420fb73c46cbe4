// SPDX-License-Identifier: GPL-2.0-or-later
//! What the kernel says now, held against the record: a record alone proves nothing.

use crate::output::exit::Exit;
use crate::state::fill::{Own, alone, sentence, thresholds};
use anyhow::Result;
use overlayroot_core::config::thresholds::Thresholds;
use overlayroot_core::facts::fetched::Fetched;
use overlayroot_core::feature::populated::State;
use overlayroot_core::feature::stale::Action;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo::{self, Mount};
use overlayroot_core::record::{NO_RECORD, Outcome, Record};
use overlayroot_core::step::effective::{Effective, RootKind, UpperKind};
use overlayroot_core::step::path_state::{PathOutcome, PathState};
use overlayroot_host::servicing;
use overlayroot_host::watch::levels::{FillLevel, Reading, Resource, Space};
use overlayroot_linux::sys::mounts;
use overlayroot_linux::tool::upperfill;
use serde::Serialize;
use std::time::Duration;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What was asked for runs.
    Ok,
    /// Degraded, or the upper fills up.
    Warning,
    /// The overlay asked for is not there, or the upper is nearly full.
    Critical,
    /// No record.
    Unknown,
}

impl Level {
    /// The exit status of `status`.
    pub fn exit(self) -> Exit {
        match self {
            Self::Ok => Exit::Good,
            Self::Warning => Exit::No,
            Self::Critical => Exit::Critical,
            Self::Unknown => Exit::Failed,
        }
    }
}

/// The upper's own files are counted for so long at most.
const LONGEST: Duration = Duration::from_millis(300);

/// Fill of the upper: of its file system, or of the size that it is held to.
#[derive(Debug, Clone, Serialize)]
pub struct Fill {
    /// Mount point; the directory itself where a directory is the upper.
    pub at: String,
    /// File system type.
    pub fstype: String,
    /// Source.
    pub source: String,
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes in use.
    pub used: u64,
    /// Bytes that can be had.
    pub available: u64,
    /// Inodes in all; 0 where there is no fixed number.
    pub inodes: u64,
    /// Inodes in use.
    pub inodes_used: u64,
    /// Percent of the resource that is scarcest.
    pub percent: u64,
    /// Which one that is.
    pub scarcest: Resource,
    /// Percent from which on it is a warning.
    pub warn: u8,
    /// Percent from which on it is critical.
    pub critical: u8,
    /// Which level that is.
    pub level: FillLevel,
    /// The file system that holds it, where the upper is held to a size: the bytes above are of that size then.
    pub filesystem: Option<Space>,
    /// What of a file system is the upper's own; null where it is all the upper's, or was not counted.
    pub own: Option<Own>,
    /// All of it.
    #[serde(skip)]
    pub reading: Reading,
}

impl Fill {
    /// That of a mounted file system, as seen at `at` on it. What of it is the upper's own is counted by others.
    pub fn of(mount: &Mount, at: &str, reading: Reading, marks: Thresholds) -> Self {
        Self {
            at: at.to_owned(),
            fstype: mount.fstype.clone(),
            source: mount.source.clone(),
            bytes: reading.bytes,
            used: reading.used,
            available: reading.available,
            inodes: reading.inodes,
            inodes_used: reading.inodes_used,
            percent: reading.percent(),
            scarcest: reading.worst().0,
            warn: marks.warn,
            critical: marks.critical,
            level: FillLevel::of(marks, reading.percent()),
            filesystem: reading.outer,
            own: None,
            reading,
        }
    }

    /// In words.
    pub fn sentence(&self) -> String {
        sentence(&self.reading, &self.fstype, &self.source, self.own)
    }
}

/// The mounts that matter.
#[derive(Debug, Serialize)]
pub struct Live {
    /// Type of `/`.
    pub root_fstype: String,
    /// Source of `/`.
    pub root_source: String,
    /// Whether `/` can be written.
    pub root_writable: bool,
    /// The lower in words.
    pub lower: Option<String>,
    /// Whether the lower's file system refuses writes.
    pub lower_read_only: bool,
    /// Whether the upper lies on the lower's file system, which can be written then by design.
    pub lower_holds_upper: bool,
    /// A writable mount of the same file system elsewhere, such as another btrfs subvolume: the
    /// file system can't be read-only then, only the lower's mount of it.
    pub lower_shared_with: Option<String>,
    /// The upper's fill.
    pub upper: Option<Fill>,
    /// Single paths whose policy the record has, and the kernel has not.
    pub lost_paths: Vec<String>,
    /// Mount points of the overlay's layers where nothing is mounted any more.
    pub lost_mounts: Vec<String>,
}

/// Reads the kernel's view.
pub fn read(record: Option<&Record>) -> Result<Live> {
    let mounts = mounts::read()?;
    let root = mountinfo::at(&mounts, "/").cloned().unwrap_or_default();
    let lower = record.and_then(|record| record.effective.lowers.last()).and_then(|at| mountinfo::at(&mounts, at));
    let kind = record.map_or(UpperKind::None, |record| record.effective.upper);
    let upper =
        record.and_then(|record| record.effective.upper_fs.as_deref()).and_then(|at| mountinfo::at(&mounts, at));
    let upper = upper.and_then(|mount| match kind.is_limited() {
        // Only root gets there, everybody sees the same in /.
        true => {
            let at = |at: &str| Some(Fill::of(mount, at, upperfill::directory(at, mount).ok()?, thresholds()));
            at(paths::UPPER_LINK).or_else(|| at("/"))
        }
        false => Some(Fill::of(mount, &mount.at, upperfill::reading(&mount.at, &mount.fstype).ok()?, thresholds())),
    });
    Ok(Live {
        root_writable: !root.read_only(),
        root_fstype: root.fstype,
        root_source: root.source,
        lower: lower.map(|mount| format!("{} {} on {}", mount.fstype, mount.source, mount.at)),
        lower_shared_with: lower.and_then(|lower| servicing::sharer(&mounts, lower)),
        lower_read_only: lower.is_some_and(|mount| mount.read_only() && mount.super_read_only()),
        lower_holds_upper: record.is_some_and(|record| record.effective.is_on_lower()),
        lost_paths: record.map(|record| lost(&record.effective.paths, &mounts)).unwrap_or_default(),
        lost_mounts: record.map(|record| lost_mounts(&record.effective, &mounts)).unwrap_or_default(),
        upper,
    })
}

impl Live {
    /// Counts what of its file system is the upper's own; root can.
    pub fn count_own(&mut self, record: Option<&Record>) {
        let Some(fill) = self.upper.as_mut().filter(|fill| !alone(&fill.reading, &fill.fstype)) else {
            return;
        };
        let upper = record.and_then(|record| upperfill::find(record).ok().flatten());
        fill.own = upper.and_then(|upper| Own::of(&upper.directory, LONGEST));
    }
}

/// Where the layers were mounted, and are not any more.
fn lost_mounts(effective: &Effective, mounts: &[Mount]) -> Vec<String> {
    if effective.root != RootKind::Overlay {
        return Vec::new();
    }
    // Above the lower there may be a layer of a device's, which is named by a link.
    let places = [effective.lowers.last().map(String::as_str), effective.upper_fs.as_deref(), effective.store_fs()];
    let mut lost: Vec<String> = Vec::new();
    for at in places.into_iter().flatten().filter(|at| mountinfo::at(mounts, at).is_none()) {
        if lost.iter().all(|other| other != at) {
            lost.push(at.to_owned());
        }
    }
    lost
}

/// What was mounted over single paths, and is not any more.
fn lost(paths: &[PathState], mounts: &[Mount]) -> Vec<String> {
    let mounted = paths.iter().filter(|state| state.outcome == PathOutcome::Done && !state.files);
    let holds = |state: &PathState| mountinfo::at(mounts, &state.path).is_some_and(|mount| state.kind.holds(mount));
    mounted.filter(|state| !holds(state)).map(ToString::to_string).collect()
}

/// What is wrong, worst first, in one line each.
pub fn problems(record: Option<&Record>, asked: bool, live: &Live) -> Vec<(Level, String)> {
    let Some(record) = record else {
        return vec![match asked {
            true => (
                Level::Critical,
                "an overlay is configured, but there is no record: the initramfs lacks overlayroot-rs, or it was stopped".to_owned(),
            ),
            false => (Level::Unknown, NO_RECORD.to_owned()),
        }];
    };
    let mut found = from_record(record);
    if let Some(stale) = record.stale.as_ref().filter(|stale| stale.action == Action::Warned) {
        let todo = "overlayctl stale lists them; overlayctl stale accept or a reset clears this";
        found.push((Level::Warning, format!("{stale}; {todo}")));
    }
    let complaint = record.image.as_ref().and_then(Fetched::complaint);
    found.extend(complaint.map(|text| (Level::Warning, text)));
    let populate = record.populate.as_ref();
    if let Some(left) = populate.filter(|archive| matches!(archive.state, State::Changed | State::Used)) {
        found.push((Level::Warning, format!("{left}; overlayctl reset applies it")));
    }
    if record.effective.root == RootKind::Overlay {
        if live.root_fstype != "overlay" {
            let text = format!("the record says overlay, the kernel says / is {}", live.root_fstype);
            found.push((Level::Critical, text));
        } else if !live.root_writable {
            found.push((Level::Critical, "/ is read-only".to_owned()));
        }
        let excused = live.lower_holds_upper || live.lower_shared_with.is_some();
        if live.lower.is_some() && !live.lower_read_only && !excused {
            found.push((Level::Warning, "the lower's file system is writable".to_owned()));
        }
    }
    let lost = live.lost_paths.iter();
    found.extend(lost.map(|path| (Level::Warning, format!("no longer in effect: {path}"))));
    if !live.lost_mounts.is_empty() {
        let text = format!("no longer mounted: {}; reboot to get it back", live.lost_mounts.join(", "));
        found.push((Level::Warning, text));
    }
    if let Some(fill) = &live.upper {
        match fill.level {
            FillLevel::Fine => {}
            FillLevel::Warning => found.push((Level::Warning, fill.sentence())),
            FillLevel::Critical => found.push((Level::Critical, fill.sentence())),
        }
    }
    found.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    found
}

fn from_record(record: &Record) -> Vec<(Level, String)> {
    let level = match record.outcome {
        Outcome::Applied | Outcome::Off => return Vec::new(),
        Outcome::Thawed => {
            let text = "thawed by overlayctl thaw: there is no overlay in this boot, and changes are permanent";
            return vec![(Level::Warning, text.to_owned())];
        }
        Outcome::Degraded => Level::Warning,
        Outcome::Refused | Outcome::Failed => Level::Critical,
    };
    let reasons = record.reasons.iter().map(|reason| reason.text.clone());
    let issues = record.issues.iter().map(ToString::to_string);
    reasons.chain(issues).map(|text| (level, text)).collect()
}

#[cfg(test)]
mod tests;
