// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.fallback`: what is done where the overlay asked for can't be had.

use crate::config::Config;
use crate::facts::Facts;
use crate::feature::{image, populate};
use crate::keys::Fallback;
use crate::layout::paths;
use crate::plan::draft::{Draft, stand_down};
use crate::plan::provision::provision_instead;
use crate::plan::{host_units, request};
use crate::step::Step;
use crate::step::effective::RootKind;
use crate::step::plan::Plan;
use crate::step::refusal::{self, Refusal};
use crate::upper::Upper;
use crate::upper::tmpfs::{self, Tmpfs};

/// Why something else is done than what was asked for.
#[derive(Debug, Clone, Copy)]
pub enum Why<'a> {
    /// Refused before the first step.
    Refused(&'a Refusal),
    /// The step of this name failed, and what was done before it was taken back.
    Failed(&'a str),
}

impl Why<'_> {
    fn code(&self) -> &str {
        match self {
            Self::Refused(refusal) => refusal.code,
            Self::Failed(step) => step,
        }
    }
}

/// What the policy says.
pub fn fallback(config: &Config, facts: &Facts, why: Why<'_>) -> Plan {
    let policy = config.fallback.value;
    if matches!(why, Why::Refused(refusal) if refusal.stand_aside) {
        // Somebody's overlay is there, or will be: touch nothing.
        let root = if policy == Fallback::Halt { RootKind::None } else { RootKind::Foreign };
        return Plan::keep(root);
    }
    if why.code() == image::CODE {
        return Plan::keep(RootKind::None);
    }
    let (root, steps) = match policy {
        Fallback::Halt => (RootKind::None, Vec::new()),
        Fallback::None => (RootKind::Plain, Vec::new()),
        Fallback::Ro => {
            let read_only = Step::RootReadOnly { at: paths::SYSROOT.to_owned() };
            (RootKind::Ro, vec![read_only, host_units::for_read_only()])
        }
        Fallback::Tmpfs => return ram_instead(config, facts, why),
    };
    // The stock hooks know no policy.
    Plan { steps: stand_down(facts).into_iter().chain(steps).collect(), ..Plan::keep(root) }
}

fn ram_instead(config: &Config, facts: &Facts, why: Why<'_>) -> Plan {
    // What could not be unpacked once is not tried again: the overlay goes without, and a new upper that stays is
    // left new for the next boot.
    let populate = why.code() != populate::CODE;
    let other = matches!(why, Why::Refused(_)) || !populate;
    let plain_ram = config.upper.value == Upper::Tmpfs(Tmpfs::default());
    let possible = facts.kernel.overlay && !config.misunderstood();
    let possible = possible && facts.root.as_ref().is_some_and(|root| refusal::lower(facts, root).is_ok());
    match &facts.root {
        // A RAM overlay that failed would fail again, unless its limits were at fault.
        Some(root) if possible && (other || !plain_ram) => {
            let upper = tmpfs::plan(request(config), &facts.kernel, &Tmpfs::default());
            let draft = Draft::new(config, facts, root, upper);
            let draft = draft.map(|draft| provision_instead(config, facts, draft, populate));
            draft.map_or_else(|_| Plan::keep(RootKind::Plain), |draft| draft.assemble(facts))
        }
        _ => Plan::keep(RootKind::Plain),
    }
}
