// SPDX-License-Identifier: GPL-2.0-or-later
//! The C library's entry in place of std's, whose handler of stack overflows, with its map of threads and their names,
//! is 8 KB of a compressed initramfs. glibc gives std the arguments without it (`.init_array`).
#![allow(unsafe_code, reason = "an exported symbol; it ignores what it is given")]

use overlayroot_linux::sys::process;
use std::ffi::{c_char, c_int};
use std::io::Write;

#[unsafe(no_mangle)]
extern "C" fn main(_count: c_int, _words: *const *const c_char) -> c_int {
    process::begin();
    let code = crate::run();
    // What std would do at the end.
    let flushed = std::io::stdout().flush();
    if flushed.is_ok() { code.into() } else { crate::FAILED.into() }
}
