// SPDX-License-Identifier: GPL-2.0-or-later
//! The small programs of the bench, which are built beside this one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// Its bytes.
///
/// # Errors
/// Where it is not built.
pub(super) fn program(name: &str) -> Result<Vec<u8>> {
    let path = std::env::current_exe()?.with_file_name(name);
    fs::read(&path).with_context(|| format!("{}: cargo build -p overlayroot-vm --bins", path.display()))
}

/// Puts it into a directory.
///
/// # Errors
/// Where it is not built, or can't be written.
pub(super) fn install(dir: &Path, name: &str) -> Result<()> {
    let path = dir.join(name);
    fs::write(&path, program(name)?).with_context(|| path.display().to_string())?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o755))?)
}
