// SPDX-License-Identifier: GPL-2.0-or-later
//! The record in /run: written once a boot, whole or not at all.

use crate::sys::newfile::write_atomic;
use crate::sys::{files, json};
use anyhow::{Context, Result};
use overlayroot_core::layout::paths;
use overlayroot_core::record::{Record, SCHEMA};

/// Most bytes of it; a long one has some hundred KiB.
const MOST: u64 = 16 << 20;

/// Writes the record of this boot.
pub fn write(record: &Record) -> Result<()> {
    std::fs::create_dir_all(paths::STATE_DIR).context("making the directory of the record")?;
    let text = serde_json::to_string_pretty(record).context("writing the record as JSON")?;
    write_atomic(paths::RECORD, &(text + "\n"))
}

/// Reads the record of this boot; `None` where there is none.
///
/// # Errors
/// Where it can't be read or has a schema this version does not know.
pub fn read(path: &str) -> Result<Option<Record>> {
    json::read(path, MOST, SCHEMA)
}

/// Identity of the running boot.
pub fn boot_id() -> String {
    let text = files::ask_kernel("/proc/sys/kernel/random/boot_id");
    text.unwrap_or_default().trim().to_owned()
}
