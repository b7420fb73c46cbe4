// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether this boot can move an upper's changes into the lower, and by which ways.

use crate::config::Config;
use crate::facts::Root;
use crate::feature::commit::{Commit, WRITABLE};
use crate::layout::paths;
use crate::upper::request::{Access, Kept, UpperPlan};

/// What the step is to know.
pub(crate) fn step(config: &Config, root: &Root, kept: &Kept, upper: &UpperPlan) -> Commit {
    // In a subvolume it is beside the root's own, and the kernel renames nothing from one to the other.
    let one_mount = upper.places.on_root && upper.places.store.subvolume.is_none();
    let lower = if one_mount { paths::ROOT_KEPT } else { paths::SYSROOT };
    let mut keep: Vec<String> = config.paths.iter().map(|asked| asked.value.path.clone()).collect();
    if config.hostname.value.is_some() {
        keep.push("/etc/hostname".to_owned());
    }
    Commit {
        store: kept.store.clone(),
        lower: lower.to_owned(),
        closed: !one_mount,
        own: upper.hidden.clone(),
        keep,
        readonly: kept.access == Access::Layer,
        refused: refused(root),
    }
}

fn refused(root: &Root) -> Option<String> {
    if root.live.is_some() {
        return Some("the lower is an image".to_owned());
    }
    let writable = WRITABLE.contains(&root.fstype.as_str());
    (!writable).then(|| format!("the lower is {}, which is not written", root.fstype))
}
