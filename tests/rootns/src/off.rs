// SPDX-License-Identifier: GPL-2.0-or-later
//! Taking a mount away though this program has other threads.
//!
//! What another thread starts has, from its birth to its exec, every file open that this thread has open just then. On
//! a busy machine that can last until after this thread closed the file, and its file system is busy for so long.

use crate::mounts;
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a program between birth and exec is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Unmounts what is at `path`, which must succeed.
pub fn unmount(path: &str) {
    let output = unmounted(path);
    assert!(output.status.success(), "umount {path}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The same; what umount says of a mount that stays is given back.
pub fn unmounted(path: &str) -> Output {
    let from = Instant::now();
    loop {
        let output = Command::new("umount").arg(path).output().expect("umount");
        let busy = String::from_utf8_lossy(&output.stderr).contains("busy");
        // A mount below it does not go by waiting.
        let below = format!("{}/", path.trim_end_matches('/'));
        if !busy || from.elapsed() > PATIENCE || mounts().iter().any(|mount| mount.at.starts_with(&below)) {
            return output;
        }
        sleep(Duration::from_millis(20));
    }
}
