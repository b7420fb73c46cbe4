// SPDX-License-Identifier: GPL-2.0-or-later
//! One request: read, checked against both layers, and carried out.

use anyhow::{Context, Result};
use overlayroot_core::feature::commit::{Asked, Committed, State, Stays};
use overlayroot_core::value::size::rounded;
use overlayroot_linux::commit::{Calls, Choice, Ended, Found, Request, revert, run, scan};
use overlayroot_linux::sys::statvfs::room;
use overlayroot_linux::sys::sync::sync_parent;
use overlayroot_linux::sys::{files, json, writable};
use std::fs;
use std::io::ErrorKind;
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
    pub(crate) trash: String,
    pub(crate) result: Option<String>,
    pub(crate) fingerprint: Option<String>,
    pub(crate) own: Option<String>,
    pub(crate) keep: Vec<String>,
    pub(crate) refused: Option<String>,
    pub(crate) moved: bool,
    pub(crate) shared: bool,
    pub(crate) closed: bool,
    pub(crate) time: Duration,
}

impl Job {
    /// Does it, and says so where it was asked to; the request goes last.
    pub(crate) fn run(&self) -> Committed {
        let started = Instant::now();
        let mut done = self.tried();
        if done.state == State::Done {
            if let Err(error) = files::remove(&self.request).and_then(|()| sync_parent(&self.request)) {
                done.state = State::Failed;
                done.why = Some(format!("{error:#}"));
            }
        }
        done.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let told = self.result.as_deref().map(|path| {
            fs::create_dir_all(Path::new(path).parent().unwrap_or(Path::new("/")))?;
            json::write(path, &done)
        });
        if let Some(Err(error)) = told {
            eprintln!("overlay-commit: {error:#}");
        }
        done
    }

    fn tried(&self) -> Committed {
        let failed = |state, error: anyhow::Error| Committed::ended(state, Some(format!("{error:#}")));
        let asked = match self.asked() {
            Err(error) => return failed(State::Refused, error),
            Ok(asked) => asked,
        };
        match fs::symlink_metadata(&self.upper) {
            // It was on the disk no sooner than its changes: a power cut took both, and left the request.
            Err(error) if error.kind() == ErrorKind::NotFound => return Committed::ended(State::Done, None),
            Ok(_) | Err(_) => {}
        }
        if let Some(paths) = &asked.revert {
            return self.reverted(paths);
        }
        match self.checked(&asked) {
            Err(error) => failed(State::Refused, error),
            Ok((choice, found)) => {
                self.carried_out(&choice, &found).unwrap_or_else(|error| failed(State::Failed, error))
            }
        }
    }

    fn asked(&self) -> Result<Asked> {
        let text = files::read_small(&self.request).with_context(|| format!("reading {}", self.request))?;
        let asked: Asked = serde_json::from_slice(&text).with_context(|| format!("{} is not valid", self.request))?;
        if let Some(paths) = &asked.revert {
            let plain = !paths.is_empty() && paths.iter().all(|path| is_plain(path));
            anyhow::ensure!(plain, "{} is not valid: no path, or one that can't be reverted", self.request);
        }
        Ok(asked)
    }

    fn reverted(&self, paths: &[String]) -> Committed {
        let mut done = revert::Reverted::default();
        let ended = revert::discard(&self.upper, &self.lower, &self.trash, paths, &mut done);
        let state = if ended.is_ok() { State::Done } else { State::Failed };
        let why = ended.err().map(|error| format!("{error:#}"));
        let stays_count = u64::try_from(done.stays.len()).unwrap_or(u64::MAX);
        done.stays.retain(|stays| stays.path.len() <= LONGEST);
        let (entries, stays) = (done.moved, done.stays);
        Committed { revert: true, entries, stays, stays_count, ..Committed::ended(state, why) }
    }

    /// What is to be moved.
    ///
    /// # Errors
    /// Why nothing is.
    fn checked(&self, asked: &Asked) -> Result<(Choice, Found)> {
        if let Some(why) = &self.refused {
            anyhow::bail!("{why}");
        }
        anyhow::ensure!(
            asked.force || !self.moved,
            "the lower has changed since the upper was created, and older files would replace newer ones: see overlayctl \
             stale, then overlayctl commit --force"
        );
        let choice = Choice::asked(asked, &self.keep, self.own.as_deref());
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
        if self.closed {
            // Who started this closes it again.
            writable::open(&self.lower)?;
        }
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
            entries: done.entries,
            bytes: done.bytes,
            // Who nests directories must not fill the record: of longer paths the number tells.
            stays: done.left.into_iter().filter(|left| left.path.as_os_str().len() <= LONGEST).map(stays).collect(),
            stays_count: done.left_count,
            ..Committed::ended(state, why)
        })
    }
}

/// Whether each part of a path is a name.
fn is_plain(path: &str) -> bool {
    let parts = path.strip_prefix('/').map(|path| path.split('/'));
    parts.is_some_and(|mut parts| parts.all(|part| !matches!(part, "" | "." | "..")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_path_leads_out_of_the_upper() {
        assert!(is_plain("/etc/a: b") && is_plain("/x\"y"));
        for bad in ["", "/", "etc", "/a/../b", "/a//b", "/.", "/a/"] {
            assert!(!is_plain(bad), "{bad}");
        }
    }

    #[test]
    fn a_request_that_is_not_valid_is_refused_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let request = dir.path().join("request.json").display().to_string();
        let result = dir.path().join("new/result.json").display().to_string();
        for bad in
            ["nonsense", "{\"revert\": [\"/a/../b\"]}", "{\"revert\": [\"/\"]}", "{\"revert\": []}", "{\"later\": 1}"]
        {
            fs::write(&request, bad).unwrap();
            let job = Job { request: request.clone(), result: Some(result.clone()), ..Job::default() };
            assert_eq!(job.run().state, State::Refused, "{bad}");
            let told: Committed = serde_json::from_slice(&fs::read(&result).unwrap()).unwrap();
            assert!(told.why.unwrap().contains("is not valid") && fs::exists(&request).unwrap(), "{bad}");
        }
    }
}
