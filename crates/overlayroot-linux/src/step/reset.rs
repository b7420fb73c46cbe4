// SPDX-License-Identifier: GPL-2.0-or-later
//! Beginning an upper anew, keeping and exchanging uppers: by renames, so that it takes as long for a
//! big upper as for a small one, and so that a cut leaves each upper whole under one name or another.

use crate::step::store::{BOOT_SWEEP, only_ours, rename, unused};
use crate::sys::files::{read_small, remove};
use crate::sys::statvfs::room;
use crate::sys::sync::{sync, sync_parent};
use crate::sys::{btrfs, remove_tree};
use anyhow::{Context, Result};
use overlayroot_core::layout::Store;
use overlayroot_core::layout::pending::Marker;
use std::fs;
use std::io::ErrorKind;
use std::time::Instant;

/// Removals between two looks at the clock and at the room.
const FEW: u32 = 32;

/// What became of the old upper.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Became {
    /// A kept upper was asked for by hand and is the upper now.
    pub restored: bool,
    /// The upper is begun anew.
    pub reset: bool,
    /// One line for the record.
    pub note: Option<String>,
}

impl Became {
    fn noted(reset: bool, note: impl Into<String>) -> Self {
        Self { reset, note: Some(note.into()), restored: false }
    }
}

/// Moves upper and work into the trash. An upper that is moved while its work is not does no harm: work is
/// emptied before it is used.
pub fn every_boot(store: &Store) -> Result<Became> {
    aside(store)?;
    Ok(Became { reset: true, note: make_room(store), restored: false })
}

/// Does what the marker asks for. It is removed last: a cut before that repeats what has not been done, and
/// nothing else, for no new upper is made while there is a marker.
pub fn once(store: &Store, readonly: bool, resets: bool) -> Result<Became> {
    let text = match read_small(&store.marker) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Became::default()),
        result => result.with_context(|| format!("reading {}", store.marker))?,
    };
    let Some(marker) = Marker::parse(&String::from_utf8_lossy(&text)) else {
        return Ok(Became::noted(false, format!("{} is not valid and was ignored", store.marker)));
    };
    if readonly {
        return Ok(Became::noted(false, "rd.overlay.readonly: the request of overlayctl waits for another boot"));
    }
    let mut became = match &marker {
        Marker::Reset => trashed(store)?,
        Marker::Keep => kept(store)?,
        Marker::Restore(name) if resets => {
            Became::noted(false, format!("{name} is not restored: rd.overlay.reset would empty it"))
        }
        Marker::Restore(name) => restore(store, name)?,
    };
    // Also where an attempt that was cut short has done it: somebody wants that upper.
    became.restored = matches!(marker, Marker::Restore(_)) && !resets;
    sync_parent(store.whole())?;
    remove(&store.marker)?;
    sync_parent(&store.marker)?;
    if marker == Marker::Reset {
        if let (Some(note), Some(room)) = (&mut became.note, make_room(store)) {
            note.push_str("; ");
            note.push_str(&room);
        }
    }
    Ok(became)
}

fn trashed(store: &Store) -> Result<Became> {
    let note = match is_directory(store.whole()) {
        true => "reset once: the old upper is in the trash",
        false => "reset once: no old upper, or an interrupted attempt has moved it",
    };
    aside(store)?;
    Ok(Became::noted(true, note))
}

fn kept(store: &Store) -> Result<Became> {
    let note = match keep(store)? {
        Some(name) => format!("reset once: the old upper is kept as {name}"),
        None => "reset once: no old upper, or an interrupted attempt has kept it".to_owned(),
    };
    Ok(Became::noted(true, note))
}

/// Keeps the upper under the next free name. The fingerprint goes first: where the upper has not followed,
/// the next attempt finds the same name free.
fn keep(store: &Store) -> Result<Option<String>> {
    if !is_directory(store.whole()) {
        return Ok(None);
    }
    let free = |number: &u32| fs::symlink_metadata(store.kept(*number).0).is_err();
    let number = (1..u32::MAX).find(free).context("no name is free")?;
    let (directory, fingerprint) = store.kept(number);
    withdraw(store)?;
    if let Some(subvolume) = &store.subvolume {
        btrfs::set_read_only(subvolume, true)?;
    }
    rename(&store.fingerprint, &fingerprint)?;
    sync_parent(&store.fingerprint)?;
    rename(store.whole(), &directory)?;
    sync_parent(store.whole())?;
    if store.subvolume.is_none() {
        // What stays of it is emptied before it is used.
        let _ = fs::create_dir_all(&store.trash);
        let _ = rename(&store.work, &unused(&store.trash, "work"));
    }
    Ok(Some(format!("{}.{number}", store.name())))
}

