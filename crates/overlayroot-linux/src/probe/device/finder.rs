// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds what fits among this machine's devices, and remembers what each of them holds.

use crate::probe::device::nodes;
use crate::sys::blkid::{self, Probe};
use crate::sys::block::{self, by_path, candidates, holders, node, sysfs};
use crate::sys::btrfs_members::{self, Members, Super};
use crate::sys::filesystem;
use overlayroot_core::parse::fstab::udev_encode;
use overlayroot_core::value::device;
use overlayroot_core::value::order::{sorted, to_front};
use std::time::{Duration, Instant};

/// How long a device on which nothing was found is taken to be empty: it may just have been about to come.
const NOTHING_YET: Duration = Duration::from_millis(500);

/// How many encrypted volumes are named.
const MOST_CLOSED: usize = 4;

/// What fits, by kernel names.
pub(super) enum Seen {
    Nothing,
    /// One file system, with all its devices; the one to name first.
    One(Vec<String>),
    /// Some devices of a btrfs, and how many it has.
    Part(Vec<String>, u64),
    Several(Vec<String>),
}

/// Remembers what each device holds, so that a long wait does not read every disk again and again.
#[derive(Default)]
pub(super) struct Finder {
    /// Whether it takes what the table says of a partition.
    entries: bool,
    probes: Vec<(String, Probe, Instant)>,
    supers: Vec<(String, Option<Super>, Instant)>,
    pub(super) first_seen: Option<Instant>,
}

impl Finder {
    pub(super) fn of(asked: &device::Device) -> Self {
        let entries = match asked {
            device::Device::PartLabel(_) | device::Device::PartUuid(_) => true,
            device::Device::Label(_) | device::Device::Uuid(_) | device::Device::Path(_) => false,
        };
        Self { entries, ..Self::default() }
    }

    pub(super) fn seen_for(&self) -> Duration {
        self.first_seen.map(|seen| seen.elapsed()).unwrap_or_default()
    }

    pub(super) fn look(&mut self, asked: &device::Device) -> Seen {
        let found = self.fitting(asked);
        self.folded(found)
    }

    /// The devices of one btrfs are one.
    fn folded(&mut self, found: Vec<String>) -> Seen {
        let Some(first) = found.first() else { return Seen::Nothing };
        let Some(whole) = self.superblock(first).filter(|whole| whole.devices > 1 || found.len() > 1) else {
            return if found.len() == 1 { Seen::One(found) } else { Seen::Several(found) };
        };
        let others =
            block::candidates().into_iter().filter(|name| !found.contains(name) && btrfs_members::counts(name));
        let all = found.iter().cloned().chain(others);
        let all: Vec<_> = all.filter_map(|name| Some((name.clone(), self.superblock(&name)?))).collect();
        let mut members = Members::among(&all, whole.fsid);
        if members.twins || !found.iter().all(|name| members.names.contains(name)) {
            let more = members.names.into_iter().filter(|name| members.twins && !found.contains(name));
            return Seen::Several(sorted(found.iter().cloned().chain(more).collect()));
        }
        // What was asked for by its path keeps that name.
        if found.len() == 1 {
            to_front(&mut members.names, |name| name == first);
        }
        // One that the kernel has mounted may do without some.
        if members.whole() || filesystem::mounted_btrfs(first).is_some() {
            Seen::One(members.names)
        } else {
            Seen::Part(members.names, members.of)
        }
    }

    fn superblock(&mut self, name: &str) -> Option<Super> {
        let key = key(name);
        self.supers.retain(|(_, known, at)| known.is_some() || at.elapsed() < NOTHING_YET);
        if let Some((_, known, _)) = self.supers.iter().find(|(other, ..)| *other == key) {
            return *known;
        }
        let read = Super::read(name);
        self.supers.push((key, read, Instant::now()));
        read
    }

    /// Kernel names of all devices that fit.
    fn fitting(&mut self, asked: &device::Device) -> Vec<String> {
        if let device::Device::Path(path) = asked {
            return by_path(path).into_iter().collect();
        }
        let mut found: Vec<String> = candidates().into_iter().filter(|name| self.fits(asked, name)).collect();
        // A RAID member or a path of a multipath map shows the label of the whole.
        if found.len() > 1 {
            found.retain(|name| holders(name).is_empty());
        }
        // Where libblkid sees nothing (it skips what has a bad checksum) udev may still know.
        if found.is_empty() {
            found.extend(udev_link(asked).and_then(|link| by_path(&link)));
        }
        found
    }

    /// Nodes of encrypted volumes that nobody has opened.
    pub(super) fn closed(&mut self) -> Vec<String> {
        let all = candidates().into_iter();
        let luks = |name: &String| self.probe(name).is_some_and(|probe| probe.fstype == "crypto_LUKS");
        let closed: Vec<String> = all.filter(luks).filter(|name| holders(name).is_empty()).take(MOST_CLOSED).collect();
        nodes(&closed)
    }

    /// What a device holds.
    pub(super) fn probe(&mut self, name: &str) -> Option<&Probe> {
        let key = key(name);
        self.probes.retain(|(_, probe, at)| !probe.fstype.is_empty() || at.elapsed() < NOTHING_YET);
        if !self.probes.iter().any(|(known, ..)| *known == key) {
            let probe = if self.entries { blkid::probe_partition } else { blkid::probe };
            self.probes.push((key.clone(), probe(&node(name)).unwrap_or_default(), Instant::now()));
        }
        self.probes.iter().find(|(known, ..)| *known == key).map(|(_, probe, _)| probe)
    }

    fn fits(&mut self, asked: &device::Device, name: &str) -> bool {
        let Some(probe) = self.probe(name) else { return false };
        match asked {
            device::Device::Label(label) => probe.label == *label,
            device::Device::Uuid(uuid) => probe.uuid.eq_ignore_ascii_case(uuid),
            device::Device::PartLabel(label) => probe.part_label == *label,
            device::Device::PartUuid(uuid) => probe.part_uuid.eq_ignore_ascii_case(uuid),
            device::Device::Path(_) => false,
        }
    }
}

fn udev_link(asked: &device::Device) -> Option<String> {
    let (by, name) = match asked {
        device::Device::Label(name) => ("label", name),
        device::Device::Uuid(name) => ("uuid", name),
        device::Device::PartLabel(name) => ("partlabel", name),
        device::Device::PartUuid(name) => ("partuuid", name),
        device::Device::Path(_) => return None,
    };
    Some(format!("/dev/disk/by-{by}/{}", udev_encode(name)))
}

/// A name and number may be another disk's a moment later: since Linux 5.15 each has a `diskseq` of its own, which a
/// partition has in the directory of its disk.
fn key(name: &str) -> String {
    ["dev", "diskseq", "../diskseq", "size"].iter().fold(name.to_owned(), |key, file| key + " " + &sysfs(name, file))
}
