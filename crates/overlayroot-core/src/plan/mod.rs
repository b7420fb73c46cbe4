// SPDX-License-Identifier: GPL-2.0-or-later
//! The decision: configuration and facts in, ordered steps or a refusal out. Pure; golden-tested
//! in `tests/fixtures/plan`.

pub mod assemble;
pub mod backing;
pub mod dir;
pub mod fallback;
pub mod git;
pub mod host_units;
pub mod hostname;
pub mod image;
pub mod image_cache;
pub mod loop_file;
pub mod part;
pub mod path;
pub mod provision;
pub mod root_fs;
pub mod soft_reboot;
pub mod stale;
pub mod subvol;

use crate::config::Config;
use crate::facts::device::Device;
use crate::facts::{Facts, Root};
use crate::layout::{self, Places, paths};
use crate::plan::assemble::finish;
use crate::plan::fallback::Why;
use crate::plan::provision::furnish;
use crate::step::effective::{Effective, UpperKind};
use crate::step::plan::Plan;
use crate::step::refusal::{self, Refusal};
use crate::step::{Need, Step};
use crate::upper::Upper;
use crate::upper::tmpfs::Tmpfs;
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

/// Decides.
pub fn decide(config: &Config, facts: &Facts) -> Decision {
    let off = !config.asks_for_overlay();
    if off && !crate::plan::image::asked(config) {
        // Ubuntu's files lie in the root: before it is mounted, silence is not yet an answer.
        let open = facts.root.is_none() && config.upper.origin == Origin::Default;
        return if open { Decision::NotYet } else { Decision::Off };
    }
    let Some(root) = &facts.root else {
        return Decision::NotYet;
    };
    match crate::plan::image::check(config, facts) {
        Err(refusal) => {
            let instead = fallback::fallback(config, facts, Why::Refused(&refusal));
            return Decision::Instead(refusal, instead);
        }
        Ok(()) if off => return Decision::Off,
        Ok(()) => {}
    }
    match plan(config, facts, root).and_then(|plan| furnish(config, facts, plan)) {
        Ok(mut plan) => {
            plan.notes.extend(crate::plan::image_cache::note(config, facts.fetched.as_ref()));
            Decision::Do(plan)
        }
        Err(refusal) => {
            let instead = fallback::fallback(config, facts, Why::Refused(&refusal));
            Decision::Instead(refusal, instead)
        }
    }
}

fn plan(config: &Config, facts: &Facts, root: &Root) -> Result<Plan, Refusal> {
    if config.misunderstood() {
        return Err(refusal::mistakes(&config.issues));
    }
    refusal::machine(facts)?;
    refusal::lower(facts, root)?;
    if config.fallback.value.strict() && !config.issues.is_empty() {
        return Err(refusal::mistakes(&config.issues));
    }
    match &config.upper.value {
        Upper::Crypt(spec) => Err(refusal::crypt(spec)),
        Upper::Device(asked) => {
            let device = refusal::layer(asked, facts, config.readonly.value)?;
            device_plan(config, facts, root, device)
        }
        Upper::Tmpfs(tmpfs) => tmpfs_plan(config, facts, root, tmpfs),
        Upper::Dir(dir) => dir::plan(config, facts, root, dir),
        Upper::Loop(file) => loop_file::plan(config, facts, root, file),
        Upper::Part(part) => part::plan(config, facts, root, part),
        Upper::Subvol(subvol) => crate::plan::subvol::plan(config, facts, root, subvol),
        Upper::Off => Err(refusal::mistakes(&config.issues)),
    }
}

pub(crate) fn tmpfs_plan(config: &Config, facts: &Facts, root: &Root, tmpfs: &Tmpfs) -> Result<Plan, Refusal> {
    let places = layout::tmpfs(&config.names);
    let mut steps = prologue(facts);
    steps.extend(ram_upper(&places, tmpfs, paths::SYSROOT));
    let effective = Effective { upper: UpperKind::Tmpfs, options: tmpfs.options(), ..Effective::overlay(&places) };
    let lowers = vec![places.lower.clone()];
    let mut plan = finish(config, root, &places, lowers, Vec::new(), steps, effective)?;
    if config.readonly.value {
        plan.notes.push("rd.overlay.readonly has no effect without a device".to_owned());
    }
    Ok(plan)
}

fn ram_upper(places: &Places, tmpfs: &Tmpfs, like: &str) -> Vec<Step> {
    vec![
        Step::MountTmpfs {
            at: places.upper_fs.clone(),
            source: places.tmpfs_source.to_owned(),
            options: tmpfs.options(),
        },
        Step::MakeUpper { store: places.store.clone(), like: like.to_owned() },
    ]
}

