// SPDX-License-Identifier: GPL-2.0-or-later
//! What the kernel says now, held against the record: a record alone proves nothing.

use crate::fill::{sentence, thresholds};
use anyhow::Result;
use overlayroot_core::fetched::Fetched;
use overlayroot_core::levels::{FillLevel, Reading, Resource};
use overlayroot_core::mountinfo::{self, Mount};
use overlayroot_core::path_spec::Kind;
use overlayroot_core::path_state::{PathOutcome, PathState};
use overlayroot_core::paths;
use overlayroot_core::record::{Outcome, Record, RootKind, UpperKind};
use overlayroot_core::servicing;
use overlayroot_linux::mounts;
use overlayroot_linux::upperfill::reading;
use serde::Serialize;

/// How bad it is; the number is the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What was asked for runs.
    Ok = 0,
    /// Degraded, or the upper fills up.
    Warning = 1,
    /// The overlay asked for is not there, or the upper is nearly full.
    Critical = 2,
    /// No record.
    Unknown = 3,
}

/// Fill of the upper's file system.
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
    /// All of it.
    #[serde(skip)]
    pub reading: Reading,
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
}

/// Reads the kernel's view.
pub fn read(record: Option<&Record>) -> Result<Live> {
    let mounts = mounts::read()?;
    let root = mountinfo::at(&mounts, "/").cloned().unwrap_or_default();
    let lower = record.and_then(|record| record.effective.lowers.last()).and_then(|at| mountinfo::at(&mounts, at));
    let kind = record.map_or(UpperKind::None, |record| record.effective.upper);
    let upper =
        record.and_then(|record| record.effective.upper_fs.as_deref()).and_then(|at| mountinfo::at(&mounts, at));
    let upper = upper.and_then(|mount| match kind {
        // The directory may be held to a size; only root gets there, everybody sees the same in /.
        UpperKind::Dir => fill(mount, paths::UPPER_LINK).or_else(|| fill(mount, "/")),
        _ => fill(mount, &mount.at),
    });
    Ok(Live {
        root_writable: !root.read_only(),
        root_fstype: root.fstype,
        root_source: root.source,
        lower: lower.map(|mount| format!("{} {} on {}", mount.fstype, mount.source, mount.at)),
        lower_shared_with: lower.and_then(|lower| servicing::sharer(&mounts, lower)),
        lower_read_only: lower.is_some_and(|mount| mount.read_only() && mount.super_read_only()),
        lower_holds_upper: record.is_some_and(servicing::on_lower),
        lost_paths: record.map(|record| lost(&record.effective.paths, &mounts)).unwrap_or_default(),
        upper,
    })
}

/// What was mounted over single paths, and is not any more.
fn lost(paths: &[PathState], mounts: &[Mount]) -> Vec<String> {
    let mounted = paths.iter().filter(|state| state.outcome == PathOutcome::Done && !state.files);
    let holds = |state: &PathState| match (mountinfo::at(mounts, &state.path), state.kind) {
        (None, _) => false,
        (Some(mount), Kind::Readonly) => mount.read_only(),
        (Some(mount), Kind::Volatile) => mount.fstype == "tmpfs",
        (Some(mount), Kind::Persist) => mount.fstype != "overlay" && !mount.read_only(),
        (Some(mount), Kind::Bind) => !mount.read_only(),
    };
    mounted.filter(|state| !holds(state)).map(ToString::to_string).collect()
}

/// The fill of a mounted file system, as seen at `at` on it.
fn fill(mount: &Mount, at: &str) -> Option<Fill> {
    let reading = reading(at, &mount.fstype).ok()?;
    let marks = thresholds();
    Some(Fill {
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
        level: marks.level(reading.percent()),
        reading,
    })
}

