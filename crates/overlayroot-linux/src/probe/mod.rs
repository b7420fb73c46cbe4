// SPDX-License-Identifier: GPL-2.0-or-later
//! Fills [`Facts`]: what the machine looks like, as far as the plan depends on it ([`Config::wanted`]). Changes nothing
//! but for loading overlayfs, and for the journal of a device that holds a loop file ([`Journal::Replay`]).

pub mod archive;
pub mod backing;
pub mod beneath;
pub(crate) mod crypt;
pub mod device;
pub mod disk;
pub(crate) mod fingerprint;
pub mod identity;
pub mod image;
pub mod path;
pub mod place;
pub mod quota;
pub mod subvol;

use crate::source::text_in_root;
use crate::sys::statvfs::room;
use crate::sys::{casefold, files, filesystem, mounts, program};
use anyhow::Result;
use backing::Journal;
use overlayroot_core::config::Config;
use overlayroot_core::facts::device::Lookup;
use overlayroot_core::facts::fetched::Fetched;
use overlayroot_core::facts::live_image::{self, Live};
use overlayroot_core::facts::other_overlays;
use overlayroot_core::facts::place::Place;
use overlayroot_core::facts::wanted::Wanted;
use overlayroot_core::facts::{Archive, Facts, Fingerprint, Kernel, Premade, PremadeKind, ProjectQuota, Root};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::Arg;
use overlayroot_core::parse::mountinfo::{self, Mount};
use overlayroot_core::upper::Upper;
use overlayroot_core::value::order::sorted;
use place::{mkfs, place_of};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

/// Hook directories of dracut 049 to 111.
const HOOK_DIRS: [&str; 4] =
    ["/var/lib/dracut/hooks", "/lib/dracut/hooks", "/usr/lib/dracut/hooks", "/etc/dracut/hooks"];
/// What modprobe is told: not to say anything where there is no such module.
const LOAD: [&str; 2] = ["-q", "overlay"];

/// Looks at the machine from the initramfs, which has these mounts, waiting for the upper's device where one is asked
/// for.
pub fn initramfs(config: &Config, args: &[Arg], mounts: &[Mount], journal: Journal) -> Facts {
    let Some(mount) = mountinfo::at(mounts, paths::SYSROOT) else {
        return Facts::default();
    };
    let wanted = config.wanted();
    let live = live_of(args, mount);
    // What counts from here on is the image.
    let image = live.as_ref().and_then(|live| mountinfo::at(mounts, &live.lower));
    let (mount, at) = image.map_or((mount, paths::SYSROOT), |image| (image, paths::LOWER));
    let prefix = paths::SYSROOT.len();
    let below = mountinfo::below(mounts, paths::SYSROOT).into_iter();
    let submounts = below.filter_map(|below| below.at.get(prefix..).map(str::to_owned)).collect();
    let disk = disk::disk_of(config, mount);
    let device = device_of(config, true).or_else(|| disk::upper_of(config, disk.as_ref(), true));
    let subvolume = || subvol::place_of(config, mounts, mount, true);
    let node = identity::look(&config.variables(), args);
    let fetched = crate::probe::image::fetched();
    let place = place_of(config, at).or_else(subvolume);
    let kernel = kernel(load_overlay());
    complete(Facts {
        rivals: other_overlays::find(args, &mount.fstype, &mount.source, live.as_ref()),
        root: Some(Root { live, ..root(mount, at, submounts, &kernel, wanted) }),
        kernel,
        place: place.or_else(|| beside(config, device.as_ref(), journal)),
        device,
        disk,
        mkfs: if wanted.mkfs { mkfs() } else { Vec::new() },
        image: (overlayroot_core::plan::image::asked(config) && live_image::asked(args))
            .then(|| crate::probe::image::look(fetched.as_ref())),
        fetched,
        stock_hooks: stock_hooks(),
        premade: premade(mounts),
        archive: archive::look(config, args),
        node,
        paths: path::places(config, at),
        stores: path::stores(config, true),
    })
}

/// dmsquash-live's overlay in RAM. One that somebody keeps is behind a link, and stays.
fn live_of(args: &[Arg], root: &Mount) -> Option<Live> {
    let plain = |path: &String| fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    live_image::overlay(args, root).filter(|live| plain(&live.upper) && plain(&live.work))
}

