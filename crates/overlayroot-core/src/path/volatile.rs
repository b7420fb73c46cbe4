// SPDX-License-Identifier: GPL-2.0-or-later
//! `volatile:PATH`: on a tmpfs of its own.

use crate::facts::place::PlaceKind;
use crate::layout::paths;
use crate::parse::mountinfo::Mount;
use crate::path::Asked;
use crate::path::plan::Builder;
use crate::step::path::PathStep;
use crate::step::refusal::{Refusal, refuse};

/// Its parameters.
pub(super) const PARAMS: &[&str] = &["size", "nr_inodes", "mode", "copy"];

/// A tmpfs over the path.
///
/// # Errors
/// Where it is no directory.
pub(super) fn plan(builder: &mut Builder<'_>, asked: &Asked) -> Result<(), Refusal> {
    let path = asked.path.clone();
    let place = builder.place(&path).kind;
    if !matches!(place, PlaceKind::Directory | PlaceKind::Missing) {
        return refuse("path-place", format!("{path} is {}: only a directory can be volatile", place.word()));
    }
    let (options, mode, copy) = (asked.params.options(), asked.params.mode, asked.params.copy);
    let (root, layers) = (paths::SYSROOT.to_owned(), builder.layers.clone());
    builder.plan.layers.push(PathStep::Point { path: path.clone(), layers: layers.clone() });
    builder.plan.over.push(PathStep::Volatile { path, root, options, mode, copy, layers });
    Ok(())
}

/// Whether what is mounted there is its tmpfs.
pub(super) fn holds(mount: &Mount) -> bool {
    mount.fstype == "tmpfs"
}
