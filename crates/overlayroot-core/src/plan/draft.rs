// SPDX-License-Identifier: GPL-2.0-or-later
//! A plan in the making: phases by name, each filled once, put together in one place.

use crate::config::Config;
use crate::facts::{Facts, Root};
use crate::layout::{Store, paths};
use crate::plan::soft_reboot::keep_mounted;
use crate::plan::{commit, host_units, stale};
use crate::step::effective::Effective;
use crate::step::plan::Plan;
use crate::step::refusal::Refusal;
use crate::step::{Overlay, Step};
use crate::upper::request::{Access, Kept, UpperPlan};

/// The phases of a boot that makes an overlay, in their order.
pub(crate) struct Draft {
    /// Takes away what is in the way of all that follows.
    pub prepare: Vec<Step>,
    /// Mounts and inspects the file system of an upper that stays.
    pub open: Vec<Step>,
    /// Exchanges or empties that upper, as it is asked for.
    pub exchange: Vec<Step>,
    /// Makes the upper's directories.
    pub make: Vec<Step>,
    /// Fills an upper that is new.
    pub fill: Vec<Step>,
    /// Hides what is not to be seen in the merged root.
    pub hide: Vec<Step>,
    /// Turns the root into the lower.
    pub lower: Vec<Step>,
    /// Leaves the lower's file system read-only as a whole; the last of `lower` that a path may need otherwise.
    pub lower_fs: Option<Step>,
    /// Takes the root's mount away.
    pub unmount: Step,
    /// Puts files into the layers. Only here, for a copy-up in the merged root before the policy is loaded loses SELinux
    /// labels (Linux 6.1).
    pub layers: Vec<Step>,
    /// The overlay, mounted and verified, and what is mounted back into it.
    pub overlay: Overlay,
    /// See `overlay`.
    pub merge: Vec<Step>,
    /// Tells the booted system.
    pub host: Vec<Step>,
    /// Mounts single paths over the merged root, the innermost last.
    pub paths: Vec<Step>,
    /// The upper that changes go to.
    pub store: Store,
    /// The upper that stays.
    pub kept: Option<Kept>,
    /// What runs then.
    pub effective: Effective,
    /// What is worth saying.
    pub notes: Vec<String>,
    /// What it goes without, and why.
    pub without: Vec<Refusal>,
}

impl Draft {
    /// From a kind's part of the plan to a merged root that the booted system is content with.
    ///
    /// # Errors
    /// Where the kernel does not take the overlay's options.
    pub(crate) fn new(config: &Config, facts: &Facts, root: &Root, upper: UpperPlan) -> Result<Self, Refusal> {
        let overlay = overlay(&upper)?;
        let (host, host_notes) = host_units::for_overlay(config, root);
        let mut notes = config.notes.clone();
        notes.extend(host_notes);
        let mut hide: Vec<Step> = upper.hidden.iter().map(|path| hidden(&upper, path)).collect();
        if root.autorelabel && upper.effective.upper.is_in_ram() {
            // taken away after labelling, which is forgotten in RAM: each boot would label, and boot again
            hide.push(hidden(&upper, paths::AUTORELABEL));
            notes.push("the lower asks for a relabel: hidden; boot once with rd.overlay=0 for it".to_owned());
        }
        notes.extend(upper.notes.iter().cloned());
        let (sysroot, places) = (paths::SYSROOT.to_owned(), &upper.places);
        Ok(Self {
            prepare: prepare(facts),
            exchange: upper.kept.iter().flat_map(|kept| exchange(config, root, kept, &upper)).collect(),
            fill: Vec::new(),
            hide,
            lower: lower(root, &upper),
            lower_fs: (root.writable && !places.on_root).then(|| Step::LowerFsReadOnly { at: places.lower.clone() }),
            unmount: Step::UnmountRoot { at: sysroot, lower: places.lower.clone() },
            layers: Vec::new(),
            merge: merge(root, &upper, &overlay),
            store: places.store.clone(),
            overlay,
            host,
            paths: Vec::new(),
            effective: upper.effective,
            notes,
            without: Vec::new(),
            open: upper.open,
            make: upper.make,
            kept: upper.kept,
        })
    }

