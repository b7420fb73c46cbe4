// SPDX-License-Identifier: GPL-2.0-or-later
//! Waits: for a time, or until the kernel says that memory gets scarce (its Documentation/accounting/psi.rst).

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::time::Timespec;
use std::fs::File;
use std::io::Write;
use std::time::Duration;

/// Tasks that stood still for memory for 150 ms of a second. The kernel tells of it once a second at most.
const TRIGGER: &[u8] = b"some 150000 1000000\0";

/// The kernel's event, where it has it (Linux 5.2, not switched off).
pub struct Pressure(Option<File>);

impl Pressure {
    /// Asks for the event, where it is `wanted`.
    pub fn open(wanted: bool) -> Self {
        let open = || {
            let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::open("/proc/pressure/memory", flags, Mode::empty()).ok()?);
            file.write_all(TRIGGER).ok().map(|()| file)
        };
        Self(wanted.then(open).flatten())
    }

    /// Waits so long, or until the event.
    pub fn wait(&mut self, time: Duration) {
        let Some(file) = &self.0 else {
            return std::thread::sleep(time);
        };
        let mut fds = [PollFd::new(file, PollFlags::PRI)];
        let polled = poll(&mut fds, Timespec::try_from(time).ok().as_ref());
        let failed = fds.iter().any(|fd| fd.revents().contains(PollFlags::ERR));
        if polled.is_err() || failed {
            // Never in a loop without a pause.
            self.0 = None;
            std::thread::sleep(time);
        }
    }
}
