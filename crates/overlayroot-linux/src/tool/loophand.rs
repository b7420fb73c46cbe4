// SPDX-License-Identifier: GPL-2.0-or-later
//! The loop file by hand: what overlay-loop and `overlayctl loop` do, with the functions of the boot.

use crate::probe::place;
use crate::step::loopfile::{self, Tell};
use crate::sys::loopdev::{self, Calls};
use crate::sys::scratch::Scratch;
use crate::sys::statvfs::room;
use crate::sys::{block, filesystem, fsck, growfs, mounts};
use anyhow::{Context, Result, anyhow, bail, ensure};
use overlayroot_core::facts::place::PlaceKind;
use overlayroot_core::parse::mountinfo::{self, Mount};
use overlayroot_core::step::Step;
use overlayroot_core::step::refusal::UPPER_FILE_SYSTEMS;
use overlayroot_core::upper::loop_file::LoopFile;
use overlayroot_core::upper::loop_file::size;
use overlayroot_core::value::size::human;
use rustix::mount::MountFlags;
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Stands for the device in what is said: its number is known only when it is there.
const DEVICE: &str = "a loop device";

/// How it is to be done.
pub struct Hand<'a> {
    /// Only say it.
    pub dry_run: bool,
    /// Takes the steps, a line each, before they are done.
    pub say: &'a dyn Fn(&str),
    /// Is told how far a step is.
    pub tell: &'a mut Tell<'a>,
}

impl Hand<'_> {
    /// Says a step, and whether to do it.
    fn does(&self, step: &dyn Display) -> bool {
        (self.say)(&step.to_string());
        !self.dry_run
    }
}

/// Makes a loop file, and gives back its size.
///
/// # Errors
/// Where something is there, the file system is no place for an upper or has no room, or mkfs fails.
pub fn create(asked: &LoopFile, hand: &mut Hand<'_>) -> Result<u64> {
    let path = &asked.path;
    let place = place::look_into("", path);
    if let Some(part) = place.blocked_by {
        bail!("{part} on the way to {path} is not a plain directory");
    }
    ensure!(place.kind == PlaceKind::Missing, "{path} exists ({}) and was not changed", place.kind.word());
    let holder = holder(path)?;
    let (at, fstype) = (&holder.at, &holder.fstype);
    ensure!(
        UPPER_FILE_SYSTEMS.contains(&fstype.as_str()),
        "{path} would lie on the {fstype} at {at}: which can't hold an upper"
    );
    let program = format!("mkfs.{}", asked.fs.word());
    ensure!(place::mkfs().contains(&program), "{program} not found");
    let room = room(&parent(path))?;
    let bytes = size::fresh(asked, room.bytes, room.available + place.half_made).map_err(|text| anyhow!(text))?;
    if hand.does(&Step::MakeLoopFile { file: path.clone(), bytes, fs: asked.fs }) {
        loopfile::make(path, bytes, asked.fs, &Scratch::new()?.log(), hand.tell)?;
    }
    Ok(bytes)
}

/// Makes a loop file and the file system in it larger, and gives back the new size.
///
/// # Errors
/// Where there is no room, the file is in use by others, or its file system can't grow.
pub fn grow(asked: &LoopFile, hand: &mut Hand<'_>) -> Result<u64> {
    let path = &asked.path;
    let size = asked.size.with_context(|| format!("growing {path}: size= must say how large"))?;
    let place = place::look_into("", path);
    ensure!(place.kind != PlaceKind::Missing, "{path} does not exist");
    ensure!(place.kind == PlaceKind::File, "{path} is {}, not a file", place.kind.word());
    let fstype = place.fstype;
    ensure!(growfs::can(&fstype), "{path} holds '{fstype}', which can't be grown");
    let room = room(path)?;
    let bytes = size.of(room.bytes);
    // As large as it is is all right: an earlier attempt may have got no further than the file.
    ensure!(bytes >= place.bytes, "{path} is {} already and can't be shrunk", human(place.bytes));
    let nodes = loopdev::of_file(path)?;
    let mounted = mounted(&nodes)?;
    if let (Some(node), None) = (nodes.first(), &mounted) {
        bail!("{path} is attached as {node} but not mounted here; detach it first");
    }
    let more = Growth { path, fstype: &fstype, bytes, keep: asked.reserved(room.bytes) };
    match mounted {
        None => more.apart(hand)?,
        Some((node, at)) => more.on(&node, &at, hand)?,
    }
    Ok(bytes)
}

/// How a loop file grows. Its file system is mounted as it is first: the kernel refuses one whose end was cut
/// off, which could not be seen any more in a longer file.
struct Growth<'a> {
    path: &'a str,
    fstype: &'a str,
    bytes: u64,
    keep: u64,
}

