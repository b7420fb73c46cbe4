// SPDX-License-Identifier: GPL-2.0-or-later
//! Shows container stores in a view of the merged root as the lower has them: the root's overlay takes the whiteouts
//! of their layers for its own, and hides overlayfs's marks.

use crate::commands::image::tool::LeftOut;
use crate::state::kept;
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::step::effective::RootKind;
use overlayroot_linux::source::recordfile;
use overlayroot_linux::step::layers::{self, Layer};
use overlayroot_linux::sys::mounts;
use overlayroot_linux::sys::watched::Held;
use overlayroot_linux::tool::stores;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// A directory of the root's overlay, as its layers have it.
pub struct Merged {
    /// The tops of the layers, topmost first.
    tops: Vec<Layer>,
    /// What merges to it.
    here: Vec<Layer>,
}

/// The layers of the directory `at`, where it is one of the root's overlay.
///
/// # Errors
/// Where the record can't be read, or a layer can't be reached.
pub fn of(at: &str) -> Result<Option<Merged>> {
    let root = mounts::read()?;
    let root = mountinfo::at(&root, "/").filter(|root| root.fstype == "overlay");
    let record = recordfile::read(paths::RECORD)?.filter(|record| record.effective.root == RootKind::Overlay);
    let (Some(root), Some(record)) = (root, record) else { return Ok(None) };
    // On an overlay every directory has its number.
    if fs::metadata(at)?.dev() != fs::metadata("/")?.dev() {
        return Ok(None);
    }
    let upper = root.super_option("upperdir").unwrap_or_else(|| paths::UPPER_LINK.to_owned());
    kept::lower(&record)?;
    let all: Vec<String> = std::iter::once(upper).chain(record.effective.lowers).collect();
    let context = || format!("looking at the layers of {at}");
    let tops = layers::stack(&all, "/").with_context(context)?;
    let here = descend(&tops, at.as_bytes()).with_context(context)?;
    Ok(Some(Merged { tops, here }))
}

/// What merges to a path from the tops.
fn descend(tops: &[Layer], path: &[u8]) -> Result<Vec<Layer>> {
    let mut here = tops.to_vec();
    for name in names(path)? {
        here.retain(|layer| layer.metadata.is_dir());
        here = merge(tops, &here, name)?;
    }
    Ok(here)
}

/// What merges to a name, as [`layers::merge`]. Where a layer has renamed the directory (`redirect_dir`), the layers
/// below have it elsewhere.
fn merge(tops: &[Layer], here: &[Layer], name: &OsStr) -> Result<Vec<Layer>> {
    let mut found = layers::merge(here, name)?;
    let moved = found.iter().enumerate().find_map(|(number, layer)| Some((number, moved(layer)?)));
    let Some((number, to)) = moved else { return Ok(found) };
    found.truncate(number + 1);
    let of = |layer: &Layer| tops.iter().position(|top| layer.path.starts_with(&top.path));
    let depth = found.last().and_then(of).context("it is in no layer")?;
    let below = tops.get(depth + 1..).unwrap_or_default();
    let more = match (to.starts_with(b"/"), names(&to)?.as_slice()) {
        (true, _) => descend(below, &to)?,
        (false, [name]) => {
            let beside: Vec<Layer> = here.iter().filter(|layer| of(layer) > Some(depth)).cloned().collect();
            merge(below, &beside, name)?
        }
        (false, _) => bail!("its redirect {} is not a name", String::from_utf8_lossy(&to).escape_debug()),
    };
    found.extend(more.into_iter().take_while(|layer| layer.metadata.is_dir()));
    Ok(found)
}

/// Where the layers below have this directory. Of a renamed file the content is theirs alone: it is shown.
fn moved(layer: &Layer) -> Option<Vec<u8>> {
    let merges = layer.own && layer.metadata.is_dir() && !layers::is_opaque(&layer.path);
    merges.then(|| layers::redirect(&layer.path)).flatten()
}

/// The parts of a path that lead down.
fn names(path: &[u8]) -> Result<Vec<&OsStr>> {
    let mut names = Vec::new();
    for part in Path::new(OsStr::from_bytes(path)).components() {
        match part {
            Component::Normal(name) => names.push(name),
            Component::RootDir => {}
            Component::Prefix(_) | Component::CurDir | Component::ParentDir => {
                bail!("{} leads out of the layers", String::from_utf8_lossy(path).escape_debug())
            }
        }
    }
    Ok(names)
}

/// Mounts over `view`, which shows what the layers merge to, each topmost directory of the lower that nothing above
/// has anything of and that has marks.
///
/// # Errors
/// Where marks lie in a directory that the upper has, too: no mount shows both.
pub fn show(view: &str, merged: &Merged, left_out: &LeftOut, held: &Held) -> Result<()> {
    let mut waiting = vec![(merged.here.clone(), PathBuf::new())];
    while let Some((directories, below)) = waiting.pop() {
        held.check()?;
        let mut names = BTreeSet::new();
        for directory in &directories {
            let context = || format!("reading {}", directory.path.display());
            for entry in fs::read_dir(&directory.path).with_context(context)? {
                names.insert(entry.with_context(context)?.file_name());
            }
        }
        for name in names {
            let path = below.join(&name);
            let context = || format!("looking at {}", path.display());
            let found = merge(&merged.tops, &directories, &name).with_context(context)?;
            if left_out.has(&path.to_string_lossy()) {
                continue;
            }
            let Some(lowest) = found.last() else { continue };
            let alone = found.len() == 1 && !lowest.own;
            if alone && lowest.metadata.is_dir() {
                if stores::find(&lowest.path, &mut || held.check().map(|()| false))?.is_some() {
                    put(&lowest.path, &Path::new(view).join(&path))?;
                }
            } else if !lowest.own && stores::is_marked(&lowest.path, &lowest.metadata) {
                bail!(
                    "/{}: an image layer of containers that the upper has changed: the merged root does not show what it \
                     removes; --exclude the store, build ROOT 'lower', or keep the store apart (rd.overlay.path)",
                    path.display()
                );
            } else if lowest.metadata.is_dir() {
                // Also one of the upper alone: what was renamed into it is the lower's.
                waiting.push((found, path));
            }
        }
    }
    Ok(())
}

fn put(from: &Path, to: &Path) -> Result<()> {
    let (Some(from), Some(to)) = (from.to_str(), to.to_str()) else {
        bail!("{} is not UTF-8", from.display());
    };
    ensure!(fs::symlink_metadata(to).is_ok_and(|at| at.is_dir()), "{to} is not shown as its layers have it");
    mounts::bind(from, to)?;
    mounts::remount_bind(to, true)
}
