// SPDX-License-Identifier: GPL-2.0-or-later
//! What a run prints of its jobs, and what it keeps of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::plan::Job;

/// How far a run is: by the weights of its cases, for a few take as long as many others.
pub(crate) struct Progress {
    start: Instant,
    cells: usize,
    weight: usize,
    /// Cells that ended, and their weight.
    done: Mutex<(usize, usize)>,
}

impl Progress {
    pub(crate) fn new(jobs: &[Job]) -> Self {
        let weight = jobs.iter().map(Job::weight).sum();
        Self { start: Instant::now(), cells: jobs.len(), weight, done: Mutex::new((0, 0)) }
    }

    /// What stands before the line of a job that has ended.
    pub(crate) fn after(&self, job: &Job) -> String {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done = (done.0 + 1, done.1 + job.weight());
        let left = self.weight.saturating_sub(done.1);
        let seconds = self.start.elapsed().as_secs() * left as u64 / done.1.max(1) as u64;
        format!("[{:>3}/{}, {:>2} min left]", done.0, self.cells, seconds.div_ceil(60))
    }
}

/// The line of a job that has ended.
pub(crate) fn line(job: &Job, elapsed: Duration, shutdown: Duration, failure: Option<&str>) -> String {
    let word = if failure.is_some() { "FAIL" } else { "ok  " };
    let seconds = elapsed.as_secs_f32();
    let shutdown = shutdown.as_secs_f32();
    let (name, cell, engine) = (&job.case.name, job.cell.to_string(), job.engine);
    let mut text = format!("{word} {name:<34} {cell:<17} {engine:<4} {seconds:6.1} s (shutdown {shutdown:.1})");
    if let Some(failure) = failure {
        text.push_str(&format!("\n     {}", failure.replace('\n', "\n     ")));
    }
    text
}

/// Copies the logs of a job to where they stay.
pub(crate) fn keep_logs(host: &Host, job: &Job, dir: &Path) -> PathBuf {
    let logs = host.work.join("logs").join(job.case.file_name(job.cell));
    // logs of an earlier run of the same cell would only mislead
    let _ = fs::remove_dir_all(&logs);
    let _ = fs::create_dir_all(&logs);
    copy_logs(dir, &logs, "");
    logs
}

/// Those of the server and of the nodes lie in directories of their own.
pub(crate) fn copy_logs(dir: &Path, logs: &Path, prefix: &str) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let log = path.extension().is_some_and(|e| e == "log") || path.ends_with("channel");
        if log {
            let _ = fs::copy(&path, logs.join(format!("{prefix}{name}")));
        } else if prefix.is_empty() && (name == "server" || name.starts_with("node")) {
            copy_logs(&path, logs, &format!("{name}-"));
        }
    }
}
