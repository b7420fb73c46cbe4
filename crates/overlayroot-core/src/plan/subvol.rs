// SPDX-License-Identifier: GPL-2.0-or-later
//! Plans for an upper in a subvolume.

use crate::config::Config;
use crate::facts::place::PlaceKind;
use crate::facts::{Facts, Root};
use crate::layout::{self, paths};
use crate::plan::assemble::finish;
use crate::plan::root_fs::hide;
use crate::plan::{kept_options, kept_upper, prologue, readonly_plan};
use crate::step::effective::{Effective, UpperKind};
use crate::step::plan::Plan;
use crate::step::refusal::{Refusal, refuse};
use crate::step::{Need, Step};
use crate::upper::subvol::{Subvol, seen};

/// An upper in a subvolume.
pub(crate) fn plan(config: &Config, facts: &Facts, root: &Root, asked: &Subvol) -> Result<Plan, Refusal> {
    let name = &asked.name;
    let seen = usable(facts, root, asked)?;
    let (readonly, reset) = (config.readonly.value, config.reset.value && !config.readonly.value);
    if readonly {
        readable(facts, name, seen.as_deref())?;
    }
    let places = layout::subvolume(name);
    let (at, base) = (paths::ROOT_KEPT.to_owned(), paths::ROOT_KEPT.to_owned());
    let mut steps = prologue(facts);
    steps.push(Step::MountTop { device: root.source.clone(), at: at.clone(), read_only: readonly });
    if !readonly {
        steps.push(Step::Writable { at });
    }
    steps.push(Step::LookInside { store: places.store.clone(), base, need: Need::of(readonly, reset) });
    let mut effective = Effective {
        upper: UpperKind::Subvol,
        path: Some(name.clone()),
        options: root.fstype.clone(),
        ..Effective::overlay(&places)
    };
    if readonly {
        return readonly_plan(config, root, &places, steps, effective);
    }
    steps.push(Step::MakeSubvolume { path: format!("{}/{name}", paths::ROOT_KEPT) });
    steps.extend(kept_upper(&places, root, reset));
    steps.extend(seen.map(|path| hide(&places.store.upper, &path)));
    effective.keep(&places, reset);
    finish(config, root, &places, vec![places.lower.clone()], kept_options(facts), steps, effective)
}

/// Where the root sees it, if the file system can hold it and nothing is in its way.
fn usable(facts: &Facts, root: &Root, asked: &Subvol) -> Result<Option<String>, Refusal> {
    let name = &asked.name;
    if root.fstype != "btrfs" {
        let text = format!("the root is {}, and subvol:{name} needs btrfs: dir: does the same elsewhere", root.fstype);
        return refuse("foreign-file-system", text);
    }
    let Some(seen) = seen(&root.subvolume, name) else {
        let own = root.subvolume.trim_matches('/');
        return refuse("place-taken", format!("the root itself lies in the subvolume {name} (it is {own})"));
    };
    // Where the top level can't be looked at, the steps find out.
    let Some(place) = &facts.place else {
        return Ok(seen);
    };
    if let Some(part) = &place.blocked_by {
        let part = part.trim_start_matches('/');
        return refuse("place-taken", format!("{part} on the way to the subvolume {name} is not a plain directory"));
    }
    match place.kind {
        PlaceKind::Missing | PlaceKind::Subvolume => Ok(seen),
        other @ (PlaceKind::Directory | PlaceKind::File | PlaceKind::Link | PlaceKind::Other) => {
            refuse("place-taken", format!("{name} is {}, not a subvolume", other.word()))
        }
    }
}

/// Whether it can be a read-only layer.
fn readable(facts: &Facts, name: &str, seen: Option<&str>) -> Result<(), Refusal> {
    if let Some(path) = seen {
        // overlayfs takes no layer that lies inside another (kernel: fs/overlayfs/super.c, overlapping layers).
        let text = format!("rd.overlay.readonly can't use {path} as a layer: it lies inside the lower");
        return refuse("readonly", text);
    }
    match &facts.place {
        Some(place) if place.kind == PlaceKind::Missing => {
            refuse("place-missing", format!("the subvolume {name} does not exist, and nothing may be written"))
        }
        _ => Ok(()),
    }
}
