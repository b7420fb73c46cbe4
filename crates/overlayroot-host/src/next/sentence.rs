// SPDX-License-Identifier: GPL-2.0-or-later
//! The next boot in one line.

use super::{Asker, Module, NextBoot, Verdict};
use overlayroot_core::plan::Decision;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::redact;

impl NextBoot {
    /// The verdict in one line.
    pub fn says(&self) -> String {
        redact::told_in(&self.sentence())
    }

    fn sentence(&self) -> String {
        if let Some(root) = self.lost_root() {
            return format!("NOT as asked for: {root} is the overlay, no device: no root, emergency shell");
        }
        match self.verdict() {
            Verdict::Unknown => return format!("not known: {}", self.not_known().join("; ")),
            Verdict::Disabled => return self.plain_root(),
            Verdict::Enabled | Verdict::Degraded => {}
        }
        match &self.decision {
            Some(Decision::Do(plan)) => {
                let what = format!("{}  [{}]", plan.effective, self.config.upper.origin);
                self.blemish().map_or(what.clone(), |why| format!("NOT as asked for: {why}; {what}"))
            }
            Some(Decision::Instead(refusal, plan)) => {
                format!("NOT as asked for: {refusal} ({}); instead: {}", refusal.code, plan.effective)
            }
            Some(Decision::Off | Decision::NotYet) | None => self.asked_for(),
        }
    }

    fn plain_root(&self) -> String {
        let asked = told(&self.asked());
        match &self.image.module {
            Module::Missing(why) if !asked.is_empty() => {
                format!("plain root, although {asked} asks for an overlay: {why}")
            }
            Module::Missing(_) | Module::There | Module::NotKnown(_) if self.config.is_thawed() => {
                "THAWED: no overlay, as overlayctl thaw asked for; changes are permanent".to_owned()
            }
            Module::Missing(_) | Module::There | Module::NotKnown(_) => "plain root, no overlay".to_owned(),
        }
    }

    /// Where there is no plan to tell of.
    fn asked_for(&self) -> String {
        if self.config.misunderstood() {
            let first = self.config.issues.first().map(ToString::to_string).unwrap_or_default();
            return format!("asked for with a mistake: {first}");
        }
        if let Some(why) = self.blemish() {
            return format!("NOT as asked for: {why}");
        }
        let asked = escape(&self.config.upper.value.to_string());
        format!("asked for: {asked}  [{}]", self.config.upper.origin)
    }
}

fn told(asked: &[Asker]) -> String {
    asked.iter().map(|asker| format!("{} in {}", asker.text, asker.source)).collect::<Vec<_>>().join(", ")
}