/// What is wrong, worst first, in one line each.
pub fn problems(record: Option<&Record>, asked: bool, live: &Live) -> Vec<(Level, String)> {
    let Some(record) = record else {
        return vec![match asked {
            true => (
                Level::Critical,
                "an overlay is asked for, but there is no record: the initramfs lacks overlayroot-rs, or it was stopped".to_owned(),
            ),
            false => (Level::Unknown, "no record of this boot: the initramfs lacks overlayroot-rs".to_owned()),
        }];
    };
    let mut found = from_record(record);
    if let Some(stale) = record.stale.as_ref().filter(|stale| stale.action == "warned") {
        let todo = "overlayctl stale lists all, overlayctl stale accept or a reset ends this";
        found.push((Level::Warning, format!("{stale}; {todo}")));
    }
    let complaint = record.image.as_ref().and_then(Fetched::complaint);
    found.extend(complaint.map(|text| (Level::Warning, text)));
    let populate = record.populate.as_ref();
    if let Some(left) = populate.filter(|archive| matches!(archive.state.as_str(), "changed" | "used")) {
        found.push((Level::Warning, format!("{left}; overlayctl reset would begin with it")));
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
            found.push((Level::Warning, "the file system under the lower can be written".to_owned()));
        }
    }
    let lost = live.lost_paths.iter();
    found.extend(lost.map(|path| (Level::Warning, format!("no longer so: {path}"))));
    if let Some(fill) = &live.upper {
        match fill.level {
            FillLevel::Fine => {}
            FillLevel::Warning => found.push((Level::Warning, sentence(&fill.reading))),
            FillLevel::Critical => found.push((Level::Critical, sentence(&fill.reading))),
        }
    }
    found.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    found
}

