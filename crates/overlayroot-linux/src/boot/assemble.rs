// SPDX-License-Identifier: GPL-2.0-or-later
//! The whole way of one boot: read, probe, decide, execute, record.

use crate::boot::earlier;
use crate::probe::backing::Journal;
use crate::probe::{self, identity, image};
use crate::source::{self, recordfile};
use crate::step::execute;
use crate::step::report::Report;
use crate::sys::{files, mounts};
use anyhow::Result;
use overlayroot_core::config::Config;
use overlayroot_core::facts::fetched::Fetched;
use overlayroot_core::facts::nfs;
use overlayroot_core::facts::other_overlays;
use overlayroot_core::facts::{Facts, Root};
use overlayroot_core::feature::populated::Populated;
use overlayroot_core::feature::{self, populate};
use overlayroot_core::keys::Fallback;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::lex;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::plan::fallback::{self, Why};
use overlayroot_core::plan::{self, Decision};
use overlayroot_core::record::{Outcome, Reason, Record, Requested, SCHEMA};
use overlayroot_core::step::effective::{Effective, RootKind};
use overlayroot_core::step::path_state::{PathOutcome, PathState};
use overlayroot_core::step::plan::Plan;
use overlayroot_core::upper::Upper;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::redact;
use std::path::Path;
use std::time::Instant;

/// What the caller does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Go on booting.
    Boot,
    /// The policy is `halt`: stop and give the emergency shell.
    Halt,
    /// The root is not mounted yet; ask again later.
    NotYet,
}

/// Configuration and facts of this initramfs.
pub fn read_machine(journal: Journal) -> Result<(Config, Facts)> {
    let mounts = mounts::read()?;
    let mounted = mountinfo::at(&mounts, paths::SYSROOT).is_some();
    let inputs = source::read(mounted.then_some(paths::SYSROOT));
    let config = Config::read(&inputs);
    if mounted && plan::needs_facts(&config) {
        let facts = probe::initramfs(&config, &lex(&inputs.cmdline), &mounts, journal);
        return Ok((config, facts));
    }
    // Nothing to do, so nothing to look at: an ordinary boot pays nothing. The record tells of its image.
    let root = mounted.then(Root::default);
    let facts = Facts { fetched: root.as_ref().and_then(|_| image::fetched()), root, ..Facts::default() };
    Ok((config, facts))
}

/// What comes before anything is mounted. Takes the stock overlayfs module's hooks away before its first one runs,
/// where we will act; a boot that is another party's keeps them. Names this machine to its NFS server. Has overlayfs
/// loaded while udev works.
///
/// # Errors
/// Those of the file system.
pub fn stand_down() -> Result<()> {
    let inputs = source::read(None);
    let args = lex(&inputs.cmdline);
    if Config::read(&inputs).upper.value == Upper::Off {
        return Ok(());
    }
    probe::begin_loading_overlay();
    if nfs::is_unnamed(&args) {
        identity::name_nfs_client(&args)?;
    }
    if other_overlays::find(&args, "", "", None).is_empty() {
        for hook in probe::stock_hooks() {
            files::remove(&hook)?;
        }
    }
    Ok(())
}

/// Makes the root an overlay, or what the policy says instead, and records it.
///
/// Idempotent: a record of this boot ends it.
///
/// # Errors
/// Where the machine can't even be looked at; the root is untouched then.
pub fn assemble(by: &str) -> Result<Verdict> {
    // /run begins empty at every boot. After `halt` too the second call boots: whoever leaves the
    // emergency shell wants to go on.
    if Path::new(paths::RECORD).exists() {
        return Ok(Verdict::Boot);
    }
    let (started_ms, started) = (uptime_ms(), Instant::now());
    let (config, facts) = read_machine(Journal::Replay)?;
    let decision = plan::decide(&config, &facts);
    if decision == Decision::NotYet {
        return Ok(Verdict::NotYet);
    }
    let mut run = Run { reasons: earlier::reasons(), ..Run::default() };
    let (effective, outcome) = run.decide(&config, &facts, decision);
    let kept = effective.store.is_some();
    let populated = populated(&config, &run.report);
    let paths = path_states(effective.paths.clone(), &run.report.failed_paths);
    let record = Record {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: recordfile::boot_id(),
        outcome,
        requested: Requested::of(&config),
        effective: Effective { reset: run.report.reset, hostname: run.report.hostname, paths, ..effective },
        reasons: run.reasons,
        issues: config.issues,
        fingerprint: facts.root.filter(|_| kept).map(|root| run.report.fingerprint.unwrap_or(root.fingerprint)),
        stale: run.report.stale,
        populate: populated,
        image: facts.fetched,
        made: run.report.made,
        notes: run.notes.into_iter().chain(run.report.notes).collect(),
        steps: run.report.steps,
        by: by.to_owned(),
        started_ms,
        took_us: execute::micros(started),
    };
    tell(&record);
    if let Err(error) = recordfile::write(&record) {
        crate::log::error!("the record could not be written: {error:#}");
    }
    Ok(verdict(record.effective.root))
}

/// The paths of a plan, those marked whose steps failed.
fn path_states(mut paths: Vec<PathState>, failed: &[(String, String)]) -> Vec<PathState> {
    for state in &mut paths {
        if let Some((_, why)) = failed.iter().find(|(path, _)| *path == state.path) {
            state.outcome = PathOutcome::Failed;
            state.why = Some(why.clone());
        }
    }
    paths
}

