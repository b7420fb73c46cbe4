// SPDX-License-Identifier: GPL-2.0-or-later
//! Fills [`Facts`]: what the machine looks like. Changes nothing but for loading overlayfs, and for the
//! journal of a device that holds a loop file ([`Journal::Replay`]).

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
use overlayroot_core::facts::{Archive, Facts, Kernel, Premade, PremadeKind, Root};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::Arg;
use overlayroot_core::parse::mountinfo::{self, Mount};
use overlayroot_core::upper::Upper;
use place::{mkfs, place_of};
use std::fs;
use std::time::Duration;

/// Hook directories of dracut 049 to 111.
const HOOK_DIRS: [&str; 4] =
    ["/var/lib/dracut/hooks", "/lib/dracut/hooks", "/usr/lib/dracut/hooks", "/etc/dracut/hooks"];

/// Looks at the machine from the initramfs, waiting for the upper's device where one is asked for.
pub fn initramfs(config: &Config, args: &[Arg], journal: Journal) -> Result<Facts> {
    let mounts = mounts::read()?;
    let Some(mount) = mountinfo::at(&mounts, paths::SYSROOT) else {
        return Ok(Facts::default());
    };
    let live = live_of(args, mount);
    // What counts from here on is the image.
    let image = live.as_ref().and_then(|live| mountinfo::at(&mounts, &live.lower));
    let (mount, at) = image.map_or((mount, paths::SYSROOT), |image| (image, paths::LOWER));
    let prefix = paths::SYSROOT.len();
    let below = mountinfo::below(&mounts, paths::SYSROOT).into_iter();
    let submounts = below.filter_map(|below| below.at.get(prefix..).map(str::to_owned)).collect();
    let disk = disk::disk_of(config, mount);
    let device = device_of(config, true).or_else(|| disk::upper_of(config, disk.as_ref(), true));
    let subvolume = || subvol::place_of(config, &mounts, mount, true);
    let node = identity::look(&config.variables(), args);
    let fetched = crate::probe::image::fetched();
    let place = place_of(config, at).or_else(subvolume);
    Ok(Facts {
        rivals: other_overlays::find(args, &mount.fstype, &mount.source, live.as_ref()),
        root: Some(Root { live, ..root(mount, at, submounts) }),
        kernel: kernel(load_overlay()),
        place: place.or_else(|| beside(config, device.as_ref(), journal)),
        device,
        disk,
        mkfs: mkfs(),
        image: (overlayroot_core::plan::image::asked(config) && live_image::asked(args))
            .then(|| crate::probe::image::look(fetched.as_ref())),
        fetched,
        stock_hooks: stock_hooks(),
        premade: premade(&mounts),
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
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let modules = files::text(format!("/lib/modules/{}/modules.dep", release.trim()));
    let overlay = has_overlay() || modules.contains("/overlay.ko");
    let disk = found.and_then(|mount| disk::disk_of(config, mount));
    let device = device_of(config, false).or_else(|| disk::upper_of(config, disk.as_ref(), false));
    let node = identity::look(&config.variables(), args);
    let stores = path::stores(config, false).into_iter();
    let missing = found.is_some_and(|mount| archive::is_missing(config, &node, &mount.at));
    let place =
        found.and_then(|mount| place_of(config, &mount.at).or_else(|| subvol::place_of(config, &mounts, mount, false)));
    Ok(Facts {
        root: found.map(|mount| root(mount, &mount.at, Vec::new())),
        kernel: kernel(overlay),
        place: place.or_else(|| beside(config, device.as_ref(), Journal::Leave)),
        device: device.map(Lookup::before_fstab),
        disk,
        mkfs: mkfs(),
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
    })
}

/// The device that the configuration asks for, waited for if `wait`; `None` where it asks for none.
pub fn device_of(config: &Config, wait: bool) -> Option<Lookup> {
    let asked = config.upper.value.device()?;
    let seconds = if wait { config.timeout.value } else { 0 };
    Some(device::resolve(asked, Duration::from_secs(seconds.into()), || {
        if wait && seconds > 0 {
            tracing::warn!("waiting up to {seconds} s for {asked}");
        }
    }))
}

/// What lies where a loop file of another device is asked for.
fn beside(config: &Config, device: Option<&Lookup>, journal: Journal) -> Option<Place> {
    let Upper::Loop(file) = &config.upper.value else { return None };
    backing::look(device, file, journal)
}

fn root(mount: &Mount, at: &str, submounts: Vec<String>) -> Root {
    let room = room(at).ok();
    Root {
        source: mount.source.clone(),
        fstype: mount.fstype.clone(),
        devno: mount.devno.clone(),
        // Where the kernel made the number up.
        devices: if mount.devno.starts_with("0:") { filesystem::of_mount(mount).devices } else { Vec::new() },
        writable: !mount.super_read_only(),
        submounts,
        fstab: text_in_root(at, "/etc/fstab").unwrap_or_default(),
        autorelabel: fs::symlink_metadata(format!("{at}{}", paths::AUTORELABEL)).is_ok(),
        casefold: filesystem::node_of(mount).is_some_and(|node| casefold::has(&node, &mount.fstype)),
        bytes: room.map_or(0, |room| room.bytes),
        free: room.map_or(0, |room| room.available),
        live: None,
        project_quota: quota::support(mount),
        subvolume: if mount.fstype == "btrfs" { mount.root.clone() } else { String::new() },
        fingerprint: fingerprint::of(mount, at),
    }
}

fn has_overlay() -> bool {
    let list = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    list.lines().any(|line| line.split_whitespace().last() == Some("overlay"))
}

fn load_overlay() -> bool {
    if !has_overlay() {
        // Its failure shows in /proc/filesystems, which is asked again.
        let _ = program::run("modprobe", &["-q", "overlay"], "/dev/null");
    }
    has_overlay()
}

fn kernel(overlay: bool) -> Kernel {
    const FEATURES: [(&str, &str); 5] = [
        ("index", "index"),
        ("metacopy", "metacopy"),
        ("nfs_export", "nfs_export"),
        ("redirect_dir", "redirect_dir"),
        ("xino_auto", "xino"),
    ];
    let on = |parameter: &str| {
        let value = fs::read_to_string(format!("/sys/module/overlay/parameters/{parameter}"));
        value.is_ok_and(|value| value.trim() == "Y")
    };
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Kernel {
        release: release.trim().to_owned(),
        overlay,
        on_by_default: FEATURES.iter().filter(|(name, _)| on(name)).map(|(_, option)| (*option).to_owned()).collect(),
        no_unicode: casefold::no_unicode(),
    }
}

/// Hooks of dracut's stock modules `overlayfs` and `overlayfs-crypt` in this initramfs; the latter would
/// format the device before we could refuse it.
pub fn stock_hooks() -> Vec<String> {
    let stages =
        HOOK_DIRS.iter().flat_map(|dir| ["pre-mount", "mount", "pre-pivot"].map(|stage| format!("{dir}/{stage}")));
    let files = stages.filter_map(|dir| fs::read_dir(dir).ok()).flatten();
    let paths = files.filter_map(|entry| entry.ok()?.path().to_str().map(str::to_owned));
    let ends = ["-prepare-overlayfs.sh", "-mount-overlayfs.sh", "-prepare-overlayfs-crypt.sh"];
    let mut found: Vec<String> = paths.filter(|path| ends.iter().any(|end| path.ends_with(end))).collect();
    // /lib/dracut/hooks may be a link to /var/lib/dracut/hooks: the second name of a file is gone with the first.
    found.sort_unstable();
    found
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
