// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl reset`: asks the next boot to begin the upper anew, once.

use crate::output::exit::{Exit, refuse};
use crate::state::kept::{self, Found};
use anyhow::{Context, Result, ensure};
use overlayroot_core::layout::Store;
use overlayroot_core::layout::pending::Marker;
use overlayroot_linux::sys::newfile::write_durable;
use overlayroot_linux::sys::sync::sync_parent;
use std::io::ErrorKind;
use std::process::Command;

/// Leaves the marker, and reboots if asked to.
pub fn run(keep: bool, reboot: bool) -> Result<Exit> {
    let (record, store) = match kept::find()? {
        Found::Upper(record, store) => (record, store),
        Found::None(why) => return refuse(&why),
    };
    if record.requested.reset {
        eprintln!("overlayctl: rd.overlay.reset is set: changes are lost at every boot anyway");
    }
    ask(&store, &if keep { Marker::Keep } else { Marker::Reset })?;
    if reboot {
        self::reboot()?;
    }
    Ok(Exit::Good)
}

/// Reboots, for what the next boot was asked for.
///
/// # Errors
/// Where systemctl fails.
pub fn reboot() -> Result<()> {
    let status = Command::new("systemctl").arg("reboot").status().context("running systemctl")?;
    ensure!(status.success(), "systemctl reboot: {status}; the request waits for the next boot");
    Ok(())
}

/// Takes back what the next boot was asked for.
pub fn cancel() -> Result<Exit> {
    let store = match kept::find()? {
        Found::Upper(_, store) => store,
        Found::None(why) => return refuse(&why),
    };
    match std::fs::remove_file(&store.marker) {
        Err(error) if error.kind() == ErrorKind::NotFound => println!("nothing to cancel"),
        result => {
            result.with_context(|| format!("removing {}", store.marker))?;
            sync_parent(&store.marker)?;
            println!("cancelled; the upper will be kept");
        }
    }
    Ok(Exit::Good)
}

/// Writes the marker so that it is there after a power cut, and says what it means.
pub fn ask(store: &Store, marker: &Marker) -> Result<()> {
    let parent = store.marker.rsplit_once('/').map_or("/", |(parent, _)| parent);
    std::fs::create_dir_all(parent).with_context(|| format!("making {parent}"))?;
    if let Err(error) = write_durable(&store.marker, &format!("{marker}\n")) {
        let full = error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == ErrorKind::StorageFull);
        let hint = "the upper is full: remove a file, or boot once with rd.overlay.reset (changes will be lost)";
        return if full { Err(error.context(hint)) } else { Err(error) };
    }
    if std::fs::symlink_metadata(store.commit()).is_ok() {
        eprintln!("overlayctl: this cancels what overlayctl commit or revert asked for: the upper is put aside first");
    }
    println!("at the next boot: {}", marker.words());
    Ok(())
}