impl Growth<'_> {
    /// File, device `node`, and the file system mounted from it at `at`.
    fn on(&self, node: &str, at: &str, hand: &mut Hand<'_>) -> Result<()> {
        let (file, device) = (self.path.to_owned(), node.to_owned());
        if hand.does(&Step::GrowLoopFile { file, device, bytes: self.bytes, keep: self.keep }) {
            loopfile::grow(self.path, node, self.bytes, self.keep, hand.tell)?;
        }
        if hand.does(&Step::GrowFs { at: at.to_owned(), fstype: self.fstype.to_owned() }) {
            growfs::grow(at, self.fstype, self.bytes)?;
        }
        Ok(())
    }

    /// The same for a file that nobody uses, mounted where nobody else goes.
    fn apart(&self, hand: &mut Hand<'_>) -> Result<()> {
        let (file, device, fstype) = (self.path.to_owned(), DEVICE.to_owned(), self.fstype.to_owned());
        let ext = fstype.starts_with("ext");
        let at = "a private directory".to_owned();
        let attach = Step::Attach { file, link: device.clone(), read_only: false, discard: false };
        let goes = hand.does(&attach);
        if ext {
            hand.does(&Step::Check { device: device.clone(), fstype: fstype.clone() });
        }
        hand.does(&Step::MountDevice { device: device.clone(), fstype, at: at.clone(), read_only: false });
        if !goes {
            return self.on(&device, &at, hand);
        }
        let scratch = Scratch::new()?;
        let node = loopdev::attach(self.path, false, false, Calls::Newest)?;
        let checked = if ext { fsck::check(&node, scratch.path()) } else { Ok(()) };
        let grown = checked.and_then(|()| {
            let at = scratch.mount_point();
            let private = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
            mounts::mount_fs(&node, &at, self.fstype, private, "")?;
            let grown = self.on(&node, &at, hand);
            grown.and(mounts::unmount(&at))
        });
        grown.and(loopdev::detach(&node))
    }
}

/// Makes a loop device of the file; `None` where it is only said.
///
/// # Errors
/// Where the file has one already: a file system mounted twice destroys itself.
pub fn attach(asked: &LoopFile, hand: &Hand<'_>) -> Result<Option<String>> {
    let (file, discard) = (asked.path.clone(), asked.discard);
    if let Some(node) = loopdev::of_file(&file)?.first() {
        bail!("{file} is attached already, as {node}");
    }
    let step = Step::Attach { file: file.clone(), link: DEVICE.to_owned(), read_only: false, discard };
    hand.does(&step).then(|| loopdev::attach(&file, false, discard, Calls::Newest)).transpose()
}

/// Gives the loop device back that is `what`, or every one made of the file `what`.
pub fn detach(what: &str, hand: &Hand<'_>) -> Result<()> {
    let metadata = fs::metadata(what).with_context(|| format!("looking at {what}"))?;
    let nodes = match metadata.file_type().is_block_device() {
        true => vec![block::node(&block::by_path(what).with_context(|| format!("looking for {what} in /sys"))?)],
        false => loopdev::of_file(what)?,
    };
    ensure!(!nodes.is_empty(), "no loop device is made of {what}");
    for node in &nodes {
        if hand.does(&format!("{:<18} {node}", "detach")) {
            loopdev::detach(node)?;
        }
    }
    if let (Some((node, at)), false) = (mounted(&nodes)?, hand.dry_run) {
        crate::log::warning!("{node} is mounted on {at}, and goes when it is unmounted");
    }
    Ok(())
}

/// The mount that holds a file at `path`, whether it is there or not.
pub fn holder(path: &str) -> Result<Mount> {
    let mounts = mounts::read()?;
    let above = Path::new(path).ancestors().skip(1);
    let found = above.filter_map(Path::to_str).find_map(|at| mountinfo::at(&mounts, at));
    found.cloned().with_context(|| format!("finding the file system of {path}"))
}

/// The nearest directory above `path` that is there.
fn parent(path: &str) -> String {
    let above = Path::new(path).ancestors().skip(1).find(|at| at.exists());
    above.unwrap_or(Path::new("/")).to_string_lossy().into_owned()
}

/// The first of the devices that is mounted, and where; a writable mount before one that is not.
fn mounted(nodes: &[String]) -> Result<Option<(String, String)>> {
    let mounts = mounts::read()?;
    let mut found = None;
    for node in nodes {
        let Some(wanted) = filesystem::of_path(node) else { continue };
        for mount in mounts.iter().filter(|mount| filesystem::shows(mount, &wanted)) {
            let here = (node.clone(), mount.at.clone());
            if !mount.read_only() {
                return Ok(Some(here));
            }
            found = found.or(Some(here));
        }
    }
    Ok(found)
}
