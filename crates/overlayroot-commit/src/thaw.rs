// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-thaw`: whether this boot has no overlay, as `overlayctl thaw` asked for. Counts that down, on the disk, before
//! the system starts: whatever happens in a thawed boot, the next one is frozen again. Started before `overlay-assemble`.

mod alone;
#[cfg(not(debug_assertions))]
#[path = "../../overlayroot-initramfs/src/backtrace.rs"]
mod backtrace;
mod units;

use anyhow::{Context, Result, ensure};
use overlayroot_core::config::Config;
use overlayroot_core::feature::thaw::{Asked, DIR, PROGRAM, REQUEST};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::step::refusal::UPPER_FILE_SYSTEMS;
use overlayroot_core::value::diagnostics::plain;
use overlayroot_linux::source::{self, thawfile};
use overlayroot_linux::sys::newfile::{ALL_READ, Lasting, NewFile, write_atomic};
use overlayroot_linux::sys::{mounts, writable};
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, fsync, syncfs, unlinkat};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// Does the work of a thawed boot, and ends it.
const UNIT: &str = "overlayroot-rs-thawed.service";
/// Seconds beyond those of the request: to start, and to look at the next boot when the work is done.
const LONGER: u64 = 600;

const HELP: &str = "Usage: overlay-thaw

Leave out the overlay of this boot where overlayctl thaw asked for that, and
count it: the request is /var/lib/overlayroot-rs/thaw.json in the root. It is
removed, and that is on the disk, before the system starts. Started before
overlay-assemble. Does nothing where no overlay is configured.

  -h, --help     print this help
  -V, --version  print the version

Exit: 0 done, 1 failed (the overlay is made as without), 64 wrong arguments.
";

fn main() -> ExitCode {
    if let Some(exit) = alone::without_words(PROGRAM, HELP) {
        return exit;
    }
    let Err(error) = run() else { return ExitCode::SUCCESS };
    let why = plain(&format!("not thawed: {error:#}"));
    let noted = mounts::make_dir(paths::PRIVATE).and_then(|()| write_atomic(paths::NOT_THAWED, &format!("{why}\n")));
    eprintln!("{PROGRAM}: {why}");
    if let Err(error) = noted {
        eprintln!("{PROGRAM}: {error:#}");
    }
    ExitCode::FAILURE
}

fn run() -> Result<()> {
    if [paths::RECORD, paths::THAWED, paths::NOT_THAWED].iter().any(|path| Path::new(path).exists()) {
        return Ok(());
    }
    let mounts = mounts::read()?;
    let Some(root) = mountinfo::at(&mounts, paths::SYSROOT) else {
        // A later hook asks again.
        return Ok(());
    };
    // A plain root that was asked for is no thawed one: the request is for another boot.
    if !Config::read(&source::read(Some(paths::SYSROOT))).asks_for_overlay() {
        return Ok(());
    }
    let Some((directory, asked)) = thawfile::read(paths::SYSROOT)? else { return Ok(()) };
    // In RAM it would be there again at each boot, and on a server it is for another machine.
    ensure!(
        UPPER_FILE_SYSTEMS.contains(&root.fstype.as_str()),
        "the root is {}: {DIR}/{REQUEST} came with it, and can't be taken away for good",
        root.fstype
    );
    writable::restored(paths::SYSROOT, || {
        writable::open(paths::SYSROOT)?;
        counted(&directory, &asked)
    })?;
    thawed(&asked)
}

/// Takes this boot off the request. What is told afterwards is on the disk.
fn counted(directory: &OwnedFd, asked: &Asked) -> Result<()> {
    let context = || format!("counting {DIR}/{REQUEST}");
    match asked.after() {
        None => unlinkat(directory, REQUEST, AtFlags::empty()).with_context(context)?,
        Some(rest) => {
            let text = serde_json::to_string(&rest).with_context(context)?;
            let mut file = NewFile::at(directory, &format!("{REQUEST}.new"), REQUEST).with_context(context)?;
            file.file().write_all(format!("{text}\n").as_bytes()).with_context(context)?;
            file.mode(ALL_READ).and_then(|()| file.finish(Lasting::Disk)).with_context(context)?;
        }
    }
    fsync(directory).and_then(|()| syncfs(directory)).with_context(context)
}

/// Has overlay-assemble make no overlay, and the booted system do the work.
fn thawed(asked: &Asked) -> Result<()> {
    fs::create_dir_all(paths::STATE_DIR).with_context(|| format!("making {}", paths::STATE_DIR))?;
    units::wanted("multi-user.target", UNIT, &format!("{}/{UNIT}", units::STATIC))?;
    // Also where the system never gets to the work, or hangs behind it.
    units::reboot_after("overlayroot-rs-thaw-end", asked.seconds + LONGER, "over", paths::THAWED)?;
    let text = serde_json::to_string(asked).context("writing the request as JSON")?;
    // Last: with it there is no overlay.
    write_atomic(paths::THAWED, &format!("{text}\n"))?;
    println!("{PROGRAM}: {asked}");
    Ok(())
}
