// SPDX-License-Identifier: GPL-2.0-or-later
//! What a run counts, and how it is shown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::guest::Phase;
use super::scenario::{Model, Situation};

/// Of one situation, or of all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) cuts: usize,
    pub(crate) phases: BTreeMap<Phase, usize>,
    /// Records acknowledged by guests.
    pub(crate) acked: usize,
    /// Looks at an acknowledged record after a cut which found it.
    pub(crate) found: usize,
    pub(crate) lost: usize,
    /// Files that are neither the lower's nor what a guest wrote.
    pub(crate) strange: usize,
    /// Differences of the lower's tree.
    pub(crate) lower: usize,
    /// Boots that did not come up as asked.
    pub(crate) wrong: usize,
    /// Boots after a cut which came up and were judged.
    pub(crate) judged: usize,
    pub(crate) longest: Duration,
    /// Boots in which what a reset had moved aside was removed to the end.
    pub(crate) emptied: usize,
    /// Pieces lost and written after the last flush.
    pub(crate) pieces: (usize, usize),
}

/// All counts of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    of: BTreeMap<Situation, Counts>,
    models: BTreeMap<Model, usize>,
}

impl Figures {
    pub(crate) fn of(&mut self, situation: Situation) -> &mut Counts {
        self.of.entry(situation).or_default()
    }

    /// Counts a cut.
    pub(crate) fn cut(&mut self, situation: Situation, model: Model, phase: Phase) {
        *self.models.entry(model).or_default() += 1;
        let counts = self.of(situation);
        counts.cuts += 1;
        *counts.phases.entry(phase).or_default() += 1;
    }

    pub(crate) fn all(&self) -> Counts {
        let mut all = Counts::default();
        for one in self.of.values() {
            for (phase, count) in &one.phases {
                *all.phases.entry(*phase).or_default() += count;
            }
            all.cuts += one.cuts;
            all.acked += one.acked;
            all.found += one.found;
            all.lost += one.lost;
            all.strange += one.strange;
            all.lower += one.lower;
            all.wrong += one.wrong;
            all.judged += one.judged;
            all.emptied += one.emptied;
            all.longest = all.longest.max(one.longest);
            all.pieces = (all.pieces.0 + one.pieces.0, all.pieces.1 + one.pieces.1);
        }
        all
    }

    /// The tables, as Markdown.
    pub(crate) fn tables(&self) -> String {
        let heads: Vec<_> = Phase::ALL.iter().map(|(_, name)| *name).collect();
        let mut out = format!("| cuts | all | {} |\n|---|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
        let all = self.all();
        let rows = || self.of.iter().map(|(what, one)| (what.to_string(), one)).chain([("all".to_owned(), &all)]);
        for (name, one) in rows() {
            let cells = Phase::ALL.map(|(phase, _)| one.phases.get(&phase).copied().unwrap_or(0).to_string());
            // writing to a String can't fail
            let _ = writeln!(out, "| {name} | {} | {} |", one.cuts, cells.join(" | "));
        }
        out.push_str("\n| after them | boots judged | records acknowledged | looked for and found | lost | ");
        out.push_str(
            "strange files | lower differs | not as asked | longest boot |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for (name, one) in rows() {
            let numbers = [one.judged, one.acked, one.found, one.lost, one.strange, one.lower, one.wrong];
            let cells = numbers.map(|number| number.to_string()).join(" | ");
            let _ = writeln!(out, "| {name} | {cells} | {:.1} s |", one.longest.as_secs_f32());
        }
        let models: Vec<_> = self.models.iter().map(|(model, cuts)| format!("{model} {cuts}")).collect();
        let (lost, written) = all.pieces;
        let _ = writeln!(out, "\nCuts by model: {}.", models.join(", "));
        let _ = writeln!(out, "The trash was emptied to its end in {} boots.", all.emptied);
        let _ = writeln!(out, "Of {written} pieces written after the last flush {lost} were lost.");
        out
    }
}
