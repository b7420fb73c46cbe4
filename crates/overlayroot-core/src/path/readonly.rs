// SPDX-License-Identifier: GPL-2.0-or-later
//! `readonly:PATH`: as it is in the merged root, read-only.

use crate::facts::place::PlaceKind;
use crate::layout::paths;
use crate::parse::mountinfo::Mount;
use crate::path::Asked;
use crate::path::plan::Builder;
use crate::step::path::PathStep;
use crate::step::refusal::{Refusal, refuse};

/// The path over itself, read-only.
///
/// # Errors
/// Where nothing can be there.
pub(super) fn plan(builder: &mut Builder<'_>, asked: &Asked) -> Result<(), Refusal> {
    let path = asked.path.clone();
    // An upper that stays may have what the lower lacks.
    if builder.place(&path).kind == PlaceKind::Missing && builder.effective.store.is_none() {
        return refuse("path-place", format!("{path} is not in the root"));
    }
    builder.plan.over.push(PathStep::ReadOnly { path, root: paths::SYSROOT.to_owned() });
    Ok(())
}

/// Whether what is mounted there can't be written.
pub(super) fn holds(mount: &Mount) -> bool {
    mount.read_only()
}
