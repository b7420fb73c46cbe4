// SPDX-License-Identifier: GPL-2.0-or-later
//! What goes into an upper before the system sees it, and what the system does first. Put into a plan that is otherwise finished, whatever kind
//! of upper it makes.

use crate::config::Config;
use crate::facts::Facts;
use crate::git;
use crate::hostname;
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::step::Step;

/// Adds the steps.
///
/// # Errors
/// What can't be had, where the policy is strict. Otherwise the plan says that it goes without.
pub(crate) fn furnish(config: &Config, facts: &Facts, mut plan: Plan) -> Result<Plan, Refusal> {
    match hostname::of(config, facts) {
        Ok(None) => {}
        Ok(Some(name)) => name_it(&mut plan, name),
        Err(refusal) if config.fallback.value.strict() => return Err(refusal),
        Err(refusal) => plan.without.push(refusal),
    }
    git::ask(config, &mut plan);
    Ok(plan)
}

/// Just before the overlay is mounted: the layers are in their places, and nothing of the merged root is touched,
/// for a copy-up before the policy is loaded loses SELinux labels (Linux 6.1).
fn name_it(plan: &mut Plan, name: String) {
    let found = plan.steps.iter().enumerate().find_map(|(index, step)| match step {
        Step::MountOverlay(overlay) => Some((index, overlay.upper.clone(), overlay.lowers.clone())),
        _ => None,
    });
    if let Some((index, upper, lowers)) = found {
        plan.effective.hostname = Some(name.clone());
        plan.steps.insert(index, Step::Hostname { name, upper, lowers });
    }
}
