// SPDX-License-Identifier: GPL-2.0-or-later
//! Tells the kernel of one partition of a disk that is in use, by the ioctl that addpart(8), delpart(8) and
//! resizepart(8) use. Nothing is written to the disk.
#![allow(
    unsafe_code,
    reason = "an ioctl on a descriptor that lives through the call, structures as the kernel has them"
)]

use anyhow::{Context, Result};
use rustix::ioctl::{Setter, ioctl, opcode};
use std::ffi::c_void;
use std::fs::File;

const ADD: i32 = 1;
const DELETE: i32 = 2;
const RESIZE: i32 = 3;

/// `struct blkpg_ioctl_arg` (kernel: include/uapi/linux/blkpg.h).
#[repr(C)]
struct Argument {
    op: i32,
    flags: i32,
    length: i32,
    data: *mut c_void,
}

/// `struct blkpg_partition`; start and length in bytes.
#[repr(C)]
struct Partition {
    start: i64,
    length: i64,
    number: i32,
    names: [u8; 128],
}

/// Adds partition `number`; bytes are multiples of the sector.
///
/// # Errors
/// Where the kernel has that number, or a partition in that place.
pub fn add(disk: &str, number: u32, start: u64, bytes: u64) -> Result<()> {
    call(ADD, disk, number, start, bytes).with_context(|| format!("telling the kernel of partition {number} of {disk}"))
}

/// Takes partition `number` from the kernel's list.
///
/// # Errors
/// Where it is in use.
pub fn delete(disk: &str, number: u32) -> Result<()> {
    call(DELETE, disk, number, 0, 0).with_context(|| format!("taking partition {number} of {disk} from the kernel"))
}

/// Gives partition `number`, which may be in use, another length.
///
/// # Errors
/// Where the kernel has another start for it, or a partition behind it is in the way.
pub fn resize(disk: &str, number: u32, start: u64, bytes: u64) -> Result<()> {
    let context = || format!("telling the kernel of the size of partition {number} of {disk}");
    call(RESIZE, disk, number, start, bytes).with_context(context)
}

fn call(op: i32, disk: &str, number: u32, start: u64, bytes: u64) -> Result<()> {
    let device = File::open(disk).with_context(|| format!("opening {disk}"))?;
    let (start, length) = (i64::try_from(start)?, i64::try_from(bytes)?);
    let mut partition = Partition { start, length, number: i32::try_from(number)?, names: [0; 128] };
    let length = i32::try_from(size_of::<Partition>())?;
    let argument = Argument { op, flags: 0, length, data: (&raw mut partition).cast() };
    // SAFETY: both structures live through the call, and are as the kernel has them.
    unsafe { ioctl(&device, Setter::<{ opcode::none(0x12, 105) }, _>::new(argument)) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_size() {
        assert_eq!(size_of::<Partition>(), 152);
    }

    #[test]
    fn what_is_no_disk_is_named() {
        let error = add("/dev/null", 1, 0, 512).unwrap_err();
        assert!(format!("{error:#}").contains("partition 1 of /dev/null"), "{error:#}");
    }
}
