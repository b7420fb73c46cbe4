// SPDX-License-Identifier: GPL-2.0-or-later
//! For tests.

use std::time::Duration;

/// What this thread has had of a processor: by the clock a test that should be quick may be slow, for the machine is
/// busy with something else.
pub(crate) fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
