// SPDX-License-Identifier: GPL-2.0-or-later
//! Performs the steps of single paths. In the initramfs, before anybody but root runs: a name that was looked at is
//! the same when it is used.

use crate::step::layers::{self, Layer};
use crate::step::report::{Report, SCRATCH};
use crate::step::undo::Undo;
use crate::step::{keepfiles, machineid, tree};
use crate::sys::plain_way::{self, End};
use crate::sys::sync::sync_parent;
use crate::sys::{attributes, fsck, mounts, remove_tree};
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::step::path::PathStep;
use rustix::fs::Mode;
use rustix::mount::MountFlags;
use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Type of an overlay in statfs(2).
const OVERLAY: u64 = 0x794c_7630;

pub(crate) fn perform(step: &PathStep, undos: &mut Vec<Undo>, report: &mut Report) -> Result<()> {
    match step {
        PathStep::OpenDevice { device, fstype, at } => {
            if fstype.starts_with("ext") {
                mounts::make_dir(SCRATCH)?;
                fsck::check(device, SCRATCH)?;
            }
            mounts::mount_fs(device, at, fstype, MountFlags::empty(), "")?;
            undos.push(Undo::Unmount(at.clone()));
            Ok(())
        }
        PathStep::OpenRoot { lower, at } => open_root(lower, at, undos),
        PathStep::Point { path, layers } => point(path, layers),
        PathStep::Restore { path, store, mount, layers } => {
            open_store(store, mount)?;
            keepfiles::restore(store, path, layers).map(|_| ())
        }
        PathStep::MachineId { path, store, mount, layers } => {
            open_store(store, mount)?;
            if machineid::settle(store, path, layers)? {
                report.notes.push(format!("{path} was made, and is kept"));
            }
            Ok(())
        }
        PathStep::Persist { path, root, store, mount, layers } => {
            let target = target(root, path, true)?;
            if begin(|| source(root, path, layers), store, mount)? {
                report.notes.push(format!("{path} is kept from now on; it began with what the root has there"));
            }
            into_root(store, &target, undos)
        }
        PathStep::Volatile { path, root, options, mode, copy, layers } => {
            let target = target(root, path, true)?;
            let from = if *copy { Some(source(root, path, layers)?) } else { None };
            volatile(&target, options, *mode, from.as_ref(), undos)
        }
        PathStep::Bind { path, root, from } => {
            ensure!(mounted(paths::KEEP_ROOT)?, "the root's file system is not writable");
            let (base, below) = (paths::KEEP_ROOT, from.strip_prefix(paths::KEEP_ROOT).unwrap_or(from));
            plain_way(base, below)?;
            let kind = fs::symlink_metadata(from).with_context(|| format!("looking at {from}"))?;
            let target = target(root, path, kind.is_dir())?;
            into_root(from, &target, undos)
        }
        PathStep::ReadOnly { path, root } => {
            plain_way(root, path)?;
            let target = format!("{root}{path}");
            let kind = fs::symlink_metadata(&target).with_context(|| format!("looking at {target}"))?;
            ensure!(kind.is_dir() || kind.is_file(), "{path} is neither a file nor a directory");
            // With what is mounted below: it would be hidden.
            mounts::bind_all_as_is(&target, &target)?;
            undos.push(Undo::Detached(target.clone()));
            mounts::remount_bind(&target, true)
        }
    }
}

fn mounted(at: &str) -> Result<bool> {
    Ok(mountinfo::at(&mounts::read()?, at).is_some())
}

/// The lower's file system once more, writable: the lower's own mount of it stays read-only.
fn open_root(lower: &str, at: &str, undos: &mut Vec<Undo>) -> Result<()> {
    mounts::bind(lower, at)?;
    let opened = mounts::remount_super(at, false).and_then(|()| mounts::remount_bind(at, false));
    if let Err(error) = opened {
        mounts::unmount(at)?;
        return Err(error);
    }
    undos.push(Undo::Unmount(at.to_owned()));
    Ok(())
}

fn point(path: &str, layers: &[String]) -> Result<()> {
    if layers::find(layers, path).is_some() {
        return Ok(());
    }
    let upper = layers.first().context("there is no upper")?;
    ensure!(layers::parents(layers, None, path)?, "something is in the way of {path}");
    let at = format!("{upper}{path}");
    // What the layers do not show is a whiteout here.
    ensure!(fs::symlink_metadata(&at).is_err(), "{path} was removed in the upper");
    DirBuilder::new().mode(0o755).create(&at).with_context(|| format!("making {at}"))
}

/// Every part of the way is a directory, and no link leads out.
fn plain_way(root: &str, path: &str) -> Result<()> {
    let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
    match plain_way::follow(root, parent) {
        End::Open => Ok(()),
        End::Missing(way, error) => Err(error).with_context(|| format!("looking at {root}{way}")),
        End::Other(way, _) => bail!("{way} on the way is a link or no directory"),
    }
}

/// Where something is to be mounted in the merged root: a directory, made where it is not there, or a file.
fn target(root: &str, path: &str, directory: bool) -> Result<String> {
    let at = format!("{root}{path}");
    match plain_way(root, path).and_then(|()| fs::symlink_metadata(&at).with_context(|| format!("looking at {at}"))) {
        Ok(found) if directory && found.is_dir() || !directory && found.is_file() => Ok(at),
        Ok(_) => anyhow::bail!("{path} is not {}", if directory { "a directory" } else { "a file" }),
        // Below another path with a policy of its own.
        Err(_) if directory && fs::symlink_metadata(&at).is_err() => {
            let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
            if !parent.is_empty() {
                target(root, parent, true)?;
            }
            DirBuilder::new().mode(0o755).create(&at).with_context(|| format!("making {at}"))?;
            Ok(at)
        }
        Err(error) => Err(error),
    }
}

