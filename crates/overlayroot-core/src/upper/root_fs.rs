// SPDX-License-Identifier: GPL-2.0-or-later
//! The root's own file system as the place of an upper. It is mounted once: writable at a private place, and the lower
//! is a read-only view of it.

use crate::facts::place::Place;
use crate::facts::{Facts, Root};
use crate::layout::paths;
use crate::step::Step;
use crate::step::refusal::{Refusal, UPPER_FILE_SYSTEMS, refuse};

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
