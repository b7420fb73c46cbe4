// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks an unmounted ext file system. xfs and btrfs check themselves when they are mounted.

use anyhow::{Context, Result, bail};
use std::process::Command;

/// Runs `e2fsck -p`, which replays the journal and repairs what is safe to repair.
///
/// An undo file makes a repair that was given up leave no trace: what e2fsck can't mend by itself
/// is for a person, who should find it as it was.
///
/// # Errors
/// Where the file system is not clean afterwards, or e2fsck can't run; exit codes as in e2fsck(8).
pub fn check(device: &str, undo: &str) -> Result<()> {
    // A stale undo file would be replayed onto the wrong state.
    let _ = std::fs::remove_file(undo);
    let output = Command::new("e2fsck").args(["-p", "-z", undo, device]).output();
    let output = output.with_context(|| format!("running e2fsck on {device}"))?;
    let code = output.status.code().unwrap_or(128);
    let said = last_line(&output.stdout).or_else(|| last_line(&output.stderr)).unwrap_or_default();
    let result = match code {
        0 => Ok(()),
        1 | 2 => {
            tracing::warn!("e2fsck repaired {device}: {said}");
            Ok(())
        }
        _ => {
            take_back(device, undo);
            bail!("e2fsck gave up on {device} (exit {code}): {said}")
        }
    };
    let _ = std::fs::remove_file(undo);
    result
}

fn take_back(device: &str, undo: &str) {
    if !std::path::Path::new(undo).exists() {
        return;
    }
    let done = Command::new("e2undo").args(["-f", undo, device]).output();
    if !done.is_ok_and(|output| output.status.success()) {
        tracing::error!("what e2fsck changed on {device} could not be taken back (e2undo)");
    }
}

fn last_line(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
}
