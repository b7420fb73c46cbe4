// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-tries`: which of several uppers this boot uses, as `overlayctl uppers use` asked for, and how often that is
//! tried. Started before `overlay-assemble`, which finds the name beside the command line's arguments.

#[cfg(not(debug_assertions))]
#[path = "../../overlayroot-initramfs/src/backtrace.rs"]
mod backtrace;

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
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;

/// Marks the boot as good, once it is.
const GOOD: &str = "overlayroot-rs-good.service";
const UNITS: &str = "/usr/lib/systemd/system";

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
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {}
        ["-h" | "--help"] => return told(HELP),
        ["-V" | "--version"] => return told(concat!("overlayroot-rs ", env!("CARGO_PKG_VERSION"), "\n")),
        [..] => {
            eprintln!("{PROGRAM} takes no arguments (see {PROGRAM} --help)");
            return ExitCode::from(64);
        }
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
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

fn told(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

fn run() -> Result<()> {
    if Path::new(paths::RECORD).exists() || Path::new(paths::COUNTED).exists() {
        return Ok(());
    }
    let (config, facts) = read_machine(Journal::Replay)?;
    if facts.root.is_none() {
        // A later hook asks again.
        return Ok(());
    }
    mounts::make_dir(paths::PRIVATE)?;
    if config.name.origin == Origin::Default {
        // Without: overlay-assemble says it where that was wrong.
        let Some((steps, store)) = plan::opening(&config, &facts) else {
            return Ok(());
        };
        let readonly = config.readonly.value;
        if let Some((turn, timeout)) = execute::within(&steps, || counted(&store, readonly))? {
            choose(&turn, timeout, readonly)?;
        }
    }
    // Last: until then overlay-assemble says that nobody has looked.
    newfile::fresh(paths::COUNTED).map(drop)
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
    wanted("multi-user.target", GOOD, &format!("{UNITS}/{GOOD}"))?;
    let Some(seconds) = timeout else {
        return Ok(());
    };
    let unit = |kind: &str| format!("{}/overlayroot-rs-tries.{kind}", paths::RUNTIME_UNITS);
    // As early as can be, and whatever fails or is isolated: an emergency shell is no good boot either.
    let alone = "DefaultDependencies=no\nIgnoreOnIsolate=yes\nConflicts=shutdown.target\nBefore=shutdown.target\n";
    let timer = format!(
        "[Unit]\nDescription=Reboot where this boot is not good in time\n{alone}\n\
         [Timer]\nOnActiveSec={seconds}\nAccuracySec=1\n"
    );
    let service = format!(
        "[Unit]\nDescription=Reboot: this boot was not good in {seconds} s\nConditionPathExists={}\n{alone}\n\
         [Service]\nType=oneshot\nExecStart=/usr/bin/systemctl --force reboot\n",
        paths::TRIED
    );
    write_atomic(&unit("service"), &service)?;
    write_atomic(&unit("timer"), &timer)?;
    wanted("sysinit.target", "overlayroot-rs-tries.timer", &unit("timer"))
}

fn wanted(by: &str, unit: &str, to: &str) -> Result<()> {
    let directory = format!("{}/{by}.wants", paths::RUNTIME_UNITS);
    fs::create_dir_all(&directory).with_context(|| format!("making {directory}"))?;
    symlink(to, format!("{directory}/{unit}")).with_context(|| format!("linking {unit} below {directory}"))
}
