// SPDX-License-Identifier: GPL-2.0-or-later
//! The decision: configuration and facts in, ordered steps or a refusal out. Pure; golden-tested
//! in `tests/plan`.

mod commit;
pub(crate) mod draft;
pub mod fallback;
pub mod git;
pub mod host_units;
pub mod hostname;
pub mod image;
pub mod image_cache;
pub mod provision;
pub mod soft_reboot;
mod stale;

use crate::config::Config;
use crate::facts::{Facts, Root};
use crate::layout::Store;
use crate::plan::draft::Draft;
use crate::plan::fallback::Why;
use crate::plan::provision::provision;
use crate::step::plan::Plan;
use crate::step::refusal::{self, Refusal};
use crate::step::{Need, Step};
use crate::upper::request::{Request, UpperPlan};
use crate::value::field::Origin;
use std::fmt;

/// What this boot does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// No overlay was asked for.
    Off,
    /// The root is not mounted yet; a later hook asks again.
    NotYet,
    /// What was asked for.
    Do(Plan),
    /// Not what was asked for, and what the policy says instead.
    Instead(Refusal, Plan),
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => writeln!(f, "off: no overlay is configured"),
            Self::NotYet => writeln!(f, "not yet: the root is not mounted"),
            Self::Do(plan) => write!(f, "{plan}"),
            Self::Instead(refusal, plan) => {
                write!(f, "refused ({}): {refusal}\ninstead:\n{plan}", refusal.code)
            }
        }
    }
}

/// Whether anything is asked for that takes a look at the machine.
pub fn needs_facts(config: &Config) -> bool {
    config.asks_for_overlay() || image::asked(config)
}

/// Decides.
pub fn decide(config: &Config, facts: &Facts) -> Decision {
    let off = !config.asks_for_overlay();
    if !needs_facts(config) {
        // Ubuntu's files lie in the root: before it is mounted, silence is not yet an answer.
        let open = facts.root.is_none() && config.upper.origin == Origin::Default;
        return if open { Decision::NotYet } else { Decision::Off };
    }
    let Some(root) = &facts.root else {
        return Decision::NotYet;
    };
    match image::check(config, facts) {
        Err(refusal) => {
            let instead = fallback::fallback(config, facts, Why::Refused(&refusal));
            return Decision::Instead(refusal, instead);
        }
        Ok(()) if off => return Decision::Off,
        Ok(()) => {}
    }
    match draft(config, facts, root).and_then(|draft| provision(config, facts, draft)) {
        Ok(draft) => {
            let mut plan = draft.assemble(facts);
            plan.notes.extend(image_cache::note(config, facts.fetched.as_ref()));
            Decision::Do(plan)
        }
        Err(refusal) => {
            let instead = fallback::fallback(config, facts, Why::Refused(&refusal));
            Decision::Instead(refusal, instead)
        }
    }
}

/// What every kind of upper has to know of the configuration.
pub(crate) fn request(config: &Config) -> Request<'_> {
    let (reset, readonly) = (config.reset.value, config.readonly.value);
    Request { reset, readonly, names: &config.names, name: config.upper_name() }
}

/// What mounts the file system of an upper that stays, as this boot may use it, and its directories; `None` where this boot
/// uses none, or makes it only now. What is looked at first is `.overlayroot` alone: which upper is used is not known yet.
pub fn opening(config: &Config, facts: &Facts) -> Option<(Vec<Step>, Store)> {
    image::check(config, facts).ok()?;
    let upper = upper(config, facts, facts.root.as_ref()?).ok()?;
    let store = upper.kept?.store;
    let made = |step: &Step| matches!(step, Step::MakeLoopFile { .. } | Step::Part(_)) && !step.optional();
    if upper.open.iter().any(made) {
        return None;
    }
    let (own, from) = (store.for_boots(), &upper.places.upper_fs);
    let need = Need::Nothing;
    // What is made, shown and enlarged is so when it is opened to be used.
    let left = |step: &Step| {
        let shows = matches!(step, Step::Bind { to, .. } if *to == upper.places.public && to != from);
        shows || matches!(step, Step::MakeSubvolume { .. }) || step.optional()
    };
    let only_own = |step: Step| {
        if let Step::Look { device, fstype, base, .. } = step {
            Step::Look { device, fstype, store: own.seen_at(from, &base), base, need }
        } else if let Step::LookInside { base, .. } = step {
            Step::LookInside { store: own.clone(), base, need }
        } else {
            step
        }
    };
    let steps = upper.open.into_iter().filter(|step| !left(step)).map(only_own).collect();
    Some((steps, store))
}

/// The overlay that is asked for, without what is specific to this machine.
fn draft(config: &Config, facts: &Facts, root: &Root) -> Result<Draft, Refusal> {
    Draft::new(config, facts, root, upper(config, facts, root)?)
}

/// The part of the upper that is asked for, where nothing stands against an overlay.
fn upper(config: &Config, facts: &Facts, root: &Root) -> Result<UpperPlan, Refusal> {
    if config.misunderstood() || config.misnamed() {
        return Err(refusal::mistakes(&config.issues));
    }
    refusal::machine(facts)?;
    refusal::lower(facts, root)?;
    if config.fallback.value.strict() && !config.issues.is_empty() {
        return Err(refusal::mistakes(&config.issues));
    }
    config.upper.value.plan(request(config), facts, root)
}

#[cfg(test)]
mod tests;
