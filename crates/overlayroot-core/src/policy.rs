// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.fallback`: what is done where the overlay asked for can't be had.

use crate::config::Config;
use crate::facts::Facts;
use crate::furnish::furnish;
use crate::grammar::Fallback;
use crate::host;
use crate::paths;
use crate::plan::{Plan, stand_down, tmpfs_plan};
use crate::record::RootKind;
use crate::refusal::Refusal;
use crate::step::Step;
use crate::upper::{Tmpfs, Upper};

/// What the policy says where the plan was refused (`why`) or its execution failed (`None`).
pub fn fallback(config: &Config, facts: &Facts, why: Option<&Refusal>) -> Plan {
    let policy = config.fallback.value;
    if why.is_some_and(|refusal| refusal.stand_aside) {
        // Somebody's overlay is there, or will be: touch nothing.
        let root = if policy == Fallback::Halt { RootKind::None } else { RootKind::Foreign };
        return Plan::keep(root);
    }
    let mut plan = match policy {
        Fallback::Halt => Plan::keep(RootKind::None),
        Fallback::None => Plan::keep(RootKind::Plain),
        Fallback::Ro => Plan {
            steps: vec![Step::RootReadOnly { at: paths::SYSROOT.to_owned() }, host::for_read_only()],
            ..Plan::keep(RootKind::Ro)
        },
        Fallback::Tmpfs => return ram_instead(config, facts, why),
    };
    // The stock hooks know no policy: left alone they would make an overlay of their own.
    plan.steps.splice(0..0, stand_down(facts));
    plan
}

fn ram_instead(config: &Config, facts: &Facts, why: Option<&Refusal>) -> Plan {
    let plain_ram = config.upper.value == Upper::Tmpfs(Tmpfs::default());
    let possible = facts.kernel.overlay && !config.misunderstood();
    match &facts.root {
        // A RAM overlay that failed would fail again, unless its limits were at fault.
        Some(root) if possible && (why.is_some() || !plain_ram) => {
            let plan = tmpfs_plan(config, facts, root, &Tmpfs::default()).and_then(|plan| furnish(config, facts, plan));
            plan.unwrap_or_else(|_| Plan::keep(RootKind::Plain))
        }
        _ => Plan::keep(RootKind::Plain),
    }
}
