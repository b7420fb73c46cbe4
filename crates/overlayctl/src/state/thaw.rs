// SPDX-License-Identifier: GPL-2.0-or-later
//! Boots without the overlay: what `overlayctl thaw` has asked for, this boot, and what became of the last one.

use anyhow::{Context, Result};
use overlayroot_core::config::Config;
pub use overlayroot_core::feature::thaw::PROGRAM;
use overlayroot_core::feature::thaw::{Asked, CODE, DIR, REQUEST, RESULT, SCHEMA, Thawed};
use overlayroot_core::keys;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::Source;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::plan::Decision;
use overlayroot_core::step::refusal::Refusal;
use overlayroot_host::next::NextBoot;
use overlayroot_linux::source::thawfile;
use overlayroot_linux::sys::newfile::{ALL_READ, Lasting, NewFile};
use overlayroot_linux::sys::{files, json, mounts};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, chmodat, fsync, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use std::io::Write;

/// Bytes of a result.
const MOST: u64 = 64 << 10;
const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The request of this boot, where it is thawed.
pub fn this_boot() -> Option<Asked> {
    let text = files::read_small(paths::THAWED).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Where the root of the next boot is seen: the lower of an overlay, or the root itself.
fn root() -> Option<&'static str> {
    let mounts = mounts::read().ok()?;
    let overlay = mountinfo::at(&mounts, "/").is_some_and(|root| root.fstype == "overlay");
    if overlay { paths::LOWERS.into_iter().find(|at| mountinfo::at(&mounts, at).is_some()) } else { Some("/") }
}

/// What is asked for.
///
/// # Errors
/// Where that can't be read or understood.
pub fn pending() -> Result<Option<Asked>> {
    let Some(root) = root() else { return Ok(None) };
    Ok(thawfile::read(root)?.map(|(_, asked)| asked))
}

/// The request in words, as far as the next boot does it.
pub fn words(asked: &Asked, boot: &NextBoot) -> String {
    match (boot.config.is_thawed(), &boot.line) {
        (true, Ok(_)) => format!("the next boot is {asked}"),
        (true, Err(_)) => format!("the next boot is {asked}; if it has this boot's command line"),
        (false, _) => format!("a request waits ({asked}); the next boot: {}", boot.says()),
    }
}

/// The directory of the request below a root that can be written; made where it is not there.
fn directory(root: &str) -> Result<OwnedFd> {
    let mut here = openat(CWD, root, DIRECTORY - OFlags::NOFOLLOW, Mode::empty()).with_context(|| root.to_owned())?;
    for name in DIR.split('/').filter(|name| !name.is_empty()) {
        match mkdirat(&here, name, Mode::from_raw_mode(0o755)) {
            // Whatever the umask: everybody may know what the next boot is.
            Ok(()) => chmodat(&here, name, Mode::from_raw_mode(0o755), AtFlags::empty())
                .and_then(|()| fsync(&here))
                .with_context(|| format!("making {name} of {DIR}"))?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error).with_context(|| format!("making {name} of {DIR}")),
        }
        // No link: the initramfs follows none.
        here = openat(&here, name, DIRECTORY, Mode::empty()).with_context(|| format!("opening {name} of {DIR}"))?;
    }
    Ok(here)
}

/// Writes the request below a root.
///
/// # Errors
/// Those of the file system.
pub fn ask(root: &str, asked: &Asked) -> Result<()> {
    put(root, REQUEST, &serde_json::to_string(asked)?)
}

/// Takes it back. Gives back whether there was one.
///
/// # Errors
/// Those of the file system.
pub fn cancel(root: &str) -> Result<bool> {
    let directory = directory(root)?;
    match unlinkat(&directory, REQUEST, AtFlags::empty()) {
        Err(Errno::NOENT) => return Ok(false),
        removed => removed.with_context(|| format!("removing {DIR}/{REQUEST}"))?,
    }
    fsync(&directory).with_context(|| format!("syncing {DIR}"))?;
    Ok(true)
}

/// Notes what became of it, for the boots that follow.
///
/// # Errors
/// Those of the file system.
pub fn write_result(result: &Thawed) -> Result<()> {
    put("/", RESULT, &serde_json::to_string(result)?)
}

fn put(root: &str, name: &str, text: &str) -> Result<()> {
    let context = || format!("writing {DIR}/{name}");
    let mut file = NewFile::at(directory(root)?, &format!("{name}.new"), name).with_context(context)?;
    file.file().write_all(format!("{text}\n").as_bytes()).with_context(context)?;
    file.mode(ALL_READ).and_then(|()| file.finish(Lasting::Disk)).with_context(context)
}

/// What became of the last one.
pub fn result() -> Option<Thawed> {
    json::read(&format!("{DIR}/{RESULT}"), MOST, SCHEMA).ok().flatten()
}

/// What the next boot makes of the request.
pub enum Next {
    /// It has no overlay.
    Thawed,
    /// It has one, and says why.
    Frozen(String),
}

impl Next {
    /// Of a boot with this configuration and this initramfs. `has` tells whether that has the program, where it is known.
    pub fn of(config: &Config, image: Option<&str>, has: impl FnOnce(&str) -> Option<bool>) -> Option<Self> {
        if !config.asks_for_overlay() {
            return None;
        }
        match pending() {
            Ok(None) => return None,
            Ok(Some(_)) => {}
            Err(error) => return Some(Self::Frozen(format!("{error:#}"))),
        }
        if image.and_then(has) == Some(false) {
            let image = image.unwrap_or_default();
            return Some(Self::Frozen(format!("{DIR}/{REQUEST} of the lower waits: {image} has no {PROGRAM}")));
        }
        Some(Self::Thawed)
    }

    /// What stands in for it beside the arguments of the command line.
    pub fn source(&self) -> Option<Source> {
        let name = format!("{DIR}/{REQUEST}");
        matches!(self, Self::Thawed).then(|| Source::new(&name, format!("{}=0", keys::OVERLAY.name)))
    }

    /// Has the plan say it.
    pub fn tell(&self, decision: &mut Decision) {
        let (Self::Frozen(why), Decision::Do(plan) | Decision::Instead(_, plan)) = (self, decision) else { return };
        plan.without.push(Refusal { code: CODE, text: format!("not thawed: {why}"), stand_aside: false });
    }
}
