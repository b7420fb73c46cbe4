// SPDX-License-Identifier: GPL-2.0-or-later
//! libblkid's low-level probe, one device at a time. Its cache interface is never used: both safe
//! wrappers of it read freed memory (docs/internals/dependencies.md).
#![allow(unsafe_code, reason = "libblkid is a C library; this file is the only one that calls it")]

use anyhow::{Context, Result, bail, ensure};
use libblkid_sys as sys;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// What libblkid sees on a device; empty strings where it sees nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Probe {
    /// Type of the file system or other content.
    pub fstype: String,
    /// Label of the file system.
    pub label: String,
    /// UUID of the file system.
    pub uuid: String,
    /// Name of the partition.
    pub part_label: String,
    /// Identity of the partition.
    pub part_uuid: String,
}

struct Handle(NonNull<sys::blkid_struct_probe>);

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is ours, live, and freed once.
        unsafe { sys::blkid_free_probe(self.0.as_ptr()) }
    }
}

impl Handle {
    fn value(&self, name: &CStr) -> String {
        let mut data = std::ptr::null();
        // SAFETY: both strings are NUL-terminated; on 0 libblkid has set `data` to a
        // NUL-terminated string that lives as long as the probe, and it is copied at once.
        unsafe {
            let found =
                sys::blkid_probe_lookup_value(self.0.as_ptr(), name.as_ptr(), &raw mut data, std::ptr::null_mut());
            match found == 0 && !data.is_null() {
                true => CStr::from_ptr(data).to_string_lossy().into_owned(),
                false => String::new(),
            }
        }
    }
}

/// Probes a device node. Several signatures at once count as type `ambiguous`.
///
/// # Errors
/// Where the device can't be opened or read.
pub fn probe(path: &str) -> Result<Probe> {
    let name = CString::new(path).context("probing a device whose name holds a NUL")?;
    // SAFETY: `name` is NUL-terminated; null means failure.
    let handle = unsafe { sys::blkid_new_probe_from_filename(name.as_ptr()) };
    let handle = Handle(NonNull::new(handle).with_context(|| format!("opening {path} to probe it"))?);
    ask(&handle, sys::BLKID_PARTS_ENTRY_DETAILS as i32, path)
}

/// Probes `bytes` bytes of a device from `start` on, as if they were one. A partition table counts as content of the
/// type `a partition table`.
///
/// # Errors
/// As [`probe`].
pub fn probe_piece(path: &str, start: u64, bytes: u64) -> Result<Probe> {
    let file = File::open(path).with_context(|| format!("opening {path} to probe it"))?;
    // SAFETY: null means failure.
    let handle = unsafe { sys::blkid_new_probe() };
    let handle = Handle(NonNull::new(handle).context("no memory for a probe")?);
    let (start, bytes) = (start.try_into()?, bytes.try_into()?);
    // SAFETY: the probe is live, and the descriptor lives longer than what is asked of it here.
    let result = unsafe { sys::blkid_probe_set_device(handle.0.as_ptr(), file.as_raw_fd(), start, bytes) };
    ensure!(result == 0, "{path} has no such piece");
    let mut seen = ask(&handle, 0, path)?;
    if seen.fstype.is_empty() && !handle.value(c"PTTYPE").is_empty() {
        seen.fstype = "a partition table".to_owned();
    }
    Ok(seen)
}

fn ask(handle: &Handle, partitions: i32, path: &str) -> Result<Probe> {
    let raw = handle.0.as_ptr();
    // SAFETY: `raw` is a live probe; the calls only set flags and read the device.
    let result = unsafe {
        sys::blkid_probe_enable_superblocks(raw, 1);
        sys::blkid_probe_set_superblocks_flags(
            raw,
            (sys::BLKID_SUBLKS_TYPE | sys::BLKID_SUBLKS_LABEL | sys::BLKID_SUBLKS_UUID) as i32,
        );
        sys::blkid_probe_enable_partitions(raw, 1);
        sys::blkid_probe_set_partitions_flags(raw, partitions);
        sys::blkid_do_safeprobe(raw)
    };
    match result {
        0 => Ok(Probe {
            fstype: handle.value(c"TYPE"),
            label: handle.value(c"LABEL"),
            uuid: handle.value(c"UUID"),
            part_label: handle.value(c"PART_ENTRY_NAME"),
            part_uuid: handle.value(c"PART_ENTRY_UUID"),
        }),
        1 => Ok(Probe::default()),
        -2 => Ok(Probe { fstype: "ambiguous".to_owned(), ..Probe::default() }),
        _ => bail!("reading {path} to probe it failed"),
    }
}