/// Looks at the running host, as far as it tells what the next boot will find. Waits for nothing.
pub fn host(config: &Config, args: &[Arg]) -> Result<Facts> {
    let mounts = mounts::read()?;
    let top = mountinfo::at(&mounts, "/");
    // On an overlay of ours the lower is the root that the next boot will find.
    let lower = paths::LOWERS.into_iter().find_map(|at| mountinfo::at(&mounts, at));
    let found = match top {
        Some(top) if top.fstype == "overlay" && (lower.is_some() || beneath::is_ours(top)) => lower,
        other => other,
    };
    // The doctor compares the root with lines of fstab, and looks at its room where the upper is to lie there.
    let wanted = Wanted { fingerprint: true, room: true, ..config.wanted() };
    let modules = || files::text(format!("/lib/modules/{}/modules.dep", release()));
    let kernel = kernel(has_overlay() || modules().contains("/overlay.ko"));
    let disk = found.and_then(|mount| disk::disk_of(config, mount));
    let device = device_of(config, false).or_else(|| disk::upper_of(config, disk.as_ref(), false));
    let node = identity::look(&config.variables(), args);
    let stores = path::stores(config, false).into_iter();
    let missing = found.is_some_and(|mount| archive::is_missing(config, &node, &mount.at));
    let place =
        found.and_then(|mount| place_of(config, &mount.at).or_else(|| subvol::place_of(config, &mounts, mount, false)));
    Ok(complete(Facts {
        root: found.map(|mount| root(mount, &mount.at, Vec::new(), &kernel, wanted)),
        kernel,
        place: place.or_else(|| beside(config, device.as_ref(), Journal::Leave)),
        device: device.map(Lookup::before_fstab),
        disk,
        mkfs: if wanted.mkfs { mkfs() } else { Vec::new() },
        rivals: found.map(|mount| other_overlays::find(args, &mount.fstype, &mount.source, None)).unwrap_or_default(),
        image: overlayroot_core::plan::image::of_next_boot(config),
        // Whether it will be is what the doctor tells.
        fetched: config.image_cache.value.as_ref().map(|_| Fetched::default()),
        stock_hooks: Vec::new(),
        premade: Vec::new(),
        archive: Archive { missing, ..archive::look(config, args) },
        node,
        paths: found.map(|mount| path::places(config, &mount.at)).unwrap_or_default(),
        stores: stores.map(|(name, lookup)| (name, lookup.before_fstab())).collect(),
    }))
}

/// What only matters by what else was seen.
fn complete(mut facts: Facts) -> Facts {
    facts.kernel.no_unicode = facts.folds() && casefold::no_unicode();
    facts
}

/// The device that the configuration asks for, waited for if `wait`; `None` where it asks for none.
pub fn device_of(config: &Config, wait: bool) -> Option<Lookup> {
    let asked = config.upper.value.device()?;
    let seconds = if wait { config.timeout.value } else { 0 };
    Some(device::resolve(asked, Duration::from_secs(seconds.into()), || {
        if wait && seconds > 0 {
            crate::log::warning!("waiting up to {seconds} s for {asked}");
        }
    }))
}

/// What lies where a loop file of another device is asked for.
fn beside(config: &Config, device: Option<&Lookup>, journal: Journal) -> Option<Place> {
    let Upper::Loop(file) = &config.upper.value else { return None };
    backing::look(device, file, journal)
}

fn root(mount: &Mount, at: &str, submounts: Vec<String>, kernel: &Kernel, wanted: Wanted) -> Root {
    let room = if wanted.room { room(at).ok() } else { None };
    let matters = casefold::KINDS.contains(&mount.fstype.as_str()) && !kernel.takes_casefold();
    let folds = || filesystem::node_of(mount).is_some_and(|node| casefold::has(&node, &mount.fstype));
    Root {
        source: mount.source.clone(),
        fstype: mount.fstype.clone(),
        devno: mount.devno.clone(),
        // Where the kernel made the number up.
        devices: if mount.devno.starts_with("0:") { filesystem::numbers_of(mount) } else { Vec::new() },
        writable: !mount.super_read_only(),
        submounts,
        fstab: text_in_root(at, "/etc/fstab").unwrap_or_default(),
        autorelabel: fs::symlink_metadata(format!("{at}{}", paths::AUTORELABEL)).is_ok(),
        casefold: matters && folds(),
        bytes: room.map_or(0, |room| room.bytes),
        free: room.map_or(0, |room| room.available),
        live: None,
        project_quota: if wanted.project_quota { quota::support(mount) } else { ProjectQuota::default() },
        subvolume: if mount.fstype == "btrfs" { mount.root.clone() } else { String::new() },
        fingerprint: if wanted.fingerprint { fingerprint::of(mount, at) } else { Fingerprint::default() },
    }
}

