// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl trim`: has the file system of a kept upper tell its device what it does not use.

use crate::output::exit::Exit;
use anyhow::{Context, Result};
use overlayroot_host::trim::places;
use overlayroot_linux::sys::files::text;
use overlayroot_linux::sys::mounts;
use std::process::Command;

/// Runs fstrim(8) on each place that fstrim.service does not know. A device that takes no discards is no fault.
pub fn run() -> Result<Exit> {
    let mut good = true;
    for place in places(&mounts::read()?, &text("/etc/fstab")) {
        let mut fstrim = Command::new("fstrim");
        let status = fstrim.args(["--quiet-unsupported", "--verbose", &place]).status().context("running fstrim")?;
        good &= status.success();
    }
    Ok(if good { Exit::Good } else { Exit::Failed })
}