/// What became of the archive that was asked for, also where no step came to it.
fn populated(config: &Config, report: &Report) -> Option<Populated> {
    let asked = config.populate.value.as_ref()?;
    let none = || Populated {
        source: redact::told(&asked.source.to_string()),
        why: Some("unready".to_owned()),
        ..Populated::default()
    };
    Some(report.populate.clone().unwrap_or_else(none))
}

fn verdict(root: RootKind) -> Verdict {
    match root {
        RootKind::None => Verdict::Halt,
        RootKind::Overlay | RootKind::Plain | RootKind::Ro | RootKind::Foreign => Verdict::Boot,
    }
}

#[derive(Default)]
struct Run {
    report: Report,
    reasons: Vec<Reason>,
    notes: Vec<String>,
}

impl Run {
    fn decide(&mut self, config: &Config, facts: &Facts, decision: Decision) -> (Effective, Outcome) {
        let thawed = Path::new(paths::THAWED).exists();
        let plan = match decision {
            // An image that is not the one that was named boots nothing.
            Decision::Instead(ref refusal, _) if thawed && refusal.code != feature::image::CODE => {
                return self.thawed(config);
            }
            Decision::Do(_) if thawed => return self.thawed(config),
            Decision::Off | Decision::NotYet => {
                self.notes.clone_from(&config.notes);
                return (Effective::plain(RootKind::Plain), Outcome::Off);
            }
            Decision::Do(plan) => plan,
            Decision::Instead(refusal, plan) => {
                self.reasons.push(Reason { code: refusal.code.to_owned(), text: refusal.text, kernel: Vec::new() });
                plan
            }
        };
        let done = match self.execute(&plan) {
            Some(done) => {
                self.reasons.extend(earlier::passed_over(config, &plan));
                Some(done)
            }
            None => self.instead(config, facts),
        };
        let effective = done.unwrap_or_else(|| Effective::plain(RootKind::Plain));
        let blemished = !self.reasons.is_empty() || !config.issues.is_empty();
        let plain_is_policy = config.fallback.value == Fallback::None || config.misunderstood();
        let outcome = Outcome::of(effective.root, blemished, plain_is_policy);
        (effective, outcome)
    }

    /// No overlay, for one boot.
    fn thawed(&mut self, config: &Config) -> (Effective, Outcome) {
        self.notes.clone_from(&config.notes);
        (Effective::plain(RootKind::Plain), Outcome::Thawed)
    }

    /// What the policy makes instead of a plan that failed; where that fails in turn for want of its archive, the same
    /// without the archive.
    fn instead(&mut self, config: &Config, facts: &Facts) -> Option<Effective> {
        let failed = self.failed();
        let first = self.execute(&fallback::fallback(config, facts, Why::Failed(&failed)));
        let without_archive = first.is_none() && failed != populate::CODE && self.failed() == populate::CODE;
        if !without_archive {
            return first;
        }
        self.execute(&fallback::fallback(config, facts, Why::Failed(populate::CODE)))
    }

    /// The step that failed last.
    fn failed(&self) -> String {
        self.reasons.last().map(|reason| reason.code.clone()).unwrap_or_default()
    }

    /// What runs after the plan, or `None` where it failed and was undone.
    fn execute(&mut self, plan: &Plan) -> Option<Effective> {
        match execute::run(&plan.steps, &mut self.report) {
            Ok(soft) => {
                let without = plan.without.iter();
                self.reasons.extend(without.map(|lack| Reason {
                    code: lack.code.to_owned(),
                    text: lack.text.clone(),
                    kernel: Vec::new(),
                }));
                self.reasons.extend(soft);
                self.notes.clone_from(&plan.notes);
                Some(plan.effective.clone())
            }
            Err(reason) => {
                self.reasons.push(reason);
                None
            }
        }
    }
}

/// One line for what runs, one for each thing that is not as it was asked for.
fn tell(record: &Record) {
    for issue in &record.issues {
        crate::log::warning!("{issue}");
    }
    if let Some(complaint) = record.image.as_ref().and_then(Fetched::complaint) {
        crate::log::warning!("{complaint}");
    }
    for reason in &record.reasons {
        crate::log::error!("{}", reason.text);
        for line in &reason.kernel {
            crate::log::error!("kernel: {line}");
        }
    }
    let (word, now) = (record.outcome.word(), &record.effective);
    match record.outcome {
        Outcome::Off => crate::log::debug!("{word}: no overlay is configured"),
        Outcome::Applied => crate::log::info!("{word}: {now}, {} ms", record.took_us / 1000),
        Outcome::Thawed => crate::log::warning!("{word}: no overlay, as overlayctl thaw asked for; {}", now.changes()),
        Outcome::Degraded | Outcome::Refused | Outcome::Failed => {
            crate::log::error!(
                "{word}: asked for {} ({}); running: {now}; {}",
                escape(&record.requested.spec),
                record.requested.origin,
                now.changes()
            )
        }
    }
}

/// Milliseconds since the kernel's start; /proc/uptime has hundredths of a second.
fn uptime_ms() -> u64 {
    let text = files::ask_kernel("/proc/uptime").unwrap_or_default();
    let digits: String = text.chars().take_while(|c| *c != ' ').filter(char::is_ascii_digit).collect();
    digits.parse::<u64>().unwrap_or(0).saturating_mul(10)
}
