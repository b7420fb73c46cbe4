// SPDX-License-Identifier: GPL-2.0-or-later
//! libblkid's low-level probe, one device at a time. Its cache interface is never used: both safe
//! wrappers of it read freed memory (docs/internals/dependencies.md).
#![allow(unsafe_code, reason = "libblkid is a C library; this file is the only one that calls it")]

use anyhow::{Context, Result, bail, ensure};
use libblkid_sys as sys;
use std::ffi::{CStr, CString, c_char};
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

/// What of partitions is asked for.
#[derive(Clone, Copy)]
enum Parts {
    /// Nothing: a table is not read.
    Nothing,
    /// Whether there is a table.
    Table,
    /// What the table of its disk says of the device.
    Entry,
}

/// Probes the content of a device node, or of a file. Several signatures at once count as type `ambiguous`.
///
/// # Errors
/// Where it can't be opened or read.
pub fn probe(path: &str) -> Result<Probe> {
    ask(&open(path)?, Parts::Nothing, path)
}

/// The same, and what the table of its disk says of a partition.
///
/// # Errors
/// As [`probe`].
pub fn probe_partition(path: &str) -> Result<Probe> {
    ask(&open(path)?, Parts::Entry, path)
}

/// UUID of the file system of a known type on a device node; empty where it has none. Of all that libblkid knows, which
/// takes a megabyte, only that type is looked for.
///
/// # Errors
/// As [`probe`].
pub fn uuid(path: &str, fstype: &str) -> Result<String> {
    let kind = CString::new(fstype).context("a type of file system holds a NUL")?;
    // SAFETY: `kind` is NUL-terminated.
    if unsafe { sys::blkid_known_fstype(kind.as_ptr()) } != 1 {
        // The kernel's name for it is another (ntfs3).
        return probe(path).map(|probe| probe.uuid);
    }
    // One driver of the kernel mounts all of ext, by the name that was asked for.
    const EXT: [&CStr; 3] = [c"ext4", c"ext3", c"ext2"];
    let own = [kind.as_c_str()];
    let kinds: &[&CStr] = if fstype.starts_with("ext") { &EXT } else { &own };
    let mut names: Vec<*mut c_char> = kinds.iter().map(|kind| kind.as_ptr().cast_mut()).collect();
    names.push(std::ptr::null_mut());
    let handle = open(path)?;
    // SAFETY: the probe is live; the names are NUL-terminated, their list ends with null, and libblkid only compares
    // them, within the call.
    let result = unsafe {
        let only = sys::BLKID_FLTR_ONLYIN as i32;
        sys::blkid_probe_filter_superblocks_type(handle.0.as_ptr(), only, names.as_mut_ptr())
    };
    ensure!(result == 0, "libblkid can't look for {fstype} alone");
    ask(&handle, Parts::Nothing, path).map(|probe| probe.uuid)
}

fn open(path: &str) -> Result<Handle> {
    let name = CString::new(path).context("probing a device whose name holds a NUL")?;
    // SAFETY: `name` is NUL-terminated; null means failure.
    let handle = unsafe { sys::blkid_new_probe_from_filename(name.as_ptr()) };
    Ok(Handle(NonNull::new(handle).with_context(|| format!("opening {path} to probe it"))?))
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
    let mut seen = ask(&handle, Parts::Table, path)?;
    if seen.fstype.is_empty() && !handle.value(c"PTTYPE").is_empty() {
        seen.fstype = "a partition table".to_owned();
    }
    Ok(seen)
}

fn ask(handle: &Handle, parts: Parts, path: &str) -> Result<Probe> {
    let raw = handle.0.as_ptr();
    let (enable, flags) = match parts {
        Parts::Nothing => (0, 0),
        Parts::Table => (1, 0),
        Parts::Entry => (1, sys::BLKID_PARTS_ENTRY_DETAILS as i32),
    };
    // SAFETY: `raw` is a live probe; the calls only set flags and read the device.
    let result = unsafe {
        sys::blkid_probe_enable_superblocks(raw, 1);
        sys::blkid_probe_set_superblocks_flags(
            raw,
            (sys::BLKID_SUBLKS_TYPE | sys::BLKID_SUBLKS_LABEL | sys::BLKID_SUBLKS_UUID) as i32,
        );
        sys::blkid_probe_enable_partitions(raw, enable);
        sys::blkid_probe_set_partitions_flags(raw, flags);
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