    /// All phases in their order, and what keeps their mounts over a soft-reboot.
    pub(crate) fn assemble(self, facts: &Facts) -> Plan {
        let phases = [
            self.prepare,
            self.open,
            self.exchange,
            self.make,
            self.fill,
            self.hide,
            self.lower,
            self.lower_fs.into_iter().collect(),
            vec![self.unmount],
            self.layers,
            self.merge,
            self.host,
            self.paths,
        ];
        let mut plan =
            Plan { steps: phases.concat(), effective: self.effective, notes: self.notes, without: self.without };
        let (units, notes) = keep_mounted(&plan.steps, facts.root.as_ref().map_or("", |root| &root.fstype));
        plan.steps.extend(units);
        plan.notes.extend(notes);
        plan
    }
}

fn hidden(upper: &UpperPlan, path: &str) -> Step {
    let (upper, like) = (upper.places.store.upper.clone(), paths::SYSROOT.to_owned());
    Step::Hide { upper, like, path: path.to_owned() }
}

fn overlay(upper: &UpperPlan) -> Result<Overlay, Refusal> {
    let overlay = Overlay {
        at: paths::SYSROOT.to_owned(),
        source: upper.places.source.to_owned(),
        lowers: upper.lowers.clone(),
        upper: upper.places.upperdir.clone(),
        work: upper.places.workdir.clone(),
        options: upper.options.clone(),
    };
    let (bytes, most) = (overlay.data().len(), Overlay::MOST);
    if bytes > most {
        let text = format!("the overlay's options take {bytes} bytes, the kernel reads {most}");
        return Err(Refusal { code: "options-too-long", text, stand_aside: false });
    }
    Ok(overlay)
}

/// The hooks of dracut's stock modules stand down: left alone they would make an overlay of their own.
pub(crate) fn stand_down(facts: &Facts) -> Option<Step> {
    let hooks = facts.stock_hooks.clone();
    (!hooks.is_empty()).then_some(Step::StandDown { hooks })
}

fn prepare(facts: &Facts) -> Vec<Step> {
    let live = facts.root.as_ref().and_then(|root| root.live.clone());
    let image = live.as_ref().map(|live| live.lower.clone());
    let uncover = live.map(|live| Step::Uncover { at: paths::SYSROOT.to_owned(), live });
    let premade = facts.premade.iter().filter(|premade| Some(&premade.path) != image.as_ref());
    let clear = premade.map(|premade| Step::Clear { path: premade.path.clone() });
    stand_down(facts).into_iter().chain(uncover).chain(clear).collect()
}

/// What `overlayctl` asked for comes first: only then it is known whose fingerprint is there to compare. A reset leaves
/// nothing to compare.
fn exchange(config: &Config, root: &Root, kept: &Kept, upper: &UpperPlan) -> Vec<Step> {
    let store = kept.store.clone();
    let once = |readonly, resets| Step::ResetOnce { store: store.clone(), readonly, resets };
    let compare = || Step::Stale(stale::compare(config, root, kept, upper.hidden.clone()));
    let moves = || Step::Commit(commit::step(config, root, kept, upper));
    match kept.access {
        Access::Layer => vec![once(true, false), compare(), moves()],
        Access::Upper { reset: false } => vec![once(false, false), compare(), moves()],
        Access::Upper { reset: true } => vec![once(false, true), Step::Reset { store: store.clone() }],
    }
}

fn lower(root: &Root, upper: &UpperPlan) -> Vec<Step> {
    let (sysroot, places) = (paths::SYSROOT.to_owned(), &upper.places);
    let links = places.links.iter().map(|(at, to)| Step::Link { at: at.clone(), to: to.clone() });
    let mut steps: Vec<Step> = links.collect();
    let mounts = root.submounts.clone();
    if !mounts.is_empty() {
        steps.push(Step::Park { root: sysroot.clone(), mounts, at: paths::PARKED.to_owned() });
    }
    if root.live.as_ref().is_none_or(|live| live.lower != places.lower) {
        steps.push(Step::BindLower { from: sysroot, to: places.lower.clone() });
    }
    steps.push(Step::LowerReadOnly { at: places.lower.clone() });
    steps
}

fn merge(root: &Root, upper: &UpperPlan, overlay: &Overlay) -> Vec<Step> {
    let places = &upper.places;
    let mut steps = vec![Step::MountOverlay(overlay.clone()), Step::Verify(overlay.clone())];
    if places.public != places.upper_fs {
        steps.push(Step::Close { at: places.public.clone() });
    }
    let mounts = root.submounts.clone();
    if !mounts.is_empty() {
        steps.push(Step::Unpark { root: paths::SYSROOT.to_owned(), mounts, at: paths::PARKED.to_owned() });
    }
    steps.extend(places.visible.iter().map(|(from, to)| Step::Bind { from: from.clone(), to: to.clone() }));
    steps
}
