// SPDX-License-Identifier: GPL-2.0-or-later
//! What a process of ours begins with, where std's own entry does not see to it.
#![allow(unsafe_code, reason = "signal(2), by which nothing is called")]

use nix::sys::signal::{SigHandler, Signal, signal};
use std::fs::OpenOptions;
use std::os::fd::{AsRawFd, IntoRawFd};

/// Opens the first three descriptors where they are closed, so that no file which is opened later takes what is
/// printed; has writing to a closed pipe be an error and no signal. As std does it (std's `sys::pal::unix::init`).
pub fn begin() {
    let null = || OpenOptions::new().read(true).write(true).open("/dev/null");
    // The kernel gives the lowest that is free.
    while let Some(file) = null().ok().filter(|file| file.as_raw_fd() <= 2) {
        let _ = file.into_raw_fd();
    }
    // SAFETY: a disposition, no handler.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigIgn) };
}
