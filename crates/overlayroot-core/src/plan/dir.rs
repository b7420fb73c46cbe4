// SPDX-License-Identifier: GPL-2.0-or-later
//! Plans for an upper in a directory of the root's own file system.

use crate::config::Config;
use crate::facts::place::PlaceKind;
use crate::facts::{Facts, ProjectQuota, Root};
use crate::layout::{self, Store, paths};
use crate::plan::assemble::finish;
use crate::plan::root_fs::{hide, open_root, place};
use crate::plan::{kept_options, kept_upper, prologue};
use crate::step::effective::{Effective, UpperKind};
use crate::step::plan::Plan;
use crate::step::refusal::{Refusal, refuse};
use crate::step::{Need, Quota, Step};
use crate::upper::dir::Dir;
use crate::value::size::{LEAST, mebi};

/// A directory upper.
pub(crate) fn plan(config: &Config, facts: &Facts, root: &Root, asked: &Dir) -> Result<Plan, Refusal> {
    let place = place(facts, root, &asked.path)?;
    if !matches!(place.kind, PlaceKind::Missing | PlaceKind::Directory) {
        return refuse("place-taken", format!("{} is {}, not a directory", asked.path, place.kind.word()));
    }
    let places = layout::directory(&asked.path);
    let cap = cap(root, asked, &places.store)?;
    if config.readonly.value {
        // overlayfs takes no layer that lies inside another (kernel: fs/overlayfs/super.c, overlapping layers).
        let text = format!("rd.overlay.readonly can't use {} as a layer: it lies inside the lower", asked.path);
        return refuse("readonly", text);
    }
    let reset = config.reset.value;
    let mut steps = prologue(facts);
    steps.extend(open_root(false));
    let (base, need) = (paths::ROOT_KEPT.to_owned(), Need::of(false, reset));
    steps.push(Step::LookInside { store: places.store.clone(), base, need });
    let mut effective = Effective {
        upper: UpperKind::Dir,
        path: Some(asked.path.clone()),
        options: root.fstype.clone(),
        ..Effective::overlay(&places)
    };
    steps.extend(kept_upper(&places, root, reset));
    steps.extend(cap);
    steps.push(hide(&places.store.upper, &asked.path));
    effective.keep(&places, reset);
    finish(config, root, &places, vec![places.lower.clone()], kept_options(facts), steps, effective)
}

/// The limit of a directory upper. Without `size=` a limit that an earlier boot set is taken off, where one
/// would be in force.
fn cap(root: &Root, asked: &Dir, store: &Store) -> Result<Option<Step>, Refusal> {
    let bytes = match asked.size {
        None if root.project_quota == ProjectQuota::On => 0,
        None => return Ok(None),
        Some(_) if root.project_quota == ProjectQuota::None => return refuse("quota", no_quota(root, asked)),
        Some(size) => size.of(root.bytes),
    };
    if let Some(size) = asked.size.filter(|_| bytes < LEAST) {
        let text = format!("size={size} for {} is {} of the root, less than {}", asked.path, mebi(bytes), mebi(LEAST));
        return refuse("quota", text);
    }
    Ok(Some(Step::Quota(Quota {
        at: paths::ROOT_KEPT.to_owned(),
        device: root.source.clone(),
        upper: store.upper.clone(),
        work: store.work.clone(),
        bytes,
        // Also where they seem to be on: an earlier call may have remounted it, the next boot will not have.
        remount: asked.size.is_some() && root.fstype == "ext4",
    })))
}

/// Why there is no limit, and what to do.
fn no_quota(root: &Root, asked: &Dir) -> String {
    let what = format!("size= for {} needs project quotas", asked.path);
    match root.fstype.as_str() {
        "xfs" => format!("{what}: add rootflags=prjquota to the kernel command line"),
        "ext4" => {
            format!("{what}: run tune2fs -O project,quota {} while it is unmounted", root.source)
        }
        other => format!("{what}, and on {other} this version has none: use loop:FILE with size= instead"),
    }
}
