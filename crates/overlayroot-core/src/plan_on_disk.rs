// SPDX-License-Identifier: GPL-2.0-or-later
//! Plans for uppers on the root's own file system. It is mounted once: writable at a private place,
//! and the lower is a read-only view of it.

use crate::config::Config;
use crate::facts::{Device, Facts, Place, PlaceKind, ProjectQuota, Root};
use crate::ground::{self, Ground};
use crate::layout::{self, Store};
use crate::loopsize::{self, mebi};
use crate::ondisk::{Dir, LEAST, LoopFile};
use crate::paths;
use crate::plan::{Plan, kept_options, kept_upper, open_device, prologue, readonly_plan};
use crate::plan_finish::finish;
use crate::record::{Effective, UpperKind};
use crate::refusal::{Refusal, UPPER_FILE_SYSTEMS, refuse};
use crate::step::{Need, Quota, Step};

/// A directory upper.
pub fn dir(config: &Config, facts: &Facts, root: &Root, asked: &Dir) -> Result<Plan, Refusal> {
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

/// An upper in a loop file.
pub fn loop_file(config: &Config, facts: &Facts, root: &Root, asked: &LoopFile) -> Result<Plan, Refusal> {
    let ground = ground::of(config, facts, root, asked)?;
    let (place, places, file) = (ground.place, ground.places(), ground.file(&asked.path));
    let readonly = config.readonly.value;
    let reset = config.reset.value && !readonly;
    let mut steps = prologue(facts);
    steps.extend(ground.open(readonly));
    let mut growth = Vec::new();
    let fstype = match place.kind {
        PlaceKind::Missing => {
            let bytes = fresh(config, facts, asked, &ground)?;
            steps.push(Step::MakeLoopFile { file: file.clone(), bytes, fs: asked.fs });
            asked.fs.word().to_owned()
        }
        PlaceKind::File => {
            let fstype = finished(asked, place)?;
            crate::refusal::folds(place.casefold, facts, &format!("the file system in {}", asked.path))?;
            if asked.grow && !readonly {
                growth.extend(larger(asked, &ground));
                // Also in a file that is large enough: the power may have gone before its file system grew.
                growth.push(Step::GrowFs { at: places.upper_fs.clone(), fstype: fstype.clone() });
            }
            fstype
        }
        other => return refuse("place-taken", format!("{} is {}, not a file", asked.path, other.word())),
    };
    let link = paths::LOOP_LINK.to_owned();
    let device = Device { path: link.clone(), fstype: fstype.clone(), ..Device::default() };
    steps.push(Step::Attach { file, link, read_only: readonly, discard: asked.discard });
    steps.extend(open_device(&device, &places, readonly, reset));
    // After the mount, for the kernel refuses what was cut short, and a longer file would not show that any more.
    steps.extend(growth);
    let mut effective = Effective {
        upper: UpperKind::Loop,
        device: ground.device.map(|device| device.path.clone()),
        path: Some(asked.path.clone()),
        options: fstype,
        ..Effective::overlay(&places)
    };
    if readonly {
        return readonly_plan(config, root, &places, steps, effective);
    }
    steps.extend(kept_upper(&places, root, reset));
    steps.extend(places.on_root.then(|| hide(&places.store.upper, &asked.path)));
    effective.keep(&places, reset);
    finish(config, root, &places, vec![places.lower.clone()], kept_options(facts), steps, effective)
}

/// The root's file system at its private place, writable unless nothing will be written.
pub(crate) fn open_root(readonly: bool) -> Vec<Step> {
    let kept = paths::ROOT_KEPT.to_owned();
    let mut steps = vec![Step::Bind { from: paths::SYSROOT.to_owned(), to: kept.clone() }];
    if !readonly {
        steps.push(Step::Writable { at: kept });
    }
    steps
}

pub(crate) fn hide(upper: &str, path: &str) -> Step {
    Step::Hide { upper: upper.to_owned(), like: paths::SYSROOT.to_owned(), path: path.to_owned() }
}

/// What lies at the path, if the root's file system can hold an upper and the way there is plain.
pub(crate) fn place<'a>(facts: &'a Facts, root: &Root, path: &str) -> Result<&'a Place, Refusal> {
    if !UPPER_FILE_SYSTEMS.contains(&root.fstype.as_str()) {
        let text = format!("the root is {}, which can't hold an upper ({path})", root.fstype);
        return refuse("foreign-file-system", text);
    }
    let Some(place) = &facts.place else {
        return refuse("place-taken", format!("{path} could not be read"));
    };
    match &place.blocked_by {
        Some(part) => refuse("place-taken", format!("{part} on the way to {path} is not a plain directory")),
        None => Ok(place),
    }
}

/// The size of a file to be made.
fn fresh(config: &Config, facts: &Facts, asked: &LoopFile, ground: &Ground<'_>) -> Result<u64, Refusal> {
    if config.readonly.value {
        return refuse("place-missing", format!("{} does not exist, and nothing may be written", asked.path));
    }
    let program = format!("mkfs.{}", asked.fs.word());
    if !facts.mkfs.contains(&program) {
        let text = format!("{} must be made, and {program} is not in the initramfs", asked.path);
        return refuse("no-mkfs", text);
    }
    loopsize::fresh(asked, ground.bytes, ground.free + ground.place.half_made).or_else(|text| refuse("no-room", text))
}

/// The type of the file system in a finished file: it is never remade, whatever it holds.
fn finished(asked: &LoopFile, place: &Place) -> Result<String, Refusal> {
    match place.fstype.as_str() {
        "" => refuse("no-file-system", format!("{} has no known file system", asked.path)),
        fstype if UPPER_FILE_SYSTEMS.contains(&fstype) => Ok(fstype.to_owned()),
        fstype => refuse("foreign-file-system", format!("{} holds {fstype}, which can't hold an upper", asked.path)),
    }
}

/// The size to grow to, where that is asked for. Whether there is room is seen when it is done: an
/// upper that stays as large as it was is better than none.
fn larger(asked: &LoopFile, ground: &Ground<'_>) -> Option<Step> {
    let bytes = loopsize::larger(asked, ground.bytes, ground.place.bytes)?;
    let (file, device) = (ground.file(&asked.path), paths::LOOP_LINK.to_owned());
    Some(Step::GrowLoopFile { file, device, bytes, keep: asked.reserved(ground.bytes) })
}
