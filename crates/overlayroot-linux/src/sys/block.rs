// SPDX-License-Identifier: GPL-2.0-or-later
//! Block devices by the names that the kernel has for them. A path is only a way to one.

use crate::sys::files;
use overlayroot_core::value::order::sorted;
use rustix::fs::{major, minor};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

/// Those with content, sorted.
pub(crate) fn candidates() -> Vec<String> {
    let names = entries("/sys/class/block")
        .into_iter()
        .filter(|name| !["ram", "fd", "sr"].iter().any(|kind| name.starts_with(kind)))
        .filter(|name| sysfs(name, "size") != "0" && Path::new(&node(name)).exists())
        .collect();
    sorted(names)
}

/// What sysfs has in a file about a device; empty where there is no such file.
pub(crate) fn sysfs(name: &str, file: &str) -> String {
    files::ask_kernel(format!("/sys/class/block/{name}/{file}")).unwrap_or_default().trim().to_owned()
}

/// Its node. The kernel writes a `/` in a device's name as `!`.
pub(crate) fn node(name: &str) -> String {
    format!("/dev/{}", name.replace('!', "/"))
}

/// Devices that are built on it.
pub(crate) fn holders(name: &str) -> Vec<String> {
    entries(&format!("/sys/class/block/{name}/holders"))
}

/// Names in a directory of sysfs; none where it is not there.
pub(crate) fn entries(directory: &str) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

/// The block device behind a path, links followed.
pub(crate) fn by_path(path: &str) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    let number = metadata.rdev();
    metadata.file_type().is_block_device().then(|| by_number(&format!("{}:{}", major(number), minor(number))))?
}

/// The block device with that `major:minor`.
pub(crate) fn by_number(devno: &str) -> Option<String> {
    // A link to its directory, which has its name.
    let directory = std::fs::read_link(format!("/sys/dev/block/{devno}")).ok()?;
    directory.file_name()?.to_str().map(str::to_owned)
}
