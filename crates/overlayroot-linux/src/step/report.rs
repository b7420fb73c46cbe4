// SPDX-License-Identifier: GPL-2.0-or-later
//! How the steps of a boot went.

use crate::step::reset;
use anyhow::Result;
use overlayroot_core::facts::Fingerprint;
use overlayroot_core::feature::populated::Populated;
use overlayroot_core::record::StepRecord;
use overlayroot_core::step::made::Made;

/// Where e2fsck keeps what it changes until it has succeeded.
pub(crate) const SCRATCH: &str = "/run/initramfs/overlayroot";

/// How the steps went, those of attempts that were taken back included.
#[derive(Debug, Default)]
pub struct Report {
    /// Each step.
    pub steps: Vec<StepRecord>,
    /// What the steps found worth saying.
    pub notes: Vec<String>,
    /// Whether the upper was begun anew, which nothing takes back.
    pub reset: bool,
    /// An upper that was begun on another lower.
    pub stale: Option<overlayroot_core::feature::stale::Stale>,
    /// The lower, where a step has changed it.
    pub fingerprint: Option<Fingerprint>,
    /// What became of the archive that a new upper begins with.
    pub populate: Option<Populated>,
    /// The name that the machine was given.
    pub hostname: Option<String>,
    /// Paths whose own policy could not be had, and why.
    pub failed_paths: Vec<(String, String)>,
    /// What the host is to label.
    pub made: Vec<Made>,
    pub(crate) restored: bool,
}

impl Report {
    pub(crate) fn keep(&mut self, became: reset::Became) -> Result<()> {
        self.reset |= became.reset;
        self.restored |= became.restored;
        self.notes.extend(became.note);
        Ok(())
    }
}
