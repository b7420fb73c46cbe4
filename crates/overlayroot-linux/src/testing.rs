// SPDX-License-Identifier: GPL-2.0-or-later
//! For tests.

use crate::sys::files;
use std::time::Duration;

/// What this thread has had of a processor: by the clock a test that should be quick may be slow, for the machine is
/// busy with something else.
pub(crate) fn on_cpu() -> Duration {
    let text = files::ask_kernel("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}
