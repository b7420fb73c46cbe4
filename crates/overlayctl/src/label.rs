// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl label`: SELinux labels for what the initramfs put into an upper in RAM.
//!
//! A tmpfs takes its labels from the policy (`fs_use_trans`): what was in it before the policy was loaded gets the
//! type of the tmpfs itself, whatever xattr it had been given, and with it the merged `/`. Later files are labelled
//! as on any file system. So a short list is labelled once, by the host's own restorecon(8), which asks its policy.

use crate::exit::Exit;
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::paths;
use overlayroot_core::record::{Record, RootKind, UpperKind};
use overlayroot_linux::recordfile;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, thread};

/// There only while a policy is loaded (libselinux).
const LOADED: &str = "/sys/fs/selinux/enforce";

/// Labels, and says how many paths it looked at.
pub fn run() -> Result<Exit> {
    let record = recordfile::read(paths::RECORD)?;
    if !record.as_ref().is_some_and(forgets) || !Path::new(LOADED).exists() {
        return Ok(Exit::Good);
    }
    let upper = fs::canonicalize(paths::UPPER_LINK).with_context(|| format!("looking for {}", paths::UPPER_LINK))?;
    let list = contents(&upper)?;
    restore(&list)?;
    println!("labelled {} paths of the upper in RAM", list.len());
    Ok(Exit::Good)
}

/// Whether the root's upper loses labels when a policy is loaded.
fn forgets(record: &Record) -> bool {
    record.effective.root == RootKind::Overlay && record.effective.upper == UpperKind::Tmpfs
}

/// What is in the upper, as paths of the merged root, each before what is below it. Whiteouts show nothing there.
fn contents(upper: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::from("/")];
    let mut next = 0;
    while let Some(here) = found.get(next).cloned() {
        next += 1;
        let inside = upper.join(here.strip_prefix("/").unwrap_or(&here));
        if !fs::symlink_metadata(&inside).is_ok_and(|metadata| metadata.is_dir()) {
            continue;
        }
        for entry in fs::read_dir(&inside).with_context(|| inside.display().to_string())? {
            let merged = here.join(entry?.file_name());
            if fs::symlink_metadata(&merged).is_ok() {
                found.push(merged);
            }
        }
    }
    Ok(found)
}

fn restore(list: &[PathBuf]) -> Result<()> {
    let mut restorecon = Command::new("restorecon");
    restorecon.args(["-F", "-0", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = restorecon.spawn().context("restorecon can't be run; the upper in RAM is not labelled")?;
    let names: Vec<&OsStr> = list.iter().map(|path| path.as_os_str()).collect();
    let text = names.iter().flat_map(|name| [name.as_bytes(), &[0]]).collect::<Vec<_>>().concat();
    let Some(mut input) = child.stdin.take() else { bail!("restorecon has no input") };
    // it may complain before it has read everything
    let writer = thread::spawn(move || input.write_all(&text));
    let output = child.wait_with_output()?;
    let written = writer.join().ok().context("the writer panicked")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "restorecon: {}: {}", output.status, said.trim());
    written.context("telling restorecon the paths")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_comes_first_and_what_is_hidden_does_not_count() {
        let upper = tempfile::tempdir().unwrap();
        fs::create_dir_all(upper.path().join("etc/nowhere-to-be-seen")).unwrap();
        fs::write(upper.path().join("etc/passwd"), "").unwrap();
        let found = contents(upper.path()).unwrap();
        assert_eq!(found, ["/", "/etc", "/etc/passwd"].map(PathBuf::from));
    }
}
