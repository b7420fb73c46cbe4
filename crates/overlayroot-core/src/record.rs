// SPDX-License-Identifier: GPL-2.0-or-later
//! The record of one boot: what was asked for, what runs, how it came about
//! (docs/state-record.md). Versioned; readers refuse a schema they do not know.

use crate::facts::Fingerprint;
use crate::fetched::Fetched;
use crate::issue::Issue;
use crate::layout::{Places, Store};
use crate::made::Made;
use crate::path_state::PathState;
use crate::paths;
use crate::populated::Populated;
use crate::stale::Stale;
use serde::{Deserialize, Serialize};
use std::fmt;

mod requested;

pub use requested::Requested;

/// Why every verb refuses a boot of which nothing is known.
pub const NO_RECORD: &str = "no record of this boot: the initramfs lacks overlayroot-rs";
/// Why every verb of the overlay refuses any other root.
pub const NOT_OURS: &str = "the root is not managed by overlayroot-rs";

/// Version of the record's form; raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// How the boot ended, as far as the root is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// What was asked for runs.
    Applied,
    /// Something else runs, as the policy says, or a mistake in the configuration was passed over.
    Degraded,
    /// No overlay was asked for, and none was made.
    Off,
    /// Another party's overlay is there; nothing was touched.
    Refused,
    /// No overlay could be made; the plain root was restored, or the boot was halted.
    Failed,
}

impl Outcome {
    /// Its word in the record.
    pub fn word(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Degraded => "degraded",
            Self::Off => "off",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    /// The outcome, from what runs and whether anything stood against what was asked for.
    /// `plain_is_policy`: a plain root is what the user's policy or mistake led to, not a failure.
    pub fn of(root: RootKind, blemished: bool, plain_is_policy: bool) -> Self {
        match root {
            RootKind::None => Self::Failed,
            RootKind::Foreign => Self::Refused,
            RootKind::Plain if !plain_is_policy => Self::Failed,
            _ if blemished => Self::Degraded,
            _ => Self::Applied,
        }
    }

    /// Whether what runs is what was asked for.
    pub fn as_asked(self) -> bool {
        matches!(self, Self::Applied | Self::Off)
    }
}

/// What the root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootKind {
    /// Our overlay.
    Overlay,
    /// The root as it would be without us.
    Plain,
    /// The root, read-only.
    Ro,
    /// Another party's overlay.
    Foreign,
    /// None: the boot was halted.
    None,
}

/// What the upper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpperKind {
    /// In RAM.
    Tmpfs,
    /// On a block device.
    Device,
    /// In a directory on the root's own file system.
    Dir,
    /// In a file on the root's own file system.
    Loop,
    /// In a subvolume of the root's own file system.
    Subvol,
    /// No overlay.
    None,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effective {
    /// What the root is.
    pub root: RootKind,
    /// What the upper is.
    pub upper: UpperKind,
    /// Block device of the upper, or of the read-only layer, or that holds the loop file.
    pub device: Option<String>,
    /// Directory or file of the upper, as the root has it, or a loop file's device; its subvolume, as the file
    /// system's top level has it.
    #[serde(default)]
    pub path: Option<String>,
    /// Limits of a tmpfs upper, file system type of a kept one.
    pub options: String,
    /// Where the upper's file system is shown; its fill is the upper's. See [`Effective::store_fs`].
    pub upper_fs: Option<String>,
    /// Lowers, topmost first.
    pub lowers: Vec<String>,
    /// Whether the upper was begun anew at this boot.
    pub reset: bool,
    /// Directories of an upper that stays; none for one in RAM.
    #[serde(default)]
    pub store: Option<Store>,
    /// The name that the machine was given.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Single paths with a policy of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathState>,
}

impl Effective {
    /// No overlay of ours.
    pub fn plain(root: RootKind) -> Self {
        Self {
            root,
            upper: UpperKind::None,
            device: None,
            path: None,
            options: String::new(),
            upper_fs: None,
            lowers: Vec::new(),
            reset: false,
            store: None,
            hostname: None,
            paths: Vec::new(),
        }
    }

    /// Our overlay at these places.
    pub fn overlay(places: &Places) -> Self {
        Self {
            upper_fs: Some(places.public.clone()),
            lowers: vec![places.lower.clone()],
            ..Self::plain(RootKind::Overlay)
        }
    }

    /// Mount point of the file system that the directories of an upper that stays are named by: root's way to it.
    pub fn store_fs(&self) -> Option<&str> {
        let (store, shown) = (self.store.as_ref()?, self.upper_fs.as_deref()?);
        let private = store.upper.strip_prefix(paths::BACKING_KEPT).is_some_and(|rest| rest.starts_with('/'));
        Some(if private { paths::BACKING_KEPT } else { shown })
    }

