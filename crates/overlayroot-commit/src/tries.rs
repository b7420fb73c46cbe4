// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-tries`: which of several uppers this boot uses, as `overlayctl uppers use` asked for, and how often that is
//! tried. Started before `overlay-assemble`, which finds the name beside the command line's arguments.

mod alone;
#[cfg(not(debug_assertions))]
#[path = "../../overlayroot-initramfs/src/backtrace.rs"]
mod backtrace;
mod units;

use anyhow::{Context, Result};
use overlayroot_core::feature::tries::{Boots, PROGRAM, Turn};
use overlayroot_core::keys;
use overlayroot_core::layout::{DEFAULT_UPPER, Store, paths};
use overlayroot_core::plan;
use overlayroot_core::value::diagnostics::plain;
use overlayroot_core::value::field::Origin;
use overlayroot_linux::boot::assemble::read_machine;
use overlayroot_linux::probe::backing::Journal;
use overlayroot_linux::step::execute;
use overlayroot_linux::step::store::is_beside;
use overlayroot_linux::sys::newfile::{self, write_atomic, write_durable};
use overlayroot_linux::sys::{files, mounts};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

/// Marks the boot as good, once it is.
const GOOD: &str = "overlayroot-rs-good.service";

const HELP: &str = "Usage: overlay-tries

Choose the upper of this boot as overlayctl uppers use asked for, and count its
tries: the state is .overlayroot/boot.json on the upper's file system. Started
before overlay-assemble. Does nothing where rd.overlay.name is set.

  -h, --help     print this help
  -V, --version  print the version

Exit: 0 done, 1 failed (overlay-assemble uses the default upper), 64 wrong
arguments.
";

fn main() -> ExitCode {
    if let Some(exit) = alone::without_words(PROGRAM, HELP) {
        return exit;
    }
    match run() {
        Ok(exit) => exit,
        Err(error) => {
            let why = plain(&format!("{error:#}"));
            eprintln!("{PROGRAM}: {why}");
            // Told in the record, too: the one that was wanted may be another.
            if let Err(error) = write_atomic(paths::RETURNED, &format!("{why}; this boot uses the default upper\n")) {
                eprintln!("{PROGRAM}: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    if [paths::RECORD, paths::COUNTED, paths::THAWED].iter().any(|path| Path::new(path).exists()) {
        return Ok(ExitCode::SUCCESS);
    }
    let (config, facts) = read_machine(Journal::Replay)?;
    if facts.root.is_none() {
        // A later hook asks again.
        return Ok(ExitCode::SUCCESS);
    }
    mounts::make_dir(paths::PRIVATE)?;
    if config.name.origin == Origin::Default {
        // Without: overlay-assemble says it where that was wrong.
        let Some((steps, store)) = plan::opening(&config, &facts) else {
            return Ok(ExitCode::SUCCESS);
        };
        let (readonly, mut read) = (config.readonly.value, None);
        let opened = execute::within(&steps, || {
            read = Some(counted(&store, readonly));
            Ok(())
        });
        match (opened, read) {
            // overlay-assemble opens it in the same way, and says why it can't.
            (Err(error), None) => {
                eprintln!("{PROGRAM}: {error:#}");
                return Ok(ExitCode::FAILURE);
            }
            (opened, read) => {
                if let Some((turn, timeout)) = read.transpose()?.flatten() {
                    choose(&turn, timeout, readonly)?;
                }
                opened?;
            }
        }
    }
    // Last: until then overlay-assemble says that nobody has looked.
    newfile::fresh(paths::COUNTED).map(|_| ExitCode::SUCCESS)
}

/// Has overlay-assemble use the upper. Its name comes last, so that an error is one with the default upper.
fn choose(turn: &Turn, timeout: Option<u32>, readonly: bool) -> Result<()> {
    if let (Turn::Try(upper, then), false) = (turn, readonly) {
        println!("{PROGRAM}: the upper {upper}, {} tries left after this one", then.tries.unwrap_or(0));
        tried(timeout)?;
    }
    if let Some(why) = turn.why() {
        eprintln!("{PROGRAM}: {why}");
        write_atomic(paths::RETURNED, &format!("{why}\n"))?;
    }
    if turn.upper() != DEFAULT_UPPER {
        fs::create_dir_all(Path::new(paths::EXTRA).parent().unwrap_or(Path::new("/")))?;
        write_atomic(paths::EXTRA, &format!("{}={}\n", keys::NAME.name, turn.upper()))?;
    }
    Ok(())
}

/// Reads, and counts unless nothing may be written: what is told afterwards is on the disk. With it the seconds that a
/// boot has.
fn counted(store: &Store, readonly: bool) -> Result<Option<(Turn, Option<u32>)>> {
    let path = store.boots();
    let text = match files::read_small(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        text => text.with_context(|| format!("reading {path}"))?,
    };
    let boots = serde_json::from_slice(&text).ok().and_then(Boots::valid);
    let boots = boots.with_context(|| format!("{path} is not valid"))?;
    let turn = boots.turn(|name| is_beside(store, name));
    if let (Turn::Try(_, then) | Turn::Return { then, .. }, false) = (&turn, readonly) {
        let text = serde_json::to_string(then).context("writing it as JSON")?;
        write_durable(&path, &format!("{text}\n"))?;
    }
    Ok(Some((turn, boots.timeout)))
}

/// Has the booted system say when it is good, and reboot where that takes too long.
fn tried(timeout: Option<u32>) -> Result<()> {
    fs::create_dir_all(paths::STATE_DIR).with_context(|| format!("making {}", paths::STATE_DIR))?;
    write_atomic(paths::TRIED, "")?;
    units::wanted("multi-user.target", GOOD, &format!("{}/{GOOD}", units::STATIC))?;
    match timeout {
        Some(seconds) => units::reboot_after("overlayroot-rs-tries", seconds.into(), "good", paths::TRIED),
        None => Ok(()),
    }
}