fn device_plan(config: &Config, facts: &Facts, root: &Root, device: &Device) -> Result<Plan, Refusal> {
    let places = layout::device(&config.names);
    let readonly = config.readonly.value;
    let reset = config.reset.value && !readonly;
    let mut steps = prologue(facts);
    steps.extend(open_device(device, &places, readonly, reset));
    let mut effective = Effective {
        upper: UpperKind::Device,
        device: Some(device.path.clone()),
        options: device.fstype.clone(),
        ..Effective::overlay(&places)
    };
    if readonly {
        return readonly_plan(config, root, &places, steps, effective);
    }
    steps.extend(kept_upper(&places, root, reset));
    effective.keep(&places, reset);
    finish(config, root, &places, vec![places.lower.clone()], kept_options(facts), steps, effective)
}

/// From a mounted file system to an upper on it.
pub(crate) fn kept_upper(places: &Places, root: &Root, reset: bool) -> Vec<Step> {
    let store = &places.store;
    let mut steps = vec![Step::ResetOnce { store: store.clone(), readonly: false, resets: reset }];
    if reset {
        steps.push(Step::Reset { store: store.clone() });
    }
    steps.push(Step::MakeUpper { store: store.clone(), like: paths::SYSROOT.to_owned() });
    steps.push(Step::Remember { path: store.fingerprint.clone(), fingerprint: root.fingerprint.clone() });
    steps
}

/// A kept upper must survive changes of the lower: no feature that ties it to one.
pub(crate) fn kept_options(facts: &Facts) -> Vec<String> {
    facts.kernel.on_by_default.iter().map(|feature| format!("{feature}=off")).collect()
}

pub(crate) fn open_device(device: &Device, places: &Places, readonly: bool, reset: bool) -> Vec<Step> {
    let (path, fstype) = (device.path.clone(), device.fstype.clone());
    let mut steps = vec![Step::Look {
        device: path.clone(),
        fstype: fstype.clone(),
        store: places.store.seen_at(&places.upper_fs, paths::LOOK),
        base: paths::LOOK.to_owned(),
        need: Need::of(readonly, reset),
    }];
    if !readonly && fstype.starts_with("ext") {
        steps.push(Step::Check { device: path.clone(), fstype: fstype.clone() });
    }
    steps.push(Step::MountDevice { device: path, fstype, at: places.upper_fs.clone(), read_only: readonly });
    steps.push(Step::Bind { from: places.upper_fs.clone(), to: places.public.clone() });
    steps
}

/// The device's upper as a read-only layer between the lower and a RAM upper.
pub(crate) fn readonly_plan(
    config: &Config,
    root: &Root,
    device: &Places,
    mut steps: Vec<Step>,
    mut effective: Effective,
) -> Result<Plan, Refusal> {
    let places = layout::tmpfs(&crate::layout::Names::Dracut);
    let tmpfs = Tmpfs::default();
    steps.push(Step::ResetOnce { store: device.store.clone(), readonly: true, resets: false });
    steps.push(Step::Link { at: paths::READONLY_LINK.to_owned(), to: device.shown().upper });
    steps.extend(ram_upper(&places, &tmpfs, &device.store.upper));
    effective.upper = UpperKind::Tmpfs;
    effective.options = tmpfs.options();
    effective.upper_fs = Some(places.public.clone());
    let lowers = vec![paths::READONLY_LINK.to_owned(), places.lower.clone()];
    effective.lowers = lowers.clone();
    let mut plan = finish(config, root, &places, lowers, Vec::new(), steps, effective)?;
    plan.notes.push(
        "rd.overlay.readonly: the device's upper is a read-only layer, changes go to RAM and will be lost at reboot"
            .to_owned(),
    );
    if config.reset.value {
        plan.notes.push("not reset: the upper is read-only".to_owned());
    }
    Ok(plan)
}

pub(crate) fn stand_down(facts: &Facts) -> Vec<Step> {
    let hooks = facts.stock_hooks.clone();
    if hooks.is_empty() { Vec::new() } else { vec![Step::StandDown { hooks }] }
}

pub(crate) fn prologue(facts: &Facts) -> Vec<Step> {
    let live = facts.root.as_ref().and_then(|root| root.live.clone());
    let image = live.as_ref().map(|live| live.lower.clone());
    let uncover = live.map(|live| Step::Uncover { at: paths::SYSROOT.to_owned(), live });
    let premade = facts.premade.iter().filter(|premade| Some(&premade.path) != image.as_ref());
    let clear = premade.map(|premade| Step::Clear { path: premade.path.clone() });
    stand_down(facts).into_iter().chain(uncover).chain(clear).collect()
}

#[cfg(test)]
mod tests;
