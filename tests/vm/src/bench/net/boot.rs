// SPDX-License-Identifier: GPL-2.0-or-later
//! Boots that are measured.

use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::RUNS;
use super::page::Alone;
use crate::case::Case;
use crate::host;
use crate::machine::Outcome;
use crate::net::Lan;

/// A boot of one or more nodes.
pub(super) struct Round {
    /// To the last node's readiness.
    pub(super) ms: u64,
    /// What the server sent to all of them until then.
    pub(super) bytes: u64,
    /// Of the first node: its own clock, its RAM at most and when that was first seen, what systemd says.
    uptime_ms: u64,
    ram: u64,
    since_ms: u64,
    state: String,
}

/// Medians of one node's boots. The inner error is a guest's.
pub(super) fn alone(lan: &Lan<'_>, case: &Case, label: &str) -> Result<Result<Alone, String>> {
    let mut rounds = Vec::new();
    for run in 1..=RUNS {
        match host::step(&format!("{label}, boot {run} of {RUNS}"), || round(lan, case, 1))? {
            Ok(round) => rounds.push(round),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    let of = |figure: fn(&Round) -> u64| median(rounds.iter().map(figure).collect());
    let mut states: Vec<_> = rounds.iter().map(|round| round.state.clone()).collect();
    states.dedup();
    Ok(Ok(Alone {
        ms: of(|round| round.ms)?,
        bytes: of(|round| round.bytes)?,
        uptime_ms: of(|round| round.uptime_ms)?,
        ram: of(|round| round.ram)?,
        since_ms: of(|round| round.since_ms)?,
        state: states.join(", "),
    }))
}

/// Boots so many nodes at once. The inner error is a guest's.
pub(super) fn round(lan: &Lan<'_>, case: &Case, nodes: usize) -> Result<Result<Round, String>> {
    let mut planned = case.boots().into_iter().next().context("no boot")?;
    // a node that is ready first waits for the last, and for the server to count
    let wait = if nodes == 1 { 5 } else { 30 };
    planned.holds.push_str(&format!("\n+ systemctl is-system-running\nsleep {wait}\n"));
    let before = lan.sent()?;
    let (outcomes, sent) = lan.boot(&planned, nodes, |over| {
        while !all_ready(lan, nodes)? {
            ensure!(!over.load(Ordering::Relaxed), "a node ended before it was ready");
            sleep(Duration::from_millis(100));
        }
        lan.sent()
    })?;
    for (index, outcome) in outcomes.iter().enumerate() {
        if let Some(failure) = &outcome.failure {
            let Outcome { failed, console, .. } = outcome;
            return Ok(Err(format!("node {}: {failure}\n{failed}\n{console}", index + 1)));
        }
    }
    let ups: Option<Vec<_>> = outcomes.iter().map(|outcome| outcome.up).collect();
    let last = ups.context("a node is ready and never said when")?.into_iter().max().context("no node")?;
    let first = outcomes.first().context("no node")?;
    let (ram, uptime) = (first.ram.context("RAM unknown")?, first.ready.context("uptime unknown")?);
    Ok(Ok(Round {
        ms: millis(last)?,
        bytes: sent?.checked_sub(before).context("the server took bytes back")?,
        uptime_ms: millis(Duration::try_from_secs_f32(uptime)?)?,
        ram: ram.peak,
        since_ms: millis(ram.since)?,
        state: state(&lan.said(0)?)?,
    }))
}

fn all_ready(lan: &Lan<'_>, nodes: usize) -> Result<bool> {
    for node in 0..nodes {
        if !lan.said(node)?.lines().any(|line| line.starts_with("READY ")) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What systemd said of itself: one that is still starting was not ready, it was given up.
fn state(said: &str) -> Result<String> {
    let state = said.lines().filter_map(|line| line.strip_prefix("SHOW ")).find(|line| !line.starts_with('$'));
    let state = state.context("no state")?.trim();
    ensure!(["running", "degraded"].contains(&state), "the system is {state}");
    Ok(state.to_owned())
}

fn millis(time: Duration) -> Result<u64> {
    Ok(u64::try_from(time.as_millis())?)
}

fn median(mut all: Vec<u64>) -> Result<u64> {
    all.sort_unstable();
    all.get(all.len() / 2).copied().context("no boots")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![30, 10, 20]).unwrap(), 20);
        assert_eq!(median(vec![7]).unwrap(), 7);
        assert!(median(Vec::new()).is_err());
    }

    #[test]
    fn a_system_that_is_not_up_is_an_error() {
        let said = |state: &str| format!("STAGE host\nREADY 41.2\nSHOW $ systemctl is-system-running\nSHOW {state}\n");
        assert_eq!(state(&said("running")).unwrap(), "running");
        assert_eq!(state(&said("degraded")).unwrap(), "degraded");
        assert!(state(&said("starting")).is_err());
        assert!(state("READY 41.2\n").is_err());
    }
}