    /// Where changes go, in words: never without 'lost' where they are.
    pub fn changes(&self) -> String {
        let device = self.device.as_deref().unwrap_or_default();
        let path = self.path.as_deref().unwrap_or_default();
        let on = if device.is_empty() { String::new() } else { format!(" on {device}") };
        match (self.root, self.upper) {
            (RootKind::Overlay, UpperKind::Tmpfs) if self.paths.iter().any(PathState::keeps) => {
                "changes will be lost at reboot, except in the kept paths".to_owned()
            }
            (RootKind::Overlay, UpperKind::Tmpfs) => "changes will be lost at reboot".to_owned(),
            (RootKind::Overlay, UpperKind::Device) => format!("changes go to {device}"),
            (RootKind::Overlay, UpperKind::Dir | UpperKind::Loop) => format!("changes go to {path}{on}"),
            (RootKind::Overlay, UpperKind::Subvol) => format!("changes go to the subvolume {path}"),
            (RootKind::Overlay, UpperKind::None) => "changes go to an unknown upper".to_owned(),
            (RootKind::Plain, _) => "changes go to the root's own file system".to_owned(),
            (RootKind::Ro, _) => "nothing can be changed".to_owned(),
            (RootKind::Foreign, _) => "changes go to another party's overlay".to_owned(),
            (RootKind::None, _) => "nothing is running".to_owned(),
        }
    }

    /// The upper at these places stays, and is begun anew where `reset`.
    pub(crate) fn keep(&mut self, places: &Places, reset: bool) {
        self.store = Some(places.store.clone());
        self.reset = reset;
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.device.as_deref().unwrap_or_default();
        match (self.root, self.upper) {
            (RootKind::Plain, _) => write!(f, "plain root, no overlay"),
            (RootKind::Ro, _) => write!(f, "root read-only, no overlay"),
            (RootKind::Foreign, _) => write!(f, "another party's overlay"),
            (RootKind::None, _) => write!(f, "no root, emergency shell"),
            (RootKind::Overlay, UpperKind::Device) => {
                write!(f, "overlay, upper on {device} ({})", self.options)
            }
            (RootKind::Overlay, UpperKind::Dir | UpperKind::Loop) => {
                let path = self.path.as_deref().unwrap_or_default();
                let on = if device.is_empty() { String::new() } else { format!(" on {device}") };
                write!(f, "overlay, upper in {path}{on} ({})", self.options)
            }
            (RootKind::Overlay, UpperKind::Subvol) => {
                let path = self.path.as_deref().unwrap_or_default();
                write!(f, "overlay, upper in the subvolume {path} ({})", self.options)
            }
            (RootKind::Overlay, UpperKind::None) => write!(f, "overlay, nothing is known of its upper"),
            (RootKind::Overlay, UpperKind::Tmpfs) => {
                write!(f, "overlay, upper in RAM ({})", self.options)?;
                if device.is_empty() { Ok(()) } else { write!(f, ", over the upper on {device}") }
            }
        }
    }
}

/// Why what runs is not what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Stable word for scripts.
    pub code: String,
    /// One line for a person.
    pub text: String,
    /// What the kernel's log said meanwhile.
    pub kernel: Vec<String>,
}

/// One step as it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its short name.
    pub step: String,
    /// Its sentence.
    pub text: String,
    /// `done`, `failed` or `undone`.
    pub result: String,
    /// Microseconds it took.
    pub us: u64,
}

/// The whole record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// The boot it belongs to (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What was asked for.
    pub requested: Requested,
    /// What runs.
    pub effective: Effective,
    /// Why they differ; empty where they do not.
    pub reasons: Vec<Reason>,
    /// Unknown keys and bad values.
    pub issues: Vec<Issue>,
    /// The lower as this boot found it; none where no upper stays.
    #[serde(default)]
    pub fingerprint: Option<Fingerprint>,
    /// An upper that was begun on another lower.
    #[serde(default)]
    pub stale: Option<Stale>,
    /// What became of the archive that a new upper begins with; none where none was asked for.
    #[serde(default)]
    pub populate: Option<Populated>,
    /// The image of `root=live:URL`, where it was ours to fetch.
    #[serde(default)]
    pub image: Option<Fetched>,
    /// What the initramfs made in the root, for a policy of SELinux to label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub made: Vec<Made>,
    /// What is worth saying but changes nothing.
    pub notes: Vec<String>,
    /// What was done, in order, undone attempts included.
    pub steps: Vec<StepRecord>,
    /// Who ran it: `unit`, `hook` or `hand`.
    pub by: String,
    /// Milliseconds after the kernel's start at which it began.
    pub started_ms: u64,
    /// Microseconds from there to the record, waiting included.
    pub took_us: u64,
}
