// SPDX-License-Identifier: GPL-2.0-or-later
//! What goes into an upper before the system sees it, and what the system does first. Put into a plan that is
//! otherwise finished, whatever kind of upper it makes.

use crate::config::Config;
use crate::facts::Facts;
use crate::feature::populate::{self, Populate};
use crate::layout::paths;
use crate::plan::path;
use crate::plan::soft_reboot::keep_mounted;
use crate::step::Step;
use crate::step::plan::Plan;
use crate::step::refusal::Refusal;

/// Adds the steps.
///
/// # Errors
/// What can't be had: an archive always, a name where the policy is strict. Otherwise the plan says that it goes
/// without the name.
pub(crate) fn furnish(config: &Config, facts: &Facts, mut plan: Plan) -> Result<Plan, Refusal> {
    fill(config, facts, &mut plan)?;
    match crate::plan::hostname::of(config, facts) {
        Err(refusal) if config.fallback.value.strict() => return Err(refusal),
        name => name_it(&mut plan, name),
    }
    crate::plan::git::ask(config, &mut plan);
    let refused = path::add(config, facts, &mut plan);
    keep_mounted(&mut plan, lower(facts));
    match refused {
        refused if config.fallback.value.strict() => refused.into_iter().next().map_or(Ok(plan), Err),
        refused => {
            plan.without.extend(refused);
            Ok(plan)
        }
    }
}

/// The same for what the policy makes instead, which goes without whatever can't be had; with `populate` it is
/// tried to have it populated at least.
pub(crate) fn furnish_instead(config: &Config, facts: &Facts, mut plan: Plan, populate: bool) -> Plan {
    if populate {
        let filled = fill(config, facts, &mut plan);
        plan.without.extend(filled.err());
    }
    name_it(&mut plan, crate::plan::hostname::of(config, facts));
    crate::plan::git::ask(config, &mut plan);
    let refused = path::add(config, facts, &mut plan);
    plan.without.extend(refused);
    keep_mounted(&mut plan, lower(facts));
    plan
}

/// Type of the file system that becomes the lower.
fn lower(facts: &Facts) -> &str {
    facts.root.as_ref().map_or("", |root| &root.fstype)
}

/// Just before the overlay is mounted: the layers are in their places, and nothing of the merged root is touched,
/// for a copy-up before the policy is loaded loses SELinux labels (Linux 6.1).
fn name_it(plan: &mut Plan, name: Result<Option<String>, Refusal>) {
    let found = plan.steps.iter().enumerate().find_map(|(index, step)| {
        if let Step::MountOverlay(overlay) = step {
            Some((index, overlay.upper.clone(), overlay.lowers.clone()))
        } else {
            None
        }
    });
    match (name, found) {
        (Err(refusal), _) => plan.without.push(refusal),
        (Ok(Some(name)), Some((index, upper, lowers))) => {
            plan.effective.hostname = Some(name.clone());
            plan.steps.insert(index, Step::Hostname { name, upper, lowers });
        }
        _ => {}
    }
}

/// As soon as the upper is there and held to its size, and before anything else is in it.
fn fill(config: &Config, facts: &Facts, plan: &mut Plan) -> Result<(), Refusal> {
    let Some(asked) = &config.populate.value else {
        return Ok(());
    };
    let steps = &plan.steps;
    let behind = |step: &Step| matches!(step, Step::MakeUpper { .. } | Step::Remember { .. } | Step::Quota(_));
    let index = steps.iter().rposition(behind).map_or(0, |index| index + 1);
    let layer = steps.iter().find_map(|step| {
        if let Step::ResetOnce { store, readonly: true, .. } = step { Some(store.clone()) } else { None }
    });
    let upper =
        steps.iter().find_map(|step| if let Step::MakeUpper { store, .. } = step { Some(store.clone()) } else { None });
    let readonly = layer.is_some();
    let Some(store) = layer.or(upper) else {
        return Ok(());
    };
    let stays = steps.iter().any(|step| matches!(step, Step::Remember { .. }));
    let anew = steps.iter().any(|step| matches!(step, Step::Reset { .. })) || !stays;
    let node = crate::plan::hostname::node(config, facts);
    let populate = Populate { readonly, ..Populate::new(asked, &node, &facts.archive, store, paths::SYSROOT) };
    match &populate.unready {
        Some(why) if anew && !readonly => {
            let text = format!("{}: {why}", config.populate.origin);
            return Err(Refusal { code: populate::CODE, text, stand_aside: false });
        }
        Some(why) if !readonly => plan.notes.push(format!("a new upper could not be populated: {why}")),
        _ => {}
    }
    plan.steps.insert(index, Step::Populate(populate));
    Ok(())
}
