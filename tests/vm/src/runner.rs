// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs cases: a few guests at once, and what they leave on their disks.

mod prepare;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::case::Case;
use crate::cell::Cell;
use crate::disk::{self, CaseDisk};
use crate::engine::{self, Engine};
use crate::fsimage;
use crate::host::{self, Host};
use crate::journal::Journal;
use crate::machine::{Boot, Machine, Outcome, read};
use crate::net;
use crate::parted;
use crate::plan::{Job, Sets};
use crate::progress::{Progress, keep_logs, line};

/// What came of a case in a cell.
#[derive(Clone, Debug)]
pub struct Finished {
    /// The case's name.
    pub name: String,
    /// Its cell.
    pub cell: Cell,
    /// What ran its guests.
    pub engine: Engine,
    /// From begin to end.
    pub elapsed: Duration,
    /// The longest shutdown of its boots.
    pub shutdown: Duration,
    /// Of each boot, from its start to its power-off.
    pub boots: Vec<Duration>,
    /// Why it failed.
    pub failure: Option<String>,
    /// The day of an earlier run, where the result is that one's.
    pub kept: Option<String>,
}

/// Runs jobs, so many at once and one of those that wait most of the time, and prints a line for each when it ends. None
/// is begun after `until`; what is left comes back beside the results.
#[must_use]
pub fn run_all(
    host: &Host,
    sets: &Sets,
    jobs: Vec<Job>,
    at_once: usize,
    keep: bool,
    journal: &Journal,
    until: Option<Instant>,
) -> (Vec<Finished>, Vec<Job>) {
    let progress = Progress::new(&jobs);
    let queue = Mutex::new(VecDeque::from(jobs));
    let done = Mutex::new(Vec::new());
    let work = |take: fn(&mut VecDeque<Job>) -> Option<Job>| {
        while until.is_none_or(|until| Instant::now() < until) {
            let job = take(&mut queue.lock().unwrap_or_else(PoisonError::into_inner));
            let Some(job) = job else { return };
            let finished = run_job(host, sets, &job, keep, &progress);
            journal.add(&job, sets, &finished);
            done.lock().unwrap_or_else(PoisonError::into_inner).push(finished);
        }
    };
    thread::scope(|scope| {
        for _ in 0..at_once.max(1) {
            scope.spawn(|| work(VecDeque::pop_front));
        }
        if at_once > 1 {
            scope.spawn(|| work(next_that_waits));
        }
    });
    // empty now, or of use to nobody
    let _ = fs::remove_dir_all(run_dir(host));
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by(|a, b| (&a.name, a.cell).cmp(&(&b.name, b.cell)));
    (done, queue.into_inner().unwrap_or_else(PoisonError::into_inner).into())
}

fn next_that_waits(queue: &mut VecDeque<Job>) -> Option<Job> {
    queue.remove(queue.iter().position(|job| job.case.waits)?)
}

fn run_dir(host: &Host) -> PathBuf {
    host.work.join(format!("run-{}", std::process::id()))
}

fn run_job(host: &Host, sets: &Sets, job: &Job, keep: bool, progress: &Progress) -> Finished {
    // Not by the case's name: user-mode Linux has the paths of its disks on its command line, where the guest looks for
    // words such as `autorelabel`.
    let dir = run_dir(host).join(format!("{}-{}-{}", job.case.digest, job.cell.suite, job.cell.initrd));
    let start = Instant::now();
    let mut run = Run { host, job, dir: &dir, shutdown: Duration::ZERO, boots: Vec::new(), evidence: String::new() };
    let failure = run.run(sets).err().map(|error| format!("{error:#}"));
    let elapsed = start.elapsed();
    let mut report = line(job, elapsed, run.shutdown, failure.as_deref());
    if failure.is_some() || keep {
        let logs = keep_logs(host, job, &dir);
        if failure.is_some() {
            report.push_str(&run.evidence);
        }
        report.push_str(&format!("\n     logs: {}", logs.display()));
    }
    host::say(&format!("{} {report}", progress.after(job)));
    // the next run makes its own; what is of use was kept
    let _ = fs::remove_dir_all(&dir);
    Finished {
        name: job.case.name.clone(),
        cell: job.cell,
        engine: job.engine,
        elapsed,
        shutdown: run.shutdown,
        boots: run.boots,
        failure,
        kept: None,
    }
}

