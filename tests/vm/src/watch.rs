// SPDX-License-Identifier: GPL-2.0-or-later
//! Watches a guest from its start to its end.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::engine::{self, Engine};
use crate::host;
use crate::machine::{Attach, Boot, Outcome, read};
use crate::ram::Sampler;
use crate::{mconsole, qmp, uml};

const POLL: Duration = Duration::from_millis(150);

/// A guest which runs.
pub(crate) struct Watch<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) boot: &'a Boot,
    pub(crate) child: Child,
    pub(crate) start: Instant,
}

impl Watch<'_> {
    /// Waits for the verdict and for QEMU's end; kills the guest when either takes too long.
    pub(crate) fn until_end(mut self) -> Result<Outcome> {
        let mut verdict = None;
        let mut before = None;
        let mut measured = Measured::new(self.boot.measured.then(|| self.dir.join("qmp")));
        let mut late: Vec<_> = self.boot.disks.iter().enumerate().filter(|(_, a)| a.late.is_some()).collect();
        let mut seen = vec![None; self.boot.disks.len()];
        let mut failure = None;
        loop {
            if let Some(status) = self.child.try_wait()? {
                failure = failure.or(status.signal().map(|signal| format!("the guest died of signal {signal}")));
                break;
            }
            if verdict.is_none() {
                let said = self.channel();
                measured.look(&said, self.start.elapsed());
                if has(&said, "VERDICT ") {
                    verdict = Some(self.start.elapsed());
                    before = Some(read(&self.dir.join("serial.log")));
                }
            }
            let over = match verdict {
                None if self.start.elapsed() > self.boot.timeout => Some("hung: no verdict in time".to_owned()),
                Some(at) if self.start.elapsed() > at + self.boot.shutdown => {
                    Some("the shutdown takes too long".to_owned())
                }
                _ => None,
            };
            let plugged = self.plug_in(&mut late, &mut seen).err().map(|error| format!("{error:#}"));
            if over.is_some() {
                self.keep_tasks();
            }
            failure = failure.or(over).or(plugged);
            if failure.is_some() || (self.boot.measured && verdict.is_some()) {
                self.child.kill()?;
                self.child.wait()?;
                break;
            }
            sleep(POLL);
        }
        let all = before.filter(|_| failure.is_none()).unwrap_or_else(|| read(&self.dir.join("serial.log")));
        Ok(measured.end(Outcome { console: host::tail(&plain(&all), 25), ..self.outcome(failure, verdict) }))
    }

    /// A guest that hangs is asked what it is at; the answer lies beside its logs.
    fn keep_tasks(&self) {
        if self.boot.engine == Engine::Uml {
            let state = read(&PathBuf::from(format!("/proc/{}/status", self.child.id())));
            let _ = fs::write(self.dir.join("tasks.log"), mconsole::tasks(&uml::control(self.dir), self.dir) + &state);
        }
    }

    fn plug_in(&self, late: &mut Vec<(usize, &Attach)>, seen: &mut [Option<Instant>]) -> Result<()> {
        if late.is_empty() {
            return Ok(());
        }
        let log = read(&self.dir.join("serial.log"));
        for &(index, attach) in late.iter() {
            let Some((after, text)) = &attach.late else {
                continue;
            };
            let at = seen.get_mut(index).context("a disk without a place")?;
            if at.is_none() && log.contains(text.as_str()) {
                *at = Some(Instant::now());
            }
            if at.is_some_and(|at| at.elapsed() >= *after) {
                match self.boot.engine {
                    Engine::Qemu => qmp::add_disk(&self.dir.join("qmp"), &format!("d{index}"), &attach.serial)?,
                    Engine::Uml => {
                        let name = engine::disk_name(index);
                        mconsole::add_disk(&uml::control(self.dir), self.dir, &name, &attach.path)?;
                    }
                }
                late.retain(|(other, _)| *other != index);
                // the list changed: the others get their turn at the next poll
                break;
            }
        }
        Ok(())
    }

    fn channel(&self) -> String {
        read(&self.dir.join("channel"))
    }

    fn outcome(&self, failure: Option<String>, verdict: Option<Duration>) -> Outcome {
        let text = self.channel();
        let line = text.lines().find(|line| line.starts_with("VERDICT "));
        let said = match line {
            Some("VERDICT PASS") => None,
            Some(line) => Some(format!("{} lines failed", line.trim_start_matches("VERDICT FAIL "))),
            None => Some("the guest ended without a verdict".to_owned()),
        };
        let total = self.start.elapsed();
        let verdict = verdict.or(line.map(|_| total));
        let ready = text.lines().find_map(|line| line.strip_prefix("READY "));
        let shown = |line: &&str| line.starts_with("FAILED ") || line.starts_with("| ");
        Outcome {
            failure: failure.or(said),
            failed: text.lines().filter(shown).collect::<Vec<_>>().join("\n"),
            verdict,
            ready: ready.and_then(|text| text.parse().ok()),
            up: None,
            ram: None,
            shutdown: verdict.map_or(Duration::ZERO, |at| total.saturating_sub(at)),
            serial: self.dir.join("serial.log"),
            console: String::new(),
        }
    }
}

/// What is measured of a boot until its system is ready.
struct Measured {
    up: Option<Duration>,
    /// Asked in a measured boot only.
    ram: Option<Sampler>,
    /// Why it is not known.
    unknown: Option<String>,
}

impl Measured {
    fn new(qmp: Option<PathBuf>) -> Self {
        Self { up: None, ram: qmp.map(Sampler::new), unknown: None }
    }

    fn look(&mut self, said: &str, now: Duration) {
        if self.up.is_none() && has(said, "READY ") {
            self.up = Some(now);
        }
        if let (None, None, Some(ram)) = (self.up, &self.unknown, &mut self.ram) {
            self.unknown = ram.look(now).err().map(|error| format!("the guest's RAM: {error:#}"));
        }
    }

    fn end(self, outcome: Outcome) -> Outcome {
        let seen = self.ram.as_ref().and_then(Sampler::seen);
        let never = || "the guest never said how much of its RAM it uses".to_owned();
        let unknown = self.unknown.or_else(|| (self.ram.is_some() && seen.is_none()).then(never));
        Outcome { failure: outcome.failure.or(unknown), up: self.up, ram: seen, ..outcome }
    }
}

fn has(said: &str, word: &str) -> bool {
    said.lines().any(|line| line.starts_with(word))
}

/// Text without carriage returns and colours.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split('\u{1b}');
    out.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // the escape ends with its first letter
        out.push_str(part.split_once(|c: char| c.is_ascii_alphabetic()).map_or("", |(_, rest)| rest));
    }
    out.replace('\r', "")
}
