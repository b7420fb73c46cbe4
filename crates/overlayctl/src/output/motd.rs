// SPDX-License-Identifier: GPL-2.0-or-later
//! What who logs in is told: files that pam_motd(8) shows.

use anyhow::{Context, Result};
use overlayroot_core::value::diagnostics::plain;
use overlayroot_linux::sys::newfile;
use std::fs::{self, DirBuilder, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Puts a text there; nothing any more for `None`.
pub fn set(path: &str, text: Option<&str>) {
    let Some(text) = text else {
        let _ = fs::remove_file(path);
        return;
    };
    if let Err(error) = write(path, text) {
        eprintln!("overlayctl: writing {path}: {error:#}");
    }
}

fn write(path: &str, text: &str) -> Result<()> {
    let directory = Path::new(path).parent().unwrap_or(Path::new("/run"));
    match DirBuilder::new().create(directory) {
        // Whatever the umask of the unit is: it is for everybody, and of others, too.
        Ok(()) => fs::set_permissions(directory, Permissions::from_mode(0o755))?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).context("making its directory"),
    }
    newfile::write_atomic(path, &plain(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_and_goes_and_everybody_can_read_it() {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join("motd.d/x");
        let path = path.to_str().unwrap();
        set(path, Some("one\u{1b}[2J\n"));
        assert_eq!(fs::read_to_string(path).unwrap(), "one\\u{1b}[2J\n");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(Path::new(path)), mode(&top.path().join("motd.d"))), (0o644, 0o755));
        set(path, None);
        assert!(!fs::exists(path).unwrap());
    }
}