/// Makes what lies beside the merged root a part of it, as what is there else: setuid and devices count.
fn into_root(from: &str, to: &str, undos: &mut Vec<Undo>) -> Result<()> {
    mounts::bind_here(from, to)?;
    undos.push(Undo::Detached(to.to_owned()));
    mounts::join_root(to)
}

/// Makes the directories of a store, which nobody but root may look into, on a file system that is mounted.
fn open_store(store: &str, mount: &str) -> Result<()> {
    ensure!(mounted(mount)?, "the file system that keeps it is not mounted");
    let below = store.strip_prefix(mount).unwrap_or(store);
    let mut way = mount.to_owned();
    for part in below.split('/').filter(|part| !part.is_empty()) {
        way = format!("{way}/{part}");
        match fs::symlink_metadata(&way) {
            Ok(found) => ensure!(found.is_dir(), "{way} is not a plain directory"),
            Err(_) => {
                let mode = if part == paths::KEEP_DIR { 0o700 } else { 0o755 };
                DirBuilder::new().mode(mode).create(&way).with_context(|| format!("making {way}"))?;
            }
        }
    }
    Ok(())
}

/// What a path begins with.
struct Source {
    at: String,
    layers: Vec<Layer>,
    apart: Vec<PathBuf>,
}

/// What the root has at a path: that of its overlay's layers, or of what is mounted there.
fn source(root: &str, path: &str, layers: &[String]) -> Result<Source> {
    let at = format!("{root}{path}");
    let context = || format!("looking at {at}");
    let device = |path: &str| fs::symlink_metadata(path).map(|metadata| metadata.dev());
    // On an overlay every directory has its number.
    let layers = match device(&at).with_context(context)? == device(root).with_context(context)? {
        true => told_by_names(layers, path)?,
        false => vec![Layer::whole(&at).with_context(context)?],
    };
    ensure!(!layers.is_empty(), "no layer has {path}");
    for layer in &layers {
        ensure!(!is_overlay(&layer.path)?, "{path} is another tool's overlay: what its layers mark can't be copied");
    }
    let mounts = mounts::read()?;
    let apart = mountinfo::below(&mounts, &at).into_iter().filter_map(|mount| mount.at.strip_prefix(&at));
    let apart = apart.map(|below| PathBuf::from(below.trim_start_matches('/'))).collect();
    Ok(Source { at, layers, apart })
}

/// What the layers have at a path, where nothing on the way to it is elsewhere.
fn told_by_names(layers: &[String], path: &str) -> Result<Vec<Layer>> {
    let (mut way, mut found) = (String::new(), Vec::new());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        way = format!("{way}/{part}");
        found = layers::stack(layers, &way).with_context(|| format!("looking at the layers of {way}"))?;
        let own = found.iter().filter(|layer| layer.own);
        own.map(|layer| layer.path.as_path()).try_for_each(tree::followed).with_context(|| format!("copying {way}"))?;
    }
    Ok(found)
}

#[allow(clippy::unnecessary_cast, reason = "the type of f_type differs between machines")]
fn is_overlay(path: &Path) -> Result<bool> {
    let found = rustix::fs::statfs(path).with_context(|| format!("looking at {}", path.display()))?;
    Ok(found.f_type as u64 & 0xffff_ffff == OVERLAY)
}

/// Makes what is kept, with what the root has there, and gives it its name last; false where it is there.
fn begin(from: impl FnOnce() -> Result<Source>, store: &str, mount: &str) -> Result<bool> {
    let (directory, _) = store.rsplit_once('/').unwrap_or(("", store));
    open_store(directory, mount)?;
    if let Ok(found) = fs::symlink_metadata(store) {
        ensure!(found.is_dir(), "{store} is not a plain directory");
        return Ok(false);
    }
    let (from, new) = (from()?, format!("{store}.new"));
    discard(&new)?;
    DirBuilder::new().mode(0o700).create(&new).with_context(|| format!("making {new}"))?;
    crate::log::info!("{store} begins with what is in {}", from.at);
    let copied = tree::copy(&from.layers, &new, &from.apart).and_then(|()| {
        rustix::fs::syncfs(File::open(&new)?).with_context(|| format!("syncing {new}"))?;
        fs::rename(&new, store).with_context(|| format!("renaming {new} to {store}"))
    });
    if let Err(error) = copied {
        // What was copied takes the room of others.
        let _ = discard(&new);
        return Err(error);
    }
    sync_parent(store)?;
    Ok(true)
}

fn discard(new: &str) -> Result<()> {
    if fs::symlink_metadata(new).is_ok() {
        remove_tree::empty(new, &mut || false)?;
        fs::remove_dir(new).with_context(|| format!("removing {new}"))?;
    }
    Ok(())
}

/// Filled at a private place first: what is there is covered by it.
fn volatile(at: &str, options: &str, mode: Option<u32>, from: Option<&Source>, undos: &mut Vec<Undo>) -> Result<()> {
    let filling = format!("{}/filling", paths::KEEP);
    mounts::mount_fs("tmpfs", &filling, "tmpfs", MountFlags::empty(), options)?;
    let filled = match from {
        Some(from) => tree::copy(&from.layers, &filling, &from.apart),
        None => attributes::copy_attributes(at, &filling),
    };
    let done = filled.and_then(|()| {
        if let Some(mode) = mode {
            rustix::fs::chmod(&filling, Mode::from_raw_mode(mode))
                .with_context(|| format!("setting the mode of {at}"))?;
        }
        into_root(&filling, at, undos)
    });
    mounts::unmount(&filling)?;
    done
}
