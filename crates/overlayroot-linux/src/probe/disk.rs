// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks at the disk that the root is on, where a partition of it is asked for as upper.

use crate::probe::{device, place};
use crate::sys::scratch::Scratch;
use crate::sys::table::Desk;
use crate::sys::{blkid, block, files, filesystem};
use anyhow::Result;
use overlayroot_core::config::Config;
use overlayroot_core::facts::device::Lookup;
use overlayroot_core::facts::disk::{Disk, Partition};
use overlayroot_core::facts::free_space::{HEAD, Left, superblock};
use overlayroot_core::parse::mountinfo::Mount;
use overlayroot_core::upper::Upper;
use overlayroot_core::value::order::sorted_by_key;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The kernel counts sectors of 512 bytes in sysfs, whatever the disk has.
const SYSFS_SECTOR: u64 = 512;

/// The disk of the root that is mounted so; `None` where the configuration does not ask for a partition.
pub fn disk_of(config: &Config, root: &Mount) -> Option<Disk> {
    let Upper::Part(asked) = &config.upper.value else {
        return None;
    };
    let mut disk = partition_of(root).and_then(|at| disk(at.parent()?)).unwrap_or_default();
    disk.sfdisk = place::is_here("sfdisk");
    let wanted = asked.grow || disk.named(&asked.label).is_empty();
    if wanted && disk.sfdisk && !disk.path.is_empty() {
        let scratch = Scratch::new();
        let table = scratch.and_then(|scratch| Desk { at: scratch.path() }.read(&disk.path, disk.sector));
        disk.table = table.inspect_err(|error| crate::log::warning!("{error:#}")).ok();
    }
    if disk.named(&asked.label).is_empty() {
        disk.left = left(&disk);
    }
    Some(disk)
}

/// What lies where the partition would be made; a place that can't be read counts as taken.
fn left(disk: &Disk) -> Option<Left> {
    let (start, room) = disk.rest(disk.table().ok()?);
    let look = || -> Result<Left> {
        let seen = blkid::probe_piece(&disk.path, start, room)?;
        let mut head = vec![0; usize::try_from(room.min(HEAD as u64))?];
        fs::File::open(&disk.path)?.read_exact_at(&mut head, start)?;
        let (bytes, unused) = superblock(&seen.fstype, &head).unwrap_or_default();
        Ok(Left { fstype: seen.fstype, label: seen.label, bytes, unused, ..Left::default() })
    };
    let left = if room == 0 {
        Left::default()
    } else {
        look().unwrap_or_else(|error| Left { unread: format!("{error:#}"), ..Left::default() })
    };
    (left != Left::default()).then_some(left)
}

/// The one partition that carries the label asked for.
pub fn upper_of(config: &Config, disk: Option<&Disk>, wait: bool) -> Option<Lookup> {
    let Upper::Part(asked) = &config.upper.value else {
        return None;
    };
    let [one] = disk?.named(&asked.label)[..] else {
        return None;
    };
    let seconds = if wait { config.timeout.value } else { 0 };
    // It is there: what is waited for is that udev has finished with it.
    Some(device::resolve(
        &overlayroot_core::value::device::Device::Path(one.path.clone()),
        Duration::from_secs(seconds.into()),
        || (),
    ))
}

/// The sysfs directory of the root's device, if that is a partition.
fn partition_of(root: &Mount) -> Option<PathBuf> {
    let devices = filesystem::devices_of(root).into_iter();
    let mut places = devices.filter_map(|name| fs::canonicalize(format!("/sys/class/block/{name}")).ok());
    places.find(|at| at.join("partition").exists())
}

fn disk(at: &Path) -> Option<Disk> {
    let path = block::node(at.file_name()?.to_str()?);
    let entries = fs::read_dir(at).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let partitions = entries.filter_map(|at| partition(&at)).collect();
    let partitions = sorted_by_key(partitions, |partition: &Partition| partition.number);
    Some(Disk {
        path,
        bytes: number(at, "size")?.checked_mul(SYSFS_SECTOR)?,
        sector: number(&at.join("queue"), "logical_block_size").unwrap_or(SYSFS_SECTOR),
        read_only: number(at, "ro") == Some(1),
        partitions,
        ..Disk::default()
    })
}

fn partition(at: &Path) -> Option<Partition> {
    let partition = number(at, "partition")?;
    let path = block::node(at.file_name()?.to_str()?);
    let probe = blkid::probe_partition(&path).unwrap_or_default();
    Some(Partition {
        number: u32::try_from(partition).ok()?,
        start: number(at, "start")?.checked_mul(SYSFS_SECTOR)?,
        bytes: number(at, "size")?.checked_mul(SYSFS_SECTOR)?,
        name: probe.part_label,
        label: probe.label,
        path,
    })
}

fn number(at: &Path, file: &str) -> Option<u64> {
    files::ask_kernel(at.join(file)).ok()?.trim().parse().ok()
}
