// SPDX-License-Identifier: GPL-2.0-or-later
//! One request: read, checked against both layers, and carried out.

use anyhow::{Context, Result};
use overlayroot_core::feature::commit::{Asked, Committed, State, Stays};
use overlayroot_core::value::size::rounded;
use overlayroot_linux::commit::{Calls, Choice, Ended, Found, Request, run, scan};
use overlayroot_linux::sys::files;
use overlayroot_linux::sys::statvfs::room;
use overlayroot_linux::sys::sync::sync_parent;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Bytes of a path that is named.
const LONGEST: usize = 1000;

/// What the arguments say.
#[derive(Debug, Default)]
pub(crate) struct Job {
    pub(crate) upper: String,
    pub(crate) lower: String,
    pub(crate) request: String,
    pub(crate) fingerprint: Option<String>,
    pub(crate) own: Option<String>,
    pub(crate) keep: Vec<String>,
    pub(crate) moved: bool,
    pub(crate) shared: bool,
    pub(crate) time: Duration,
}

impl Job {
    pub(crate) fn run(&self) -> Committed {
        match self.checked() {
            Err(why) => Committed { state: State::Refused, why: Some(format!("{why:#}")), ..Committed::default() },
            Ok((choice, found)) => self.carried_out(&choice, &found).unwrap_or_else(|error| Committed {
                state: State::Failed,
                why: Some(format!("{error:#}")),
                ..Committed::default()
            }),
        }
    }

    /// What is to be moved.
    ///
    /// # Errors
    /// Why nothing is.
    fn checked(&self) -> Result<(Choice, Found)> {
        let text = files::read_small(&self.request).with_context(|| format!("reading {}", self.request))?;
        let asked: Asked = serde_json::from_slice(&text).with_context(|| format!("{} is not valid", self.request))?;
        anyhow::ensure!(
            asked.force || !self.moved,
            "the lower has changed since the upper was created, and older files would replace newer ones: see overlayctl \
             stale, then overlayctl commit --force"
        );
        let choice = Choice::asked(&asked, &self.keep, self.own.as_deref());
        let found = scan(Path::new(&self.upper), &choice)?;
        self.has_room(&found)?;
        Ok((choice, found))
    }

    /// Whether all copies fit, with a twentieth to spare: a lower that is full is no root.
    fn has_room(&self, found: &Found) -> Result<()> {
        let device = |path: &str| fs::metadata(path).map(|metadata| metadata.dev()).with_context(|| path.to_owned());
        if self.shared || device(&self.upper)? == device(&self.lower)? {
            return Ok(());
        }
        let (needed, free) = (found.bytes + found.bytes / 20, room(&self.lower)?.available);
        anyhow::ensure!(needed <= free, "the lower has {} free, and {} are needed", rounded(free), rounded(needed));
        Ok(())
    }

    fn carried_out(&self, choice: &Choice, found: &Found) -> Result<Committed> {
        if let Some(path) = &self.fingerprint {
            // The lower is about to change. A cut from here on is no reason to refuse the rest.
            files::remove(path)?;
            sync_parent(path)?;
        }
        let until = Instant::now().checked_add(self.time);
        let (upper, lower) = (Path::new(&self.upper), Path::new(&self.lower));
        let done = run(&Request { upper, lower, choice, until }, found, &mut Calls::default())?;
        let (state, why) = match done.ended {
            Ended::Whole => (State::Done, None),
            Ended::Time => (State::Partial, Some(format!("{} s were over", self.time.as_secs()))),
            Ended::Failed(why) => (State::Failed, Some(why)),
        };
        let stays =
            |left: overlayroot_linux::commit::Left| Stays { path: format!("/{}", left.path.display()), why: left.why };
        Ok(Committed {
            state,
            entries: done.entries,
            bytes: done.bytes,
            // Who nests directories must not fill the record: of longer paths the number tells.
            stays: done.left.into_iter().filter(|left| left.path.as_os_str().len() <= LONGEST).map(stays).collect(),
            stays_count: done.left_count,
            why,
            took_ms: 0,
        })
    }
}