fn has_overlay() -> bool {
    let list = files::ask_kernel("/proc/filesystems").unwrap_or_default();
    list.lines().any(|line| line.split_whitespace().last() == Some("overlay"))
}

fn load_overlay() -> bool {
    if has_overlay() {
        return true;
    }
    // Where one is at work the kernel lets this one wait for it. A failure shows in /proc/filesystems.
    let _ = program::run("modprobe", &LOAD, program::NOWHERE);
    has_overlay()
}

/// Has overlayfs loaded while others work, if it is not there yet. Nobody waits for it, nor for whether it succeeds: the
/// probe loads it again.
pub fn begin_loading_overlay() {
    if !has_overlay() {
        if let Err(error) = program::start("modprobe", &LOAD) {
            crate::log::debug!("{error:#}");
        }
    }
}

fn release() -> String {
    files::ask_kernel("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned()
}

fn kernel(overlay: bool) -> Kernel {
    const FEATURES: [(&str, &str); 5] = [
        ("index", "index"),
        ("metacopy", "metacopy"),
        ("nfs_export", "nfs_export"),
        ("redirect_dir", "redirect_dir"),
        ("xino_auto", "xino"),
    ];
    let value = |parameter: &str| files::ask_kernel(format!("/sys/module/overlay/parameters/{parameter}")).ok();
    let (mut features, mut on_by_default) = (Vec::new(), Vec::new());
    for (parameter, option) in FEATURES {
        let Some(value) = value(parameter) else { continue };
        if value.trim() == "Y" {
            on_by_default.push(option.to_owned());
        }
        features.push(option.to_owned());
    }
    Kernel { release: release(), overlay, features, on_by_default, no_unicode: false }
}

/// Hooks of dracut's stock modules `overlayfs` and `overlayfs-crypt` in this initramfs; the latter would
/// format the device before we could refuse it.
pub fn stock_hooks() -> Vec<String> {
    let mut known = Vec::new();
    // One directory has several names where some of them are links.
    let real = HOOK_DIRS.into_iter().filter(|dir| {
        let which = fs::metadata(dir).map(|found| (found.dev(), found.ino())).ok();
        let new = which.is_some() && !known.contains(&which);
        known.push(which);
        new
    });
    let stages = real.flat_map(|dir| ["pre-mount", "mount", "pre-pivot"].map(|stage| format!("{dir}/{stage}")));
    let files = stages.filter_map(|dir| fs::read_dir(dir).ok()).flatten();
    let paths = files.filter_map(|entry| entry.ok()?.path().to_str().map(str::to_owned));
    let ends = ["-prepare-overlayfs.sh", "-mount-overlayfs.sh", "-prepare-overlayfs-crypt.sh"];
    sorted(paths.filter(|path| ends.iter().any(|end| path.ends_with(end))).collect())
}

fn premade(mounts: &[Mount]) -> Vec<Premade> {
    let places = [paths::LOWER, paths::UPPER_LINK, paths::WORK_LINK, paths::READONLY_LINK];
    let mut found: Vec<Premade> = places.into_iter().filter_map(|path| premade_at(mounts, path)).collect();
    // Here only a mount is in the way; the directories are mount points of ours as well.
    let mounted = [paths::BACKING, paths::BACKING_KEPT, paths::TMPFS];
    let mounted = mounted.into_iter().filter(|path| mountinfo::at(mounts, path).is_some());
    found.extend(mounted.map(|path| Premade { path: path.to_owned(), kind: PremadeKind::Mount }));
    found
}

fn premade_at(mounts: &[Mount], path: &str) -> Option<Premade> {
    let kind = match (mountinfo::at(mounts, path), fs::symlink_metadata(path)) {
        (Some(_), _) => PremadeKind::Mount,
        (None, Ok(metadata)) if metadata.is_dir() => PremadeKind::Directory,
        (None, Ok(_)) => PremadeKind::Link,
        (None, Err(_)) => return None,
    };
    Some(Premade { path: path.to_owned(), kind })
}
