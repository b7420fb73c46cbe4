// SPDX-License-Identifier: GPL-2.0-or-later
//! The file system that keeps images, each under its sum. One that is not whole never has that name.

use crate::fault::{At, Fault, Result};
use crate::unpack::RESERVE;
use overlayroot_core::config::Config;
use overlayroot_core::facts::device::Lookup;
use overlayroot_core::facts::{Facts, Kernel};
use overlayroot_core::feature::image_cache::DIRECTORY;
use overlayroot_core::layout::paths;
use overlayroot_core::plan::image_cache::is_uppers;
use overlayroot_core::step::refusal;
use overlayroot_core::value::device::Device;
use overlayroot_linux::probe::device;
use overlayroot_linux::probe::image::checksum;
use overlayroot_linux::sys::mounts::{self, MountFlags};
use overlayroot_linux::sys::statvfs::room;
use overlayroot_linux::sys::{casefold, files, fsck, newfile, remove_tree, sync};
use std::fs::{self, DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::time::{Duration, Instant};

/// How long a boot removes what is in the way.
const LONGEST: Duration = Duration::from_secs(5);

/// A mounted cache.
pub(super) struct Cache {
    /// Its device.
    pub(super) device: String,
    /// The same as asked for.
    pub(super) told: String,
    directory: String,
    read_only: bool,
}

impl Cache {
    /// Waits for the device, checks it as an upper's, mounts it.
    ///
    /// # Errors
    /// Why it can't be used.
    pub(super) fn open(asked: &Device, config: &Config) -> Result<Self> {
        let device = found(asked, config)?;
        let told = asked.to_string();
        if device.fstype.starts_with("ext") && !device.read_only {
            fsck::check(&device.path, paths::PRIVATE).map_err(|error| fault("check", format!("{error:#}")))?;
        }
        let mut flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
        flags.set(MountFlags::RDONLY, device.read_only);
        let mounted = mounts::mount_fs(&device.path, paths::CACHE, &device.fstype, flags, "");
        mounted.map_err(|error| fault("mount", format!("{error:#}")))?;
        let mut cache =
            Self { device: device.path, told, directory: paths::CACHE.to_owned(), read_only: device.read_only };
        match cache.enter() {
            Ok(()) => Ok(cache),
            Err(fault) => {
                cache.close();
                Err(fault)
            }
        }
    }

    /// The directory, each part of it plain: a link would lead out of the file system.
    fn enter(&mut self) -> Result<()> {
        for part in DIRECTORY.split('/') {
            self.directory = format!("{}/{part}", self.directory);
            let at = &self.directory;
            let made = if self.read_only { Ok(()) } else { DirBuilder::new().mode(0o700).create(at) };
            match made {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(error).at(|| format!("making {at}"));
                }
                _ => {}
            }
            if !fs::symlink_metadata(at).at(|| format!("looking at {at}"))?.is_dir() {
                return Err(fault("io", format!("{at} is not a plain directory")));
            }
        }
        Ok(())
    }

    /// Where the image with this sum lies, or is to.
    pub(super) fn path(&self, sum: &str) -> String {
        format!("{}/{sum}.img", self.directory)
    }

    /// Bytes of the image with this sum, read to its end. One that does not fit is removed.
    pub(super) fn find(&self, sum: &str) -> Option<u64> {
        let path = self.path(sum);
        let file = match files::open(path.as_str()) {
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            result => result,
        };
        let whole = file.and_then(|file| if has_holes(&file)? { Err(holes()) } else { Ok(file) });
        let read = whole.map_err(Into::into).and_then(|file| checksum(file, &path));
        let wrong = match read {
            Ok((bytes, is)) if is == sum => return Some(bytes),
            Ok((bytes, is)) => format!("it has {is} now ({bytes} bytes)"),
            Err(error) => format!("{error:#}"),
        };
        tracing::warn!("the image kept on {} does not fit: {wrong}; it is fetched again", self.told);
        if let Err(error) = take_away(&path) {
            tracing::warn!("{path} could not be removed: {error}");
        }
        None
    }

    /// Whether something can be kept at all.
    pub(super) fn writable(&self) -> Result<()> {
        match self.read_only {
            true => Err(fault("device-read-only", format!("{} ({}) refuses writes", self.told, self.device))),
            false => Ok(()),
        }
    }

    /// Removes what a cut or a failure left.
    pub(super) fn clear(&self) -> Result<()> {
        self.remove(".part").map(drop)
    }

    /// Removes all images, to make room for another; whether there were any. The one that was looked for is none
    /// of them.
    pub(super) fn make_room(&self) -> Result<bool> {
        let removed = self.remove(".img")?;
        if removed > 0 {
            tracing::info!("{removed} other images on {} were removed to make room", self.told);
        }
        Ok(removed > 0)
    }

    fn remove(&self, end: &str) -> Result<usize> {
        let context = || format!("looking into {}", self.directory);
        let mut removed = 0;
        for entry in fs::read_dir(&self.directory).at(context)? {
            let path = entry.at(context)?.path();
            if path.to_string_lossy().ends_with(end) {
                take_away(&path.to_string_lossy())?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Bytes that an image may have.
    pub(super) fn room(&self) -> u64 {
        room(&self.directory).map_or(0, |room| room.available.saturating_sub(RESERVE))
    }

    /// A new file for the image with this sum.
    pub(super) fn part(&self, sum: &str) -> Result<File> {
        let path = format!("{}/{sum}.part", self.directory);
        newfile::fresh(&path).map_err(crate::fault::io)
    }

    /// Gives the file its name, once it is on the disk.
    pub(super) fn keep(&self, part: &File, sum: &str) -> Result<()> {
        let (from, to) = (format!("{}/{sum}.part", self.directory), self.path(sum));
        part.sync_all().at(|| format!("syncing {from}"))?;
        fs::rename(&from, &to).at(|| format!("renaming {from}"))?;
        sync::sync(&self.directory).map_err(crate::fault::io)
    }

    /// Nothing is written from here on, so that no power cut can hurt it.
    pub(super) fn read_only(&self) {
        if let Err(error) = mounts::remount_super(paths::CACHE, true) {
            tracing::warn!("{error:#}");
        }
    }

    /// Lets go of it.
    pub(super) fn close(&self) {
        if let Err(error) = mounts::unmount(paths::CACHE) {
            tracing::warn!("{error:#}");
        }
    }
}

fn fault(word: &'static str, text: String) -> Fault {
    Fault { word, text }
}

/// What was fetched has none, and one of a few bytes can be as long as takes hours to read.
fn has_holes(file: &File) -> std::io::Result<bool> {
    const SLACK: u64 = 1 << 20;
    let metadata = file.metadata()?;
    Ok(metadata.len() > metadata.blocks().saturating_mul(512).saturating_add(SLACK))
}

fn holes() -> std::io::Error {
    std::io::Error::new(ErrorKind::InvalidData, "it has holes")
}

/// Removes whatever has the name.
fn take_away(path: &str) -> Result<()> {
    let context = || format!("removing {path}");
    if !fs::symlink_metadata(path).at(context)?.is_dir() {
        return fs::remove_file(path).at(context);
    }
    let end = Instant::now() + LONGEST;
    remove_tree::empty(path, &mut || Instant::now() >= end).map_err(crate::fault::io)?;
    fs::remove_dir(path).at(context)
}

fn found(asked: &Device, config: &Config) -> Result<overlayroot_core::facts::device::Device> {
    let seconds = config.timeout.value;
    let lookup = device::resolve(asked, Duration::from_secs(seconds.into()), || {
        if seconds > 0 {
            tracing::warn!("waiting up to {seconds} s for {asked}, to keep the image on");
        }
    });
    // The root is not mounted yet.
    let kernel = Kernel { no_unicode: casefold::no_unicode(), ..Kernel::default() };
    let facts = Facts { kernel, ..Facts::default() };
    let device = refusal::found(asked, Some(&lookup), &facts).map_err(|refusal| fault(refusal.code, refusal.text))?;
    let uppers = config.upper.value.device().map(|device| device::resolve(device, Duration::ZERO, || ()));
    let same =
        matches!(&uppers, Some(Lookup::Found(uppers)) if uppers.file_system().alike(&device.file_system()).is_some());
    if same || is_uppers(config) {
        let text = format!("{asked} ({}) is the upper's own device, which can't be both", device.path);
        return Err(fault("upper", text));
    }
    Ok(device.clone())
}
