// SPDX-License-Identifier: GPL-2.0-or-later
//! The root's own file system as the place of an upper. It is mounted once: writable at a private place, and the lower
//! is a read-only view of it.

use crate::facts::place::Place;
use crate::facts::{Facts, Root};
use crate::layout::paths;
use crate::step::Step;
use crate::step::refusal::{Refusal, UPPER_FILE_SYSTEMS, refuse};
use crate::upper::diagnosis::Diagnosis;
use crate::value::size::mebi;

/// The root's file system at its private place, writable unless nothing will be written.
pub(crate) fn open_root(readonly: bool) -> Vec<Step> {
    let kept = paths::ROOT_KEPT.to_owned();
    let mut steps = vec![Step::Bind { from: paths::SYSROOT.to_owned(), to: kept.clone() }];
    if !readonly {
        steps.push(Step::Writable { at: kept });
    }
    steps
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

/// What the doctor says of the room that is left there. `reserved`: what the upper may take is its own already.
pub(crate) fn diagnosed(facts: &Facts, reserved: bool) -> Option<Diagnosis> {
    const LEAST: u64 = 256 << 20;
    let root = facts.root.as_ref()?;
    let (free, all, source, fstype) = (mebi(root.free), mebi(root.bytes), &root.source, &root.fstype);
    let text = format!("{free} of {all} free on the root's file system {source} ({fstype})");
    let little = !reserved && root.free < LEAST.min(root.bytes / 10);
    let todo = if little { "free space before the upper fills it" } else { "" };
    Some(Diagnosis { check: "space", text, todo })
}
