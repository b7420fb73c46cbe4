// SPDX-License-Identifier: GPL-2.0-or-later
//! Results of earlier runs, so that a long run which was ended can be gone on with. A result counts
//! again only where every byte that was booted, the case and the harness are the same.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::host::Host;
use crate::plan::{Job, Sets};
use crate::roots;
use crate::runner::Finished;

/// One result, a line of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry {
    key: String,
    case: String,
    cell: String,
    day: String,
    passed: bool,
    seconds: f32,
    shutdown: f32,
}

/// The file of results.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    passed: BTreeMap<String, Entry>,
    today: String,
}

impl Journal {
    /// Reads the results of earlier runs; later ones replace earlier ones.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn open(host: &Host, today: &str) -> Result<Self> {
        let path = host.cache.join("results.jsonl");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            other => other.with_context(|| path.display().to_string())?,
        };
        let mut passed = BTreeMap::new();
        // a line which was cut by the end of its run is no result
        for entry in text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok()) {
            if entry.passed {
                passed.insert(entry.key.clone(), entry)
            } else {
                passed.remove(&entry.key)
            };
        }
        Ok(Self { path, passed, today: today.to_owned() })
    }

    /// The result of this job, if it passed with these very bytes.
    #[must_use]
    pub fn passed(&self, job: &Job, sets: &Sets) -> Option<Finished> {
        let entry = self.passed.get(&key(job, sets)?)?;
        Some(Finished {
            name: job.case.name.clone(),
            cell: job.cell,
            engine: job.engine,
            elapsed: Duration::from_secs_f32(entry.seconds),
            shutdown: Duration::from_secs_f32(entry.shutdown),
            boots: Vec::new(),
            failure: None,
            kept: Some(entry.day.clone()),
        })
    }

    /// Adds a result; one that cannot be written is only not there the next time.
    pub fn add(&self, job: &Job, sets: &Sets, finished: &Finished) {
        let Some(key) = key(job, sets) else { return };
        let entry = Entry {
            key,
            case: finished.name.clone(),
            cell: finished.cell.to_string(),
            day: self.today.clone(),
            passed: finished.failure.is_none(),
            seconds: finished.elapsed.as_secs_f32(),
            shutdown: finished.shutdown.as_secs_f32(),
        };
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        if let (Ok(mut file), Ok(line)) = (file, serde_json::to_string(&entry)) {
            let _ = writeln!(file, "{line}");
        }
    }
}

/// What a result stands for: kernel, initramfs, root and project (the image set's own key), the
/// case, and how the harness boots.
fn key(job: &Job, sets: &Sets) -> Option<String> {
    let set = sets.get(&(job.cell.suite, job.case.variant.flavour()))?;
    let mut hash = Sha256::new();
    for part in [set.key(), &job.case.digest, &job.cell.to_string(), &job.engine.to_string()] {
        hash.update(part);
        hash.update([0]);
    }
    hash.update(include_str!("runner.rs"));
    hash.update(include_str!("runner/prepare.rs"));
    for text in [include_str!("machine.rs"), include_str!("qemu.rs"), include_str!("uml.rs"), include_str!("engine.rs")]
    {
        hash.update(text);
    }
    hash.update(include_str!("disk.rs"));
    Some(roots::short(hash))
}
