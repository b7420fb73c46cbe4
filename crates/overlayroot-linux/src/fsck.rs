// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks an unmounted ext file system. xfs and btrfs check themselves when they are mounted.

use crate::program;
use anyhow::{Result, bail};

/// Runs `e2fsck -p` with its files in `directory`; it replays the journal and repairs what is safe to repair.
///
/// An undo file makes a repair that was given up leave no trace: what e2fsck can't mend by itself
/// is for a person, who should find it as it was.
///
/// # Errors
/// Where the file system is not clean afterwards, or e2fsck can't run; exit codes as in e2fsck(8).
pub fn check(device: &str, directory: &str) -> Result<()> {
    let (undo, log) = (format!("{directory}/e2fsck.undo"), format!("{directory}/e2fsck.log"));
    // A stale undo file would be replayed onto the wrong state.
    let _ = std::fs::remove_file(&undo);
    let code = program::run("e2fsck", &["-p", "-z", &undo, device], &log)?;
    let said = last_line(&std::fs::read(&log).unwrap_or_default());
    let result = match code {
        0 => Ok(()),
        1 | 2 => {
            tracing::warn!("e2fsck repaired {device}: {said}");
            Ok(())
        }
        127 => bail!("e2fsck is not in this initramfs"),
        _ => {
            take_back(device, &undo, &log);
            bail!("e2fsck gave up on {device} (exit {code}): {said}")
        }
    };
    let _ = std::fs::remove_file(&undo);
    result
}

fn take_back(device: &str, undo: &str, log: &str) {
    if std::path::Path::new(undo).exists() && !matches!(program::run("e2undo", &["-f", undo, device], log), Ok(0)) {
        tracing::error!("what e2fsck changed on {device} could not be taken back (e2undo)");
    }
}

fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
}