fn from_record(record: &Record) -> Vec<(Level, String)> {
    let level = match record.outcome {
        Outcome::Applied | Outcome::Off => return Vec::new(),
        Outcome::Degraded => Level::Warning,
        Outcome::Refused | Outcome::Failed => Level::Critical,
    };
    let reasons = record.reasons.iter().map(|reason| reason.text.clone());
    let issues = record.issues.iter().map(ToString::to_string);
    reasons.chain(issues).map(|text| (level, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlayroot_core::config::{Config, Inputs};
    use overlayroot_core::record::{Effective, Requested, SCHEMA};

    fn record() -> Record {
        Record {
            schema: SCHEMA,
            version: String::new(),
            boot_id: String::new(),
            outcome: Outcome::Applied,
            requested: Requested::of(&Config::read(&Inputs::default())),
            effective: Effective::plain(RootKind::Plain),
            reasons: Vec::new(),
            issues: Vec::new(),
            fingerprint: None,
            stale: None,
            populate: None,
            image: None,
            notes: Vec::new(),
            steps: Vec::new(),
            by: String::new(),
            started_ms: 0,
            took_us: 0,
        }
    }

    fn mount(at: &str, devno: &str, options: &str) -> Mount {
        Mount { at: at.into(), devno: devno.into(), options: options.into(), ..Mount::default() }
    }

    #[test]
    fn a_lower_that_holds_the_upper_may_be_written() {
        let record = Record {
            effective: Effective { upper: UpperKind::Loop, ..Effective::plain(RootKind::Overlay) },
            ..record()
        };
        let mut live = Live {
            root_fstype: "overlay".into(),
            root_source: "LiveOS_rootfs".into(),
            root_writable: true,
            lower: Some("ext4 /dev/vda on /run/rootfsbase".into()),
            lower_read_only: false,
            lower_holds_upper: true,
            lower_shared_with: None,
            upper: None,
            lost_paths: Vec::new(),
        };
        assert_eq!(problems(Some(&record), true, &live), []);
        live.lower_holds_upper = false;
        assert_eq!(problems(Some(&record), true, &live).len(), 1);
    }

    #[test]
    fn an_image_that_is_not_kept_is_a_warning_and_the_boot_as_asked() {
        let why = overlayroot_core::pulled::Why { code: "no-room".into(), text: "it is full".into() };
        let image = Fetched { cache: "LABEL=x".into(), why: Some(why), ..Fetched::default() };
        let mut record = Record { image: Some(image), ..record() };
        let live = Live {
            root_fstype: "overlay".into(),
            root_source: "LiveOS_rootfs".into(),
            root_writable: true,
            lower: None,
            lower_read_only: true,
            lower_holds_upper: false,
            lower_shared_with: None,
            upper: None,
            lost_paths: Vec::new(),
        };
        let text = "the image is not kept on LABEL=x (no-room): it is full".to_owned();
        assert_eq!(problems(Some(&record), true, &live), [(Level::Warning, text)]);
        record.image = Some(Fetched::default());
        assert_eq!(problems(Some(&record), true, &live), []);
    }

    #[test]
    fn a_path_that_lost_its_mount_is_named() {
        let state = |path: &str, kind| PathState {
            path: path.into(),
            kind,
            files: false,
            preset: None,
            outcome: PathOutcome::Done,
            store: None,
            device: None,
            options: String::new(),
            why: None,
        };
        let tmpfs = Mount { fstype: "tmpfs".into(), ..mount("/srv", "0:50", "rw") };
        let mounts = [tmpfs, mount("/opt", "0:40", "rw"), mount("/home", "8:1", "rw")];
        let good = [state("/srv", Kind::Volatile), state("/home", Kind::Persist)];
        assert_eq!(lost(&good, &mounts), [] as [&str; 0]);
        let bad = [state("/opt", Kind::Readonly), state("/var/x", Kind::Bind), state("/home", Kind::Volatile)];
        assert_eq!(lost(&bad, &mounts).len(), 3);
        let files = PathState { files: true, ..state("/etc/x", Kind::Persist) };
        let failed = PathState { outcome: PathOutcome::Failed, ..state("/y", Kind::Bind) };
        assert_eq!(lost(&[files, failed], &mounts), [] as [&str; 0]);
    }

    #[test]
    fn the_upper_s_fill_is_a_warning_from_the_threshold_on() {
        let record = Record { effective: Effective::plain(RootKind::Plain), ..record() };
        let full = |percent: u64, level: FillLevel| {
            let reading = Reading { bytes: 100, used: percent, available: 100 - percent, ..Reading::default() };
            let upper = Fill {
                at: "/run/initramfs/overlay".into(),
                fstype: "tmpfs".into(),
                source: "tmpfs".into(),
                bytes: reading.bytes,
                used: reading.used,
                available: reading.available,
                inodes: 0,
                inodes_used: 0,
                percent,
                scarcest: Resource::Bytes,
                warn: 50,
                critical: 60,
                level,
                reading,
            };
            let live = Live {
                root_fstype: "overlay".into(),
                root_source: "LiveOS_rootfs".into(),
                root_writable: true,
                lower: None,
                lower_read_only: true,
                lower_holds_upper: false,
                lower_shared_with: None,
                lost_paths: Vec::new(),
                upper: Some(upper),
            };
            problems(Some(&record), true, &live)
        };
        assert_eq!(full(49, FillLevel::Fine), []);
        let text = |percent| format!("the upper is {percent} % full: {percent}.0 B of 100.0 B");
        assert_eq!(full(50, FillLevel::Warning), [(Level::Warning, text(50))]);
        assert_eq!(full(60, FillLevel::Critical), [(Level::Critical, text(60))]);
    }

    #[test]
    fn a_sibling_subvolume_that_is_written_is_named() {
        let lower = mount("/run/rootfsbase", "0:30", "ro");
        let home = mount("/home", "0:30", "rw");
        let mounts = [mount("/", "0:40", "rw"), lower.clone(), home];
        assert_eq!(servicing::sharer(&mounts, &lower).as_deref(), Some("/home"));
        assert_eq!(servicing::sharer(&mounts[..2], &lower), None);
    }
}
