// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl loop`: the loop file ahead of the boot that uses it, by the functions of the boot.

use crate::output::exit::{Exit, refuse, refused};
use crate::output::progress::Bar;
use anyhow::{Context, Result, anyhow, bail};
use clap::Subcommand;
use overlayroot_core::facts::device::Lookup;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo::{self, Mount};
use overlayroot_core::upper::loop_file::{LoopFile, parse_loop, parse_loop_by_hand};
use overlayroot_core::value::device::Device;
use overlayroot_core::value::size::human;
use overlayroot_linux::log::{self, Level};
use overlayroot_linux::probe::device;
use overlayroot_linux::sys::{filesystem, mounts};
use overlayroot_linux::tool::loopcheck::{self, Report};
use overlayroot_linux::tool::loophand::{self, Hand};
use serde_json::{Value, json};
use std::fs;
use std::time::Duration;

/// The verbs of `overlayctl loop`. A file is what follows `rd.overlay=loop:`.
#[derive(Debug, Subcommand)]
pub enum Loop {
    /// Create the file, its space reserved, with a file system in it
    ///
    /// It goes onto the root's own file system, also where an overlay hides that.
    /// Prints the argument for the kernel command line. An existing file is refused.
    Create {
        /// Path in the root, with the parameters of rd.overlay=loop:
        #[arg(value_name = "PATH[,size=SIZE][,fs=TYPE][,reserve=SIZE]")]
        file: String,
        /// Print what would be done and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Check the file; an ext file system is read through by e2fsck
    ///
    /// Exits with 1 where the next boot could not use it.
    Check {
        /// Path in the root
        #[arg(value_name = "PATH")]
        file: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Grow the file and the file system in it, mounted or not
    Grow {
        /// Path in the root, and the size wanted
        #[arg(value_name = "PATH,size=SIZE")]
        file: String,
        /// Print what would be done and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
}

/// Does what was asked for.
pub fn run(verb: &Loop) -> Result<Exit> {
    log::start(Level::WARN, false);
    match verb {
        Loop::Create { file, dry_run } => create(&understand(file)?, *dry_run),
        Loop::Grow { file, dry_run } => grow(&understand(file)?, *dry_run),
        Loop::Check { file, json } => check(file, *json),
    }
}

fn understand(text: &str) -> Result<LoopFile> {
    // What was copied from the kernel command line is as good.
    let text = text.strip_prefix("loop:").unwrap_or(text);
    parse_loop(text).map_err(|problem| anyhow!("{problem}"))
}

fn create(asked: &LoopFile, dry_run: bool) -> Result<Exit> {
    let here = LoopFile { path: writable(asked)?, dev: None, ..asked.clone() };
    if fs::symlink_metadata(&here.path).is_ok() {
        return refuse(&format!("{} exists; check it with overlayctl loop check", here.path));
    }
    let bytes = by_hand(dry_run, |hand| loophand::create(&here, hand))?;
    if !dry_run {
        eprintln!("{} created, {} of {}; the kernel argument is", here.path, human(bytes), asked.fs.word());
        println!("{}", argument(asked));
    }
    Ok(Exit::Good)
}

fn grow(asked: &LoopFile, dry_run: bool) -> Result<Exit> {
    let here = LoopFile { path: writable(asked)?, dev: None, ..asked.clone() };
    let bytes = by_hand(dry_run, |hand| loophand::grow(&here, hand))?;
    if !dry_run {
        eprintln!("{} is {} now", here.path, human(bytes));
    }
    Ok(Exit::Good)
}

fn check(file: &str, as_json: bool) -> Result<Exit> {
    let path = match understand(file) {
        Ok(asked) => readable(&asked)?,
        Err(_) => parse_loop_by_hand(file).map_err(|problem| anyhow!("{problem}"))?.path,
    };
    let report = loopcheck::check(&path)?;
    match as_json {
        true => crate::output::out::json(&as_value(&report))?,
        false => print!("{report}"),
    }
    Ok(if report.sound() { Exit::Good } else { Exit::No })
}

/// Has `work` done with a bar, or its steps printed.
pub fn by_hand<T>(dry_run: bool, work: impl FnOnce(&mut Hand<'_>) -> Result<T>) -> Result<T> {
    let mut bar = Bar::new();
    let mut tell = |stage: &str, done, all| bar.show(stage, done, all);
    let say = |step: &str| {
        if dry_run {
            println!("{step}");
        }
    };
    work(&mut Hand { dry_run, say: &say, tell: &mut tell })
}

/// The key and value that make the next boot use the file.
fn argument(asked: &LoopFile) -> String {
    let mut value = format!("loop:{}", asked.path);
    if let Some(dev) = &asked.dev {
        value.push_str(&format!(",dev={dev}"));
    }
    if asked.discard {
        value.push_str(",discard");
    }
    // Quotes hold the value together where the command line is cut at blanks.
    match value.contains(char::is_whitespace) {
        true => format!("rd.overlay=\"{value}\""),
        false => format!("rd.overlay={value}"),
    }
}

/// Where the next boot's file can be written now.
fn writable(asked: &LoopFile) -> Result<String> {
    let (path, mounts) = (&asked.path, mounts::read()?);
    if let Some(dev) = &asked.dev {
        return on_device(dev, path, &mounts, true);
    }
    if !overlaid(&mounts)? {
        let holder = loophand::holder(path)?;
        let (at, fstype) = (&holder.at, &holder.fstype);
        if at == "/" {
            return Ok(path.clone());
        }
        return Err(refused(format!(
            "{at} is a {fstype} of its own: the boot looks for {path} on the root's own file system"
        )));
    }
    match mountinfo::at(&mounts, paths::ROOT_KEPT) {
        Some(mount) if !mount.read_only() => Ok(format!("{}{path}", paths::ROOT_KEPT)),
        _ => Err(refused(format!(
            "/ is an overlay over a read-only disk: boot with rd.overlay=loop:{path}, which creates \
             the file, or repeat this in a boot with rd.overlay=0"
        ))),
    }
}

/// Where it can be read.
fn readable(asked: &LoopFile) -> Result<String> {
    let (path, mounts) = (&asked.path, mounts::read()?);
    if let Some(dev) = &asked.dev {
        return on_device(dev, path, &mounts, false);
    }
    let overlaid = overlaid(&mounts)?;
    let mut places = [paths::ROOT_KEPT, paths::LOWER, paths::UBUNTU_LOWER].into_iter();
    let at = places.find(|at| overlaid && mountinfo::at(&mounts, at).is_some());
    Ok(format!("{}{path}", at.unwrap_or_default()))
}

/// The path where a device's whole file system is mounted: nothing is mounted here for it.
fn on_device(dev: &Device, path: &str, mounts: &[Mount], write: bool) -> Result<String> {
    let device = match device::resolve(dev, Duration::ZERO, || ()) {
        Lookup::Found(device) => device,
        Lookup::Ambiguous(nodes) => bail!("{dev} is on several devices: {}", nodes.join(", ")),
        Lookup::Incomplete { nodes, of, .. } => {
            bail!("{dev} is a btrfs of {of} devices, of which these were found: {}", nodes.join(", "))
        }
        Lookup::Missing { .. } | Lookup::Locked { .. } | Lookup::NotBlock(_) => bail!("{dev} not found"),
    };
    let wanted = device.file_system();
    let whole = |mount: &&Mount| mount.root == "/" && !(write && mount.read_only());
    let holds = |mount: &&Mount| whole(mount) && filesystem::shows(mount, &wanted);
    let found = mounts.iter().find(holds);
    let how = if write { ", writable," } else { "" };
    let mount = found.with_context(|| {
        format!("{dev} ({}) must be mounted{how} first, not just a subdirectory of it", device.path)
    })?;
    Ok(format!("{}{path}", mount.at.trim_end_matches('/')))
}

fn overlaid(mounts: &[Mount]) -> Result<bool> {
    Ok(mountinfo::at(mounts, "/").context("/ is not in mountinfo")?.fstype == "overlay")
}

fn as_value(report: &Report) -> Value {
    json!({
        "path": report.path,
        "state": report.state.word(),
        "sound": report.sound(),
        "bytes": report.bytes,
        "allocated": report.allocated,
        "sparse": report.sparse(),
        "fstype": report.fstype,
        "attached": report.attached,
        "e2fsck": {"clean": report.clean, "text": report.said},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_argument() {
        let argument = |text: &str| argument(&understand(text).unwrap());
        assert_eq!(argument("/var/upper.img,size=8G,fs=xfs"), "rd.overlay=loop:/var/upper.img");
        assert_eq!(argument("/f,size=8G,dev=LABEL=DATA"), "rd.overlay=loop:/f,dev=LABEL=DATA");
        assert_eq!(argument("loop:/my file,discard"), "rd.overlay=\"loop:/my file,discard\"");
        assert!(understand("/run/upper.img").is_err());
    }
}
