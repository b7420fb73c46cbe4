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
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The layers of the directory `at`, where it is one of the root's overlay; empty for any other.
///
/// # Errors
/// Where the record can't be read, or a layer can't be reached.
pub fn of(at: &str) -> Result<Vec<Layer>> {
    let root = mounts::read()?;
    let root = mountinfo::at(&root, "/").filter(|root| root.fstype == "overlay");
    let record = recordfile::read(paths::RECORD)?.filter(|record| record.effective.root == RootKind::Overlay);
    let (Some(root), Some(record)) = (root, record) else { return Ok(Vec::new()) };
    // On an overlay every directory has its number.
    if fs::metadata(at)?.dev() != fs::metadata("/")?.dev() {
        return Ok(Vec::new());
    }
    let upper = root.super_option("upperdir").unwrap_or_else(|| paths::UPPER_LINK.to_owned());
    kept::lower(&record)?;
    let all: Vec<String> = std::iter::once(upper).chain(record.effective.lowers).collect();
    layers::stack(&all, at).with_context(|| format!("looking at the layers of {at}"))
}

/// Mounts over `view`, which shows what the layers merge to, each topmost directory of the lower that nothing above
/// has anything of and that has marks.
///
/// # Errors
/// Where marks lie in a directory that the upper has, too: no mount shows both.
pub fn show(view: &str, layers: &[Layer], left_out: &LeftOut, held: &Held) -> Result<()> {
    let mut waiting = vec![(layers.to_vec(), PathBuf::new())];
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
            let found = layers::merge(&directories, &name).with_context(|| format!("looking at {}", path.display()))?;
            if left_out.has(&path.to_string_lossy()) {
                continue;
            }
            if found.iter().any(|layer| layer.own && layers::is_redirected(&layer.path)) {
                elsewhere(layers, &path, held)?;
                continue;
            }
            let Some(lowest) = found.last().filter(|layer| !layer.own) else { continue };
            let alone = found.len() == 1;
            if alone && lowest.metadata.is_dir() {
                if stores::find(&lowest.path, &mut || held.check().map(|()| false))?.is_some() {
                    put(&lowest.path, &Path::new(view).join(&path))?;
                }
            } else if stores::is_marked(&lowest.path, &lowest.metadata) {
                bail!(
                    "/{}: an image layer of containers that the upper has changed: the merged root does not show what it \
                     removes; --exclude the store, build ROOT 'lower', or keep the store apart (rd.overlay.path)",
                    path.display()
                );
            } else if lowest.metadata.is_dir() {
                waiting.push((found, path));
            }
        }
    }
    Ok(())
}

/// A directory that was renamed in the upper shows what has another name in the lower: no harm where no store is there.
fn elsewhere(layers: &[Layer], path: &Path, held: &Held) -> Result<()> {
    let Some(lower) = layers.last() else { return Ok(()) };
    if let Some(marked) = stores::find(&lower.path, &mut || held.check().map(|()| false))? {
        bail!(
            "/{} was renamed (redirect_dir), and {} is an image layer of containers: names do not show \
             where it is used; --exclude it, build ROOT 'lower', or keep the store apart (rd.overlay.path)",
            path.display(),
            marked.display()
        );
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
