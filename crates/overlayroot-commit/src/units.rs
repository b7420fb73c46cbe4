// SPDX-License-Identifier: GPL-2.0-or-later
//! What the booted system is to do in this boot alone: units below /run, and links to those that are installed.

use anyhow::{Context, Result};
use overlayroot_core::layout::paths;
use overlayroot_linux::sys::newfile::write_atomic;
use std::fs;
use std::os::unix::fs::symlink;

/// Where those of the package are.
pub(crate) const STATIC: &str = "/usr/lib/systemd/system";

/// Has a target of the booted system want a unit, which is at `to`.
pub(crate) fn wanted(by: &str, unit: &str, to: &str) -> Result<()> {
    let directory = format!("{}/{by}.wants", paths::RUNTIME_UNITS);
    fs::create_dir_all(&directory).with_context(|| format!("making {directory}"))?;
    symlink(to, format!("{directory}/{unit}")).with_context(|| format!("linking {unit} below {directory}"))
}

/// Has the booted system reboot after so many seconds, unless `while_there` is gone by then: it is not `what` in time.
pub(crate) fn reboot_after(name: &str, seconds: u64, what: &str, while_there: &str) -> Result<()> {
    let unit = |kind: &str| format!("{}/{name}.{kind}", paths::RUNTIME_UNITS);
    // As early as can be, and whatever fails or is isolated: an emergency shell is no good boot either.
    let alone = "DefaultDependencies=no\nIgnoreOnIsolate=yes\nConflicts=shutdown.target\nBefore=shutdown.target\n";
    let timer = format!(
        "[Unit]\nDescription=Reboot where this boot is not {what} in time\n{alone}\n\
         [Timer]\nOnActiveSec={seconds}\nAccuracySec=1\n"
    );
    let service = format!(
        "[Unit]\nDescription=Reboot: this boot was not {what} in {seconds} s\nConditionPathExists={while_there}\n{alone}\n\
         [Service]\nType=oneshot\nExecStart=/usr/bin/systemctl --force reboot\n"
    );
    fs::create_dir_all(paths::RUNTIME_UNITS).with_context(|| format!("making {}", paths::RUNTIME_UNITS))?;
    write_atomic(&unit("service"), &service)?;
    write_atomic(&unit("timer"), &timer)?;
    wanted("sysinit.target", &format!("{name}.timer"), &unit("timer"))
}
