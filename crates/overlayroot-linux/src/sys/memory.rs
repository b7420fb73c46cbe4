// SPDX-License-Identifier: GPL-2.0-or-later
//! How much memory the machine has.

use crate::sys::files;
use overlayroot_core::parse::meminfo::Memory;

/// As the kernel says; zeros where it does not.
pub fn read() -> Memory {
    Memory::parse(&files::ask_kernel("/proc/meminfo").unwrap_or_default())
}
