// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl resize`: gives the upper in use more room, or less, while it runs.

use crate::commands::loopfile::by_hand;
use crate::output::exit::Exit;
use crate::output::format::now;
use crate::state::fill::sentence;
use anyhow::{Context, Result, ensure};
use overlayroot_core::config::Config;
use overlayroot_core::layout::paths;
use overlayroot_core::record::{NO_RECORD, NOT_OURS, Record};
use overlayroot_core::upper;
use overlayroot_core::upper::dir::resize::held_to;
use overlayroot_core::upper::loop_file::resize::larger;
use overlayroot_core::upper::loop_file::{LoopFile, parse_loop_by_hand};
use overlayroot_core::upper::resize::Resize;
use overlayroot_core::upper::tmpfs::resize::limits;
use overlayroot_core::value::amount::{Amount, told};
use overlayroot_core::value::size::Size;
use overlayroot_host::resize::{Resized, SCHEMA};
use overlayroot_linux::log::{self, Level};
use overlayroot_linux::source::{self, recordfile};
use overlayroot_linux::step::limit;
use overlayroot_linux::sys::statvfs::room;
use overlayroot_linux::sys::{filesystem, json, mounts};
use overlayroot_linux::tool::loophand;
use overlayroot_linux::tool::upperfill::{self, Upper, reading};
use std::fs;

/// What `overlayctl resize` is asked for.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// 2G, +512M, or 50% (of RAM for an upper in RAM, else of the file system that holds it)
    #[arg(value_parser = Amount::parse, required_unless_present = "inodes")]
    size: Option<Amount>,
    /// Maximum number of files of an upper in RAM: 200k, +50k
    #[arg(long, value_name = "N", value_parser = Amount::parse_count)]
    inodes: Option<Amount>,
    /// Allow more than RAM and swap (the system may run out of memory)
    #[arg(long)]
    force: bool,
    /// Print what would be done and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

/// How it ended, unless it failed.
enum Answer {
    Done,
    Refused(String),
}

/// Resizes. Exits with 1 where that is refused.
pub fn run(asked: &Asked) -> Result<Exit> {
    log::start(Level::WARN, false);
    match resize(asked)? {
        Answer::Done => Ok(Exit::Good),
        Answer::Refused(why) => {
            eprintln!("overlayctl: {why}");
            Ok(Exit::No)
        }
    }
}

fn resize(asked: &Asked) -> Result<Answer> {
    let Some(record) = recordfile::read(paths::RECORD)? else {
        return Ok(Answer::Refused(NO_RECORD.to_owned()));
    };
    let Some(upper) = upperfill::find(&record)? else {
        return Ok(Answer::Refused(NOT_OURS.to_owned()));
    };
    match (upper.kind.resize(&upper.mount.fstype, &upper.mount.source), asked.size) {
        (Resize::Remount, _) => tmpfs(asked, &upper),
        _ if asked.inodes.is_some() => Ok(Answer::Refused(format!(
            "the number of inodes can be changed for an upper in RAM only; here it is that of the {} on {}",
            upper.mount.fstype, upper.mount.at
        ))),
        (Resize::GrowFile, Some(size)) => file(size, asked.dry_run, &record, &upper),
        (Resize::SetQuota, Some(size)) => directory(size, asked.dry_run, &upper),
        (Resize::Refused(why), _) => Ok(Answer::Refused(why)),
        (Resize::GrowFile | Resize::SetQuota, None) => Ok(Answer::Refused(NOT_OURS.to_owned())),
    }
}