fn restore(store: &Store, name: &str) -> Result<Became> {
    let places = store.number(name).map(|number| store.kept(number));
    let Some((directory, fingerprint)) = places.filter(|(directory, _)| is_directory(directory)) else {
        return Ok(Became::noted(
            false,
            format!("{name} not found, or restored by an interrupted attempt; the upper stays"),
        ));
    };
    let before = keep(store)?;
    rename(&fingerprint, &store.fingerprint)?;
    sync_parent(&store.fingerprint)?;
    if store.subvolume.is_some() {
        btrfs::set_read_only(&directory, false)?;
    }
    rename(&directory, store.whole())?;
    Ok(Became::noted(
        false,
        match before {
            Some(before) => format!("{name} is the upper now, the one before is kept as {before}"),
            None => format!("{name} is the upper now, after an interrupted attempt"),
        },
    ))
}

/// Moves upper and work into the trash in one step each.
fn aside(store: &Store) -> Result<()> {
    match fs::create_dir_all(&store.trash) {
        // A full file system has no room for the trash either; room is what the reset is for.
        Err(error) if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) => {
            let end = Instant::now() + BOOT_SWEEP;
            for (directory, _) in moved(store).into_iter().filter(|(directory, _)| is_directory(directory)) {
                let mut few = 0_u32;
                // As little as is enough: the rest is moved as ever.
                remove_tree::empty(directory, &mut || {
                    few += 1;
                    few % FEW == 0 && (Instant::now() >= end || fs::create_dir_all(&store.trash).is_ok())
                })?;
            }
        }
        result => result.with_context(|| format!("making {}", store.trash))?,
    }
    fs::create_dir_all(&store.trash).with_context(|| format!("making {}", store.trash))?;
    withdraw(store)?;
    for (directory, name) in moved(store) {
        movable(store, directory)?;
        rename(directory, &unused(&store.trash, name))?;
    }
    remove(&store.fingerprint)?;
    sync(&store.trash)?;
    sync_parent(store.whole())
}

/// What was to be moved into the lower is of the upper that goes.
fn withdraw(store: &Store) -> Result<()> {
    let request = store.commit();
    if fs::symlink_metadata(&request).is_err() {
        return Ok(());
    }
    crate::log::warning!("the upper is put aside: what overlayctl commit or revert asked for is cancelled");
    remove(&request)?;
    sync_parent(&request)
}

/// What makes up an upper, and the beginnings of its names in the trash.
fn moved(store: &Store) -> Vec<(&str, &'static str)> {
    match &store.subvolume {
        Some(subvolume) => vec![(subvolume, "upper")],
        None => vec![(&store.upper, "upper"), (&store.work, "work")],
    }
}

/// A subvolume that is read-only, as a kept one is, can't leave its directory. One with something else in it stays.
fn movable(store: &Store, directory: &str) -> Result<()> {
    if store.subvolume.is_none() || !is_directory(directory) {
        return Ok(());
    }
    only_ours(directory)?;
    btrfs::set_read_only(directory, false)
}

/// Moves a kept upper into the trash, and forgets its fingerprint.
///
/// # Errors
/// Where there is none under this number, or it can't be moved.
pub fn discard(store: &Store, number: u32) -> Result<()> {
    let (directory, fingerprint) = store.kept(number);
    fs::create_dir_all(&store.trash).with_context(|| format!("making {}", store.trash))?;
    let aside = unused(&store.trash, "upper");
    movable(store, &directory)?;
    fs::rename(&directory, &aside).with_context(|| format!("moving {directory} to {aside}"))?;
    sync(&store.trash)?;
    sync_parent(&directory)?;
    remove(&fingerprint)
}

/// Whether the marker asks for what makes room: the look before it must not refuse a full file system then.
pub fn makes_room(store: &Store) -> bool {
    read_small(&store.marker).is_ok_and(|text| Marker::parse(&String::from_utf8_lossy(&text)) == Some(Marker::Reset))
}

/// The new upper needs room, and the trash is emptied only later, by the host: where an eighth of the file
/// system, or 64 MiB, is not free, as much of the trash goes now as a boot has time for.
fn make_room(store: &Store) -> Option<String> {
    if roomy(&store.trash) {
        return None;
    }
    let (mut asked, end) = (0_u32, Instant::now() + BOOT_SWEEP);
    let swept = remove_tree::empty(&store.trash, &mut || {
        asked += 1;
        asked % FEW == 0 && (Instant::now() >= end || roomy(&store.trash))
    });
    let swept = swept.unwrap_or_default();
    (swept.removed > 0).then(|| "space was low: part of the trash was emptied at boot".to_owned())
}

fn roomy(path: &str) -> bool {
    const BYTES: u64 = 64 << 20;
    const INODES: u64 = 4096;
    room(path).map_or(true, |room| {
        room.available >= BYTES.min(room.bytes / 8) && (room.inodes_free >= INODES.min(room.inodes / 8))
    })
}

fn is_directory(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

#[cfg(test)]
mod tests;
