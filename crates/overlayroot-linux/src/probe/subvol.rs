// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks at the name asked for as the upper's subvolume, from the top level of the root's file system.

use crate::probe::place;
use crate::sys::{btrfs, mounts, top_level};
use overlayroot_core::config::Config;
use overlayroot_core::facts::place::{Place, PlaceKind};
use overlayroot_core::layout::paths::LOOK;
use overlayroot_core::parse::mountinfo::Mount;
use overlayroot_core::upper::Upper;

/// What lies there; `None` where it is not asked for or can't be looked at. With `may_mount` the top level is
/// mounted for the look where no mount shows it.
pub fn place_of(config: &Config, mounts: &[Mount], root: &Mount, may_mount: bool) -> Option<Place> {
    let Upper::Subvol(asked) = &config.upper.value else {
        return None;
    };
    if root.fstype != "btrfs" {
        return None;
    }
    // All subvolumes show one device in mountinfo.
    let top = mounts.iter().find(|mount| mount.devno == root.devno && mount.root == "/");
    if let Some(top) = top {
        return Some(look(&top.at, &asked.name));
    }
    if !may_mount {
        return None;
    }
    if let Err(error) = top_level::mount_top(&root.source, LOOK, true) {
        crate::log::warning!("looking at the top level of {}: {error:#}", root.source);
        return None;
    }
    let found = look(LOOK, &asked.name);
    if let Err(error) = mounts::unmount(LOOK) {
        crate::log::warning!("{error:#}");
    }
    Some(found)
}

fn look(top: &str, name: &str) -> Place {
    let top = top.trim_end_matches('/');
    let mut found = place::look(top, &format!("/{name}"));
    if found.kind == PlaceKind::Directory && btrfs::is_subvolume(&format!("{top}/{name}")) {
        found.kind = PlaceKind::Subvolume;
    }
    found
}