struct Run<'a> {
    host: &'a Host,
    job: &'a Job,
    dir: &'a Path,
    shutdown: Duration,
    boots: Vec<Duration>,
    evidence: String,
}

impl Run<'_> {
    fn run(&mut self, sets: &Sets) -> Result<()> {
        let (case, cell) = (&self.job.case, self.job.cell);
        // before the disks and the initramfs, which lie in it
        fs::create_dir_all(self.dir).with_context(|| self.dir.display().to_string())?;
        let set = sets.get(&(cell.suite, case.variant.flavour())).context("no images")?;
        let initrd = self.initrd(set, case.variant)?;
        let (root, pristine) = self.root(set, &initrd)?;
        if let Some(net) = &case.net {
            let arguments = self.arguments();
            let (host, dir, engine) = (self.host, self.dir, self.job.engine);
            let (initrd, export) = (&initrd, &root);
            let stage = net::Stage { host, case, net, set, initrd, export, dir, engine, arguments, measured: false };
            return net::run(&stage, &mut |outcome, planned| self.judge(outcome, &planned.console));
        }
        let machine = Machine::new(self.host, self.dir)?;
        let mut disks = Vec::new();
        for spec in &case.disk {
            disks.push(CaseDisk::make(self.host, self.dir, spec)?);
        }
        let boots = case.boots();
        for (index, planned) in boots.iter().enumerate() {
            let what = format!("boot {} of {}", index + 1, boots.len());
            if let Some(lines) = &planned.before {
                host::shell(lines, &[("IMG", &root), ("TMP", self.dir)]).with_context(|| format!("before {what}"))?;
            }
            let variant = planned.variant;
            let initrd = if planned.own_initrd {
                self.own_initrd(set, &root)?
            } else if variant == case.variant {
                initrd.clone()
            } else {
                self.initrd(sets.get(&(cell.suite, variant.flavour())).context("no images")?, variant)?
            };
            let boot = self.boot(set, planned, &initrd, &root, &disks);
            let console: Vec<_> =
                planned.console.iter().map(|text| engine::names(boot.engine, text, &boot.disks)).collect();
            self.one(&machine, &boot, &console).with_context(|| what.clone())?;
            if let Some(before) = &pristine {
                disk::same(before, &root).context("the lower's disk changed").with_context(|| what.clone())?;
            }
            if case.root_kept {
                let clean = match case.root.table() {
                    Some(_) => parted::check_clean(&root),
                    None => fsimage::check_clean(case.root.fs(), &root),
                };
                clean.context("the root is not clean").with_context(|| what.clone())?;
            }
            for disk in &disks {
                disk.check(self.dir).with_context(|| what.clone())?;
            }
        }
        disks.iter().try_for_each(|disk| disk.after(self.dir))
    }

    fn one(&mut self, machine: &Machine<'_>, boot: &Boot, console: &[String]) -> Result<()> {
        self.judge(machine.boot(boot)?, console)
    }

    fn judge(&mut self, outcome: Outcome, console: &[String]) -> Result<()> {
        self.shutdown = self.shutdown.max(outcome.shutdown);
        self.boots.push(outcome.verdict.unwrap_or_default() + outcome.shutdown);
        let Some(failure) = outcome.failure else {
            let log = read(&outcome.serial);
            ensure!(!log.contains("and so not clean"), "overlay-shutdown left a file system writable");
            for line in console {
                match line.strip_prefix('!') {
                    Some(not) => ensure!(!log.contains(not), "the console has '{not}'"),
                    None => ensure!(log.contains(line), "the console does not have '{line}'"),
                }
            }
            return Ok(());
        };
        for (title, text) in [("lines which failed", &outcome.failed), ("end of the console", &outcome.console)] {
            let text = text.replace('\n', "\n     ");
            self.evidence.push_str(&format!("\n     -- {title}:\n     {text}"));
        }
        ensure!(false, "{failure}");
        Ok(())
    }
}

/// The case's images, as a job needs them: that of each boot, and the root's.
#[must_use]
pub fn needs(job: &Job) -> Vec<crate::plan::Need> {
    let case: &Case = &job.case;
    let variants = case.boots().into_iter().map(|boot| boot.variant);
    let mut needs: Vec<_> =
        variants.chain([case.variant]).map(|variant| (job.cell, variant, case.root, job.engine)).collect();
    let images = case.net.iter().flat_map(|net| &net.images);
    needs.extend(images.map(|image| (job.cell, case.variant, image.kind(), job.engine)));
    needs
}
