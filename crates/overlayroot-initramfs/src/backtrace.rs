// SPDX-License-Identifier: GPL-2.0-or-later
//! std's backtraces ask libgcc's unwinder, which needs the tables that `no-unwind.ld` leaves out. An
//! unwinder that finds no frame says as much, and saves libgcc_s.so (20 KB of a compressed initramfs).
#![allow(unsafe_code, reason = "exported symbols; every function ignores what it is given")]

use std::ffi::{c_int, c_void};

/// `_URC_END_OF_STACK` (Itanium C++ ABI, exception handling, 1.2).
const END_OF_STACK: c_int = 5;

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *const c_void) -> c_int {
    END_OF_STACK
}

macro_rules! nothing {
    ($($name:ident)*) => {
        $(#[unsafe(no_mangle)]
        extern "C" fn $name(_context: *const c_void) -> *mut c_void {
            std::ptr::null_mut()
        })*
    };
}

nothing!(_Unwind_GetIP _Unwind_GetCFA _Unwind_GetRegionStart _Unwind_FindEnclosingFunction);
nothing!(_Unwind_GetTextRelBase _Unwind_GetDataRelBase _Unwind_GetLanguageSpecificData);
nothing!(_Unwind_DeleteException);

#[unsafe(no_mangle)]
extern "C" fn _Unwind_GetIPInfo(_context: *const c_void, _before: *mut c_int) -> *mut c_void {
    std::ptr::null_mut()
}

/// Where a panic goes on after clean-up code; with `panic=abort` there is none.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume(_exception: *const c_void) -> ! {
    std::process::abort()
}