fn tmpfs(asked: &Asked, upper: &Upper) -> Result<Answer> {
    let at = &upper.mount.at;
    let before = reading(&upper.at, "tmpfs")?;
    let limits = match limits(asked.size, asked.inodes, &before.usage(), asked.force) {
        Ok(limits) => limits,
        Err(why) => return Ok(Answer::Refused(why)),
    };
    for warning in &limits.warnings {
        eprintln!("overlayctl: warning: {warning}");
    }
    let options = limits.options();
    if asked.dry_run {
        println!("{:<18} {at} with {options}", "remount");
        return Ok(Answer::Done);
    }
    mounts::remount_with(at, &options)?;
    let after = reading(&upper.at, "tmpfs")?;
    ensure!(
        limits.bytes.is_none_or(|bytes| bytes == after.bytes) && limits.inodes.is_none_or(|n| n == after.inodes),
        "the kernel took {options} for {at}, and has {} bytes and {} inodes",
        after.bytes,
        after.inodes
    );
    remember(Resized {
        bytes_before: limits.bytes.map_or(0, |_| before.bytes),
        bytes: limits.bytes.unwrap_or(0),
        inodes_before: limits.inodes.map_or(0, |_| before.inodes),
        inodes: limits.inodes.unwrap_or(0),
        ..Resized::none(false, now())
    });
    println!("{}; until the next boot: rd.overlay=tmpfs:{options} keeps it", told_now(upper)?);
    Ok(Answer::Done)
}

/// The running upper's own file grows, as by `overlayctl loop grow`.
fn file(size: Amount, dry_run: bool, record: &Record, upper: &Upper) -> Result<Answer> {
    let effective = &record.effective;
    let path = effective.path.as_deref().context("this boot's record does not name the loop file")?;
    let holder = if effective.device.is_some() { paths::HOLDER_KEPT } else { paths::ROOT_KEPT };
    let here = format!("{holder}{path}");
    let before = fs::metadata(&here).with_context(|| format!("looking at {here}"))?.len();
    let room = room(&here)?;
    let bytes = match larger(size, before, room.bytes) {
        Ok(bytes) => bytes,
        Err(why) => return Ok(Answer::Refused(why)),
    };
    let asked = LoopFile { path: here, dev: None, size: Some(Size::Bytes(bytes)), ..configured(path)? };
    if let Err(why) = asked.has_room(bytes - before, room.bytes, room.available) {
        return Ok(Answer::Refused(why));
    }
    by_hand(dry_run, |hand| loophand::grow(&asked, hand))?;
    if !dry_run {
        remember(Resized { bytes_before: before, bytes, ..Resized::none(true, now()) });
        println!("{}", told_now(upper)?);
    }
    Ok(Answer::Done)
}

/// The parameters that the configuration has for this file: its reserve counts.
fn configured(path: &str) -> Result<LoopFile> {
    if let upper::Upper::Loop(file) = Config::read(&source::read(Some("/"))).upper.value {
        if file.path == path {
            return Ok(file);
        }
    }
    parse_loop_by_hand(path).map_err(|problem| anyhow::anyhow!("{problem}"))
}

fn directory(size: Amount, dry_run: bool, upper: &Upper) -> Result<Answer> {
    let before = reading(&upper.at, &upper.mount.fstype)?;
    let bytes = match held_to(size, &before.usage(), room(paths::ROOT_KEPT)?.bytes) {
        Ok(bytes) => bytes,
        Err(why) => return Ok(Answer::Refused(why)),
    };
    let directory = fs::canonicalize(&upper.directory).with_context(|| format!("following {}", upper.directory))?;
    let directory = directory.to_string_lossy();
    if dry_run {
        println!("{:<18} {} for {directory}, {}", "quota", told(bytes), upper.mount.source);
        return Ok(Answer::Done);
    }
    let node = filesystem::node_of(&upper.mount).unwrap_or_else(|| upper.mount.source.clone());
    limit::change(&node, &directory, bytes)?;
    remember(Resized { bytes_before: before.bytes, bytes, ..Resized::none(false, now()) });
    println!("{}; until the next boot: size={} of rd.overlay=dir: keeps it", told_now(upper)?, told(bytes));
    Ok(Answer::Done)
}

/// How full it is now, in words.
fn told_now(upper: &Upper) -> Result<String> {
    Ok(sentence(&upperfill::now(upper)?, &upper.mount.fstype, &upper.mount.source, None))
}

/// That the size is not what the boot made it.
pub fn resized() -> Option<Resized> {
    json::glance(paths::RESIZED, SCHEMA)
}

fn remember(now: Resized) {
    let all = now.after(resized());
    // It is done, whether it can be told or not.
    if let Err(error) = json::write(paths::RESIZED, &all) {
        eprintln!("overlayctl: {error:#}");
    }
}
