// SPDX-License-Identifier: GPL-2.0-or-later
//! The record of one boot: what was asked for, what runs, how it came about
//! (docs/reference/record.md). Versioned; readers refuse a schema they do not know.

mod requested;

pub use requested::Requested;

use crate::facts::Fingerprint;
use crate::facts::fetched::Fetched;
use crate::feature::populated::Populated;
use crate::feature::stale::Stale;
use crate::step::effective::{Effective, RootKind};
use crate::step::made::Made;
use crate::value::diagnostics::Issue;
use serde::{Deserialize, Serialize};

/// Why every verb refuses a boot of which nothing is known.
pub const NO_RECORD: &str = "no record of this boot: the initramfs lacks overlayroot-rs";
/// Why every verb of the overlay refuses any other root.
pub use crate::step::effective::NOT_OURS;

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
    /// No overlay was made, as `overlayctl thaw` asked for.
    Thawed,
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
            Self::Thawed => "thawed",
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
            RootKind::Overlay | RootKind::Plain | RootKind::Ro => Self::Applied,
        }
    }

    /// Whether what runs is what was asked for.
    pub fn as_asked(self) -> bool {
        matches!(self, Self::Applied | Self::Off)
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

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepResult {
    /// It did what it says.
    Done,
    /// It did not.
    Failed,
    /// It did, and was taken back.
    Undone,
}

/// One step as it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Its short name.
    pub step: String,
    /// Its sentence.
    pub text: String,
    /// How it ended.
    pub result: StepResult,
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
