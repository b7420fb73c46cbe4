// SPDX-License-Identifier: GPL-2.0-or-later
//! `bind:PATH`: the lower's own, writable.

use crate::facts::place::PlaceKind;
use crate::layout::paths;
use crate::parse::mountinfo::Mount;
use crate::path::Asked;
use crate::path::plan::Builder;
use crate::step::path::PathStep;
use crate::step::refusal::{Refusal, UPPER_FILE_SYSTEMS, refuse};
use crate::value::path::is_in;

/// What the lower has there, over the path.
///
/// # Errors
/// Where the lower can't be written, has nothing there, or has the upper there.
pub(super) fn plan(builder: &mut Builder<'_>, asked: &Asked) -> Result<(), Refusal> {
    let (path, Some(root)) = (asked.path.clone(), &builder.facts.root) else { return Ok(()) };
    if root.live.is_some() || !UPPER_FILE_SYSTEMS.contains(&root.fstype.as_str()) {
        let what = if root.live.is_some() { "an image" } else { root.fstype.as_str() };
        return refuse("path-lower", format!("the root is {what}, which bind: can't make writable for {path}"));
    }
    if builder.place(&path).kind == PlaceKind::Missing {
        return refuse("path-place", format!("{path} is not in the root, so there is nothing to bind"));
    }
    let effective = builder.effective;
    if let Some(upper) = effective.path.as_deref().filter(|upper| effective.device.is_none() && is_in(upper, &path)) {
        return refuse("path-lower", format!("the upper itself ({upper}) lies in {path}"));
    }
    let lower = builder.layers.last().cloned().unwrap_or_default();
    let at = paths::KEEP_ROOT.to_owned();
    if !builder.plan.layers.iter().any(|step| matches!(step, PathStep::OpenRoot { .. })) {
        builder.plan.layers.push(PathStep::OpenRoot { lower, at: at.clone() });
    }
    builder.plan.over.push(PathStep::Bind { from: format!("{at}{path}"), path, root: paths::SYSROOT.to_owned() });
    Ok(())
}

/// Whether what is mounted there can be written.
pub(super) fn holds(mount: &Mount) -> bool {
    !mount.read_only()
}
