// SPDX-License-Identifier: GPL-2.0-or-later
//! The end of every plan that makes an overlay.

use crate::config::Config;
use crate::facts::Root;
use crate::layout::{Places, paths};
use crate::plan::host_units;
use crate::step::effective::{Effective, UpperKind};
use crate::step::plan::Plan;
use crate::step::refusal::Refusal;
use crate::step::{Overlay, Step};

/// From a ready upper to a merged root that the booted system is content with.
pub(crate) fn finish(
    config: &Config,
    root: &Root,
    places: &Places,
    lowers: Vec<String>,
    options: Vec<String>,
    mut steps: Vec<Step>,
    effective: Effective,
) -> Result<Plan, Refusal> {
    crate::plan::stale::compare(&mut steps, config, root);
    let relabel = root.autorelabel && effective.upper == UpperKind::Tmpfs;
    if relabel {
        let (upper, like) = (places.store.upper.clone(), paths::SYSROOT.to_owned());
        steps.push(Step::Hide { upper, like, path: paths::AUTORELABEL.to_owned() });
    }
    let sysroot = paths::SYSROOT.to_owned();
    let overlay = Overlay {
        at: sysroot.clone(),
        source: places.source.to_owned(),
        lowers,
        upper: places.upperdir.clone(),
        work: places.workdir.clone(),
        options,
    };
    if overlay.data().len() > Overlay::MOST {
        return Err(Refusal {
            code: "options-too-long",
            text: format!(
                "the overlay's options take {} bytes, the kernel reads {}",
                overlay.data().len(),
                Overlay::MOST
            ),
            stand_aside: false,
        });
    }
    let links = places.links.iter().map(|(at, to)| Step::Link { at: at.clone(), to: to.clone() });
    steps.extend(links);
    let mounts = root.submounts.clone();
    if !mounts.is_empty() {
        let at = paths::PARKED.to_owned();
        steps.push(Step::Park { root: sysroot.clone(), mounts: mounts.clone(), at });
    }
    if root.live.as_ref().is_none_or(|live| live.lower != places.lower) {
        steps.push(Step::BindLower { from: sysroot.clone(), to: places.lower.clone() });
    }
    steps.push(Step::LowerReadOnly { at: places.lower.clone() });
    if root.writable && !places.on_root {
        steps.push(Step::LowerFsReadOnly { at: places.lower.clone() });
    }
    steps.push(Step::UnmountRoot { at: sysroot.clone(), lower: places.lower.clone() });
    steps.push(Step::MountOverlay(overlay.clone()));
    steps.push(Step::Verify(overlay));
    if places.public != places.upper_fs {
        steps.push(Step::Close { at: places.public.clone() });
    }
    if !mounts.is_empty() {
        steps.push(Step::Unpark { root: sysroot, mounts, at: paths::PARKED.to_owned() });
    }
    for (from, to) in &places.visible {
        steps.push(Step::Bind { from: from.clone(), to: to.clone() });
    }
    let (host_steps, mut notes) = host_units::for_overlay(config, root);
    steps.extend(host_steps);
    notes.splice(0..0, config.notes.iter().cloned());
    if relabel {
        // taken away after labelling, which is forgotten in RAM: each boot would label, and boot again
        notes.push("the lower asks for a relabel: hidden; boot once with rd.overlay=0 for it".to_owned());
    }
    Ok(Plan { steps, effective, notes, without: Vec::new() })
}
