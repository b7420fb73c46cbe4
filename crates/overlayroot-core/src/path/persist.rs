// SPDX-License-Identifier: GPL-2.0-or-later
//! `persist:PATH`: kept, whatever becomes of the upper.

use crate::layout::paths;
use crate::parse::fstab;
use crate::parse::mountinfo::Mount;
use crate::path::Asked;
use crate::path::plan::{Builder, Keeper};
use crate::path::preset::MACHINE_ID;
use crate::step::path::PathStep;
use crate::step::refusal::{Refusal, refuse};
use crate::value::path::is_in;

/// Its parameters.
pub(super) const PARAMS: &[&str] = &["dev"];

/// Files go into the upper before the overlay is mounted, a directory is mounted over it.
///
/// # Errors
/// Where there is no place to keep it, or the path is hidden.
pub(super) fn plan(builder: &mut Builder<'_>, asked: &Asked) -> Result<Option<Keeper>, Refusal> {
    let path = asked.path.clone();
    let directory = builder.is_directory(asked);
    if !directory {
        seen_below_mounts(builder, &path)?;
    }
    let mut keeper = builder.keeper(asked)?;
    let (store, mount, layers) = (keeper.directory.clone(), keeper.mount.clone(), builder.layers.clone());
    if directory {
        let store = format!("{store}/{}.dir", fstab::escaped(&path));
        keeper.directory.clone_from(&store);
        builder.plan.layers.push(PathStep::Point { path: path.clone(), layers: layers.clone() });
        builder.plan.over.push(PathStep::Persist { path, root: paths::SYSROOT.to_owned(), store, mount, layers });
    } else {
        let store = format!("{store}/files");
        keeper.directory.clone_from(&store);
        builder.plan.layers.push(match path.as_str() {
            MACHINE_ID => PathStep::MachineId { path, store, mount, layers },
            _ => PathStep::Restore { path, store, mount, layers },
        });
    }
    Ok(Some(keeper))
}

/// Files go into the upper, and are not seen below what is mounted over it.
fn seen_below_mounts(builder: &Builder<'_>, path: &str) -> Result<(), Refusal> {
    let mounted = builder.plan.over.iter().filter(|step| !matches!(step, PathStep::ReadOnly { .. }));
    let mut over = mounted.filter_map(PathStep::path).filter(|at| is_in(path, at));
    match over.next() {
        Some(at) => refuse("path-hidden", format!("{path} lies in {at}, which has a policy of its own")),
        None => Ok(()),
    }
}

/// Whether what is mounted there is what keeps it.
pub(super) fn holds(mount: &Mount) -> bool {
    mount.fstype != "overlay" && !mount.read_only()
}
