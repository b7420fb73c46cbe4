// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds the upper of this boot that stays, and what the next boot is asked for.

use anyhow::{Context, Result, ensure};
use overlayroot_core::layout::paths;
use overlayroot_core::layout::pending::Marker;
use overlayroot_core::layout::{DEFAULT_UPPER, Store, parse_name};
use overlayroot_core::parse::mountinfo;
use overlayroot_core::record::{NO_RECORD, NOT_OURS, Record};
use overlayroot_core::step::effective::RootKind;
use overlayroot_linux::source::recordfile;
use overlayroot_linux::sys::{files, mounts};
use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;

/// Whether this boot has an upper that stays.
pub enum Found {
    /// Its record, and its directories.
    Upper(Box<Record>, Store),
    /// Why not.
    None(String),
}

impl Found {
    /// The upper, where there is one.
    pub fn upper(self) -> Option<(Box<Record>, Store)> {
        match self {
            Self::Upper(record, store) => Some((record, store)),
            Self::None(_) => None,
        }
    }
}

/// What the next boot is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pending {
    /// Nothing.
    Nothing,
    /// Something that this version does not understand.
    Unknown,
    /// This.
    Asked(Marker),
}

impl Pending {
    /// What is asked for, where that is understood.
    pub fn marker(&self) -> Option<&Marker> {
        match self {
            Self::Asked(marker) => Some(marker),
            Self::Nothing | Self::Unknown => None,
        }
    }
}

/// Looks for the upper that stays.
pub fn find() -> Result<Found> {
    let Some(record) = recordfile::read(paths::RECORD)? else {
        return Ok(Found::None(NO_RECORD.to_owned()));
    };
    let effective = &record.effective;
    let none = |why: &str| Ok(Found::None(why.to_owned()));
    match effective.root {
        RootKind::Overlay => {}
        RootKind::Plain | RootKind::Ro | RootKind::Foreign | RootKind::None => return none(NOT_OURS),
    }
    if effective.upper.is_in_ram() {
        return none(match effective.lowers.len() > 1 {
            true => "the upper is in RAM, the kept one below it is read-only: boot without rd.overlay.readonly",
            false => "the upper is in RAM and is discarded at every boot",
        });
    }
    let Some(store) = &effective.store else {
        return none("this boot's record does not name the upper's directories");
    };
    let mounts = mounts::read()?;
    let at = effective.store_fs().unwrap_or_default();
    if mountinfo::at(&mounts, at).is_none() {
        return Ok(Found::None(format!("the upper's file system is not mounted on {at}")));
    }
    let store = store.clone();
    Ok(Found::Upper(Box::new(record), store))
}

/// Where the lower is.
///
/// # Errors
/// Where the record names none, and those of [`is_mounted`].
pub fn lower(record: &Record) -> Result<&str> {
    let at = record.effective.lowers.last().context("this boot's record names no lower")?;
    is_mounted(at)?;
    Ok(at)
}

/// # Errors
/// Where the lower is not mounted any more: the directory would pass for a lower that has nothing.
pub fn is_mounted(lower: &str) -> Result<()> {
    ensure!(mountinfo::at(&mounts::read()?, lower).is_some(), "the lower is not mounted on {lower}: reboot");
    Ok(())
}

/// Reads what the next boot is asked for.
pub fn pending(store: &Store) -> Result<Pending> {
    match files::read_small(&store.marker) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Pending::Nothing),
        result => {
            let text = result.with_context(|| format!("reading {}", store.marker))?;
            Ok(Marker::parse(&String::from_utf8_lossy(&text)).map_or(Pending::Unknown, Pending::Asked))
        }
    }
}

/// An upper on the file system of the one in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upper {
    /// The upper of its name; where it is kept, the one that it was.
    pub store: Store,
    /// Where it is kept under a number.
    pub number: Option<u32>,
}

impl Upper {
    /// As it is called.
    pub fn name(&self) -> String {
        let name = self.store.name();
        self.number.map_or_else(|| name.to_owned(), |number| format!("{name}.{number}"))
    }

    /// What is moved where it is renamed or discarded, and its fingerprint.
    pub fn whole(&self) -> (String, String) {
        match self.number {
            Some(number) => self.store.kept(number),
            None => (self.store.whole().to_owned(), self.store.fingerprint.clone()),
        }
    }

    /// The upper directory itself: of a subvolume it is a part.
    pub fn directory(&self) -> String {
        self.store.upper.replacen(self.store.whole(), &self.whole().0, 1)
    }
}

/// Every upper that is there: first the one in use, then those kept of it, then those of other names.
///
/// # Errors
/// Where the directories can't be read.
pub fn all(store: &Store) -> Result<Vec<Upper>> {
    let others = names_beside(store)?.into_iter().filter_map(|name| store.beside(&name));
    let mut found = Vec::new();
    for store in std::iter::once(store.clone()).chain(others) {
        if is_directory(store.whole()) {
            found.push(Upper { store: store.clone(), number: None });
        }
        found.extend(numbers(&store)?.into_iter().map(|number| Upper { store: store.clone(), number: Some(number) }));
    }
    Ok(found)
}

/// The upper of this name, if it is there.
///
/// # Errors
/// As [`all`].
pub fn named(store: &Store, name: &str) -> Result<Option<Upper>> {
    Ok(all(store)?.into_iter().find(|upper| upper.name() == name))
}

/// Names that other uppers may have: that of the default one, which others make, too, and those of fingerprints.
fn names_beside(store: &Store) -> Result<BTreeSet<String>> {
    let meta = store.fingerprint.rsplit_once('/').map_or("/", |(meta, _)| meta);
    let default = (store.name() != DEFAULT_UPPER).then(|| DEFAULT_UPPER.to_owned());
    let mut names: BTreeSet<String> = default.into_iter().collect();
    let entries = match fs::read_dir(meta) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(names),
        entries => entries.with_context(|| format!("reading {meta}"))?,
    };
    for entry in entries {
        let file = entry?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(".json")?.split('.').next());
        names.extend(name.filter(|name| *name != store.name() && parse_name(name).is_ok()).map(str::to_owned));
    }
    Ok(names)
}

fn numbers(store: &Store) -> Result<Vec<u32>> {
    let parent = store.whole().rsplit_once('/').map_or("/", |(parent, _)| parent);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(parent).with_context(|| format!("reading {parent}"))? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| number(store, name)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn is_directory(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// The number of a kept upper that is there.
pub fn number(store: &Store, name: &str) -> Option<u32> {
    store.number(name).filter(|number| is_directory(&store.kept(*number).0))
}

/// Directory and fingerprint of the upper in use, or of another one beside it.
pub fn places(store: &Store, name: Option<&str>) -> Option<(String, String)> {
    match name {
        None => Some((store.upper.clone(), store.fingerprint.clone())),
        Some(name) => named(store, name).ok().flatten().map(|upper| (upper.directory(), upper.whole().1)),
    }
}
