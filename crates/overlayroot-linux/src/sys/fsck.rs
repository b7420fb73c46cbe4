// SPDX-License-Identifier: GPL-2.0-or-later
//! Checks an unmounted ext file system. xfs and btrfs check themselves when they are mounted.

use crate::sys::files;
use crate::sys::program::{self, last_line};
use anyhow::{Context, Result, anyhow, ensure};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

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
    let before = superblock(device)?;
    let code = program::run("e2fsck", &["-p", "-z", &undo, device], &log)?;
    let said = last_line(&files::tail(&log));
    let result = match code {
        0 => Ok(()),
        1 | 2 => {
            crate::log::warning!("e2fsck repaired {device}: {said}");
            Ok(())
        }
        127 => Err(anyhow!("e2fsck not found")),
        _ => {
            if let Err(error) = take_back(device, &before, &undo, &log) {
                crate::log::error!("what e2fsck changed on {device} could not be undone: {error:#}");
            }
            Err(anyhow!("e2fsck gave up on {device} (exit {code}): {said}"))
        }
    };
    let _ = std::fs::remove_file(&undo);
    result
}

/// Where ext's superblock lies, and how long it is, in bytes (kernel: filesystems/ext4/super.rst).
const SUPERBLOCK: (u64, usize) = (1024, 1024);

fn superblock(device: &str) -> Result<Vec<u8>> {
    let mut bytes = vec![0; SUPERBLOCK.1];
    let file = File::open(device).with_context(|| format!("opening {device}"))?;
    file.read_exact_at(&mut bytes, SUPERBLOCK.0).with_context(|| format!("reading the superblock of {device}"))?;
    Ok(bytes)
}

/// e2undo brings back every block but stamps the superblock with the time of its own writing.
fn take_back(device: &str, before: &[u8], undo: &str, log: &str) -> Result<()> {
    if std::path::Path::new(undo).exists() {
        let code = program::run("e2undo", &["-f", undo, device], log)?;
        ensure!(code == 0, "e2undo ended with {code}: {}", last_line(&files::tail(log)));
    }
    if superblock(device)? != before {
        let file = OpenOptions::new().write(true).open(device).context("opening it for writing")?;
        file.write_all_at(before, SUPERBLOCK.0).context("writing its superblock back")?;
        file.sync_all().context("syncing it")?;
    }
    Ok(())
}
