// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds the upper's block device, and waits for one that comes late.

use crate::blkid::{self, Probe};
use crate::block::{by_path, candidates, holders, node, sysfs};
use crate::btrfs_members::{self, Members, Super};
use crate::crypt::Opener;
use crate::{block, casefold, filesystem, mounts, quota_probe};
use overlayroot_core::facts::device::{Device, GaveUp, Lookup};
use overlayroot_core::facts::file_system::Alike;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::fstab::udev_encode;
use overlayroot_core::parse::mountinfo::Mount;
use overlayroot_core::step::refusal::UPPER_FILE_SYSTEMS;
use overlayroot_core::value::device;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the machine is looked at while waiting.
const POLL: Duration = Duration::from_millis(50);
/// How long udev may take over a device that is there before it is used without udev's word.
const UDEV_GRACE: Duration = Duration::from_secs(2);

/// How long a device on which nothing was found is taken to be empty: it may just have been about to come.
const NOTHING_YET: Duration = Duration::from_millis(500);

/// How many encrypted volumes are named.
const MOST_CLOSED: usize = 4;

/// Where our own mounts of an upper lie; they do not make a device "in use".
const OURS: [&str; 5] = [paths::BACKING, paths::BACKING_KEPT, paths::LOOK, paths::HOLDER_KEPT, "/media/root-rw"];

/// Looks for the device, up to `timeout`; calls `waiting` once if it is not there at first. The wait for an encrypted
/// volume ends where who opens it has given up.
pub fn resolve(asked: &device::Device, timeout: Duration, waiting: impl FnMut()) -> Lookup {
    let mut opener = Opener::of(asked);
    wait(asked, timeout, waiting, || opener.as_mut()?.gave_up())
}

fn wait(
    asked: &device::Device,
    timeout: Duration,
    mut waiting: impl FnMut(),
    mut gave_up: impl FnMut() -> Option<GaveUp>,
) -> Lookup {
    let started = Instant::now();
    let mut finder = Finder::default();
    let mut told = false;
    let mut locked = None;
    loop {
        let found = finder.look(asked);
        let waited = started.elapsed();
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        let late = waited >= timeout;
        match &found {
            Seen::Nothing => {
                if let Some(by) = locked.take() {
                    return Lookup::Locked { by, waited_ms };
                }
            }
            Seen::One(names) if late || names.iter().all(|name| settled(name)) || finder.seen_for() > UDEV_GRACE => {
                return describe(names, waited_ms);
            }
            Seen::One(_) => finder.first_seen = finder.first_seen.or_else(|| Some(Instant::now())),
            Seen::Part(names, of) if late => return Lookup::Incomplete { nodes: nodes(names), of: *of, waited_ms },
            Seen::Part(..) => {}
            Seen::Several(names) => return Lookup::Ambiguous(nodes(names)),
        }
        if let (device::Device::Path(path), Some(what)) = (asked, not_block(asked)) {
            tracing::debug!("{path} is {what}");
            return Lookup::NotBlock(path.clone());
        }
        locked = if matches!(found, Seen::Nothing) { gave_up() } else { None };
        if locked.is_some() {
            // It may have been opened since it was looked for.
            continue;
        }
        if late {
            return Lookup::Missing { waited_ms, closed: finder.closed() };
        }
        if !told {
            told = true;
            waiting();
        }
        std::thread::sleep(POLL);
    }
}

/// What fits, by kernel names.
enum Seen {
    Nothing,
    /// One file system, with all its devices; the one to name first.
    One(Vec<String>),
    /// Some devices of a btrfs, and how many it has.
    Part(Vec<String>, u64),
    Several(Vec<String>),
}

/// Remembers what each device holds, so that a long wait does not read every disk again and again.
#[derive(Default)]
struct Finder {
    probes: Vec<(String, Probe, Instant)>,
    supers: Vec<(String, Option<Super>, Instant)>,
    first_seen: Option<Instant>,
}

impl Finder {
    fn seen_for(&self) -> Duration {
        self.first_seen.map(|seen| seen.elapsed()).unwrap_or_default()
    }

    fn look(&mut self, asked: &device::Device) -> Seen {
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
            let mut several: Vec<String> = found.iter().cloned().chain(more).collect();
            several.sort_unstable();
            return Seen::Several(several);
        }
        // What was asked for by its path keeps that name.
        members.names.sort_by_key(|name| found.len() > 1 || !found.contains(name));
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
    fn closed(&mut self) -> Vec<String> {
        let all = candidates().into_iter();
        let luks = |name: &String| self.probe(name).is_some_and(|probe| probe.fstype == "crypto_LUKS");
        let closed: Vec<String> = all.filter(luks).filter(|name| holders(name).is_empty()).take(MOST_CLOSED).collect();
        nodes(&closed)
    }

    fn probe(&mut self, name: &str) -> Option<&Probe> {
        let key = key(name);
        self.probes.retain(|(_, probe, at)| !probe.fstype.is_empty() || at.elapsed() < NOTHING_YET);
        if !self.probes.iter().any(|(known, ..)| *known == key) {
            self.probes.push((key.clone(), blkid::probe(&node(name)).unwrap_or_default(), Instant::now()));
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

/// Kinds of file system on this machine's devices that can hold an upper, as names of kernel modules.
pub fn upper_file_systems() -> Vec<String> {
    let nodes: Vec<String> = candidates().iter().map(|name| node(name)).collect();
    let probed = nodes.iter().filter_map(|node| blkid::probe(node).ok());
    let mut kinds: Vec<String> = probed.map(|probe| probe.fstype).collect();
    kinds.retain(|kind| UPPER_FILE_SYSTEMS.contains(&kind.as_str()));
    // An ext4 that keeps quotas is not writable without it.
    if nodes.iter().any(|node| quota_probe::ext4_can(node)) {
        kinds.push("quota_v2".to_owned());
    }
    kinds.sort_unstable();
    kinds.dedup();
    kinds
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

fn not_block(asked: &device::Device) -> Option<&'static str> {
    let device::Device::Path(path) = asked else {
        return None;
    };
    let metadata = std::fs::metadata(path).ok()?;
    (!metadata.file_type().is_block_device()).then_some("no block device")
}

/// Whether udev, where it runs, has finished with a device: before that, rules may still assemble it away.
fn settled(name: &str) -> bool {
    let running = Path::new("/run/udev/control").exists();
    !running || Path::new(&format!("/run/udev/data/b{}", sysfs(name, "dev"))).exists()
}

/// A name and number may be another disk's a moment later: since Linux 5.15 each has a `diskseq` of its own, which a
/// partition has in the directory of its disk.
fn key(name: &str) -> String {
    ["dev", "diskseq", "../diskseq", "size"].iter().fold(name.to_owned(), |key, file| key + " " + &sysfs(name, file))
}

fn nodes(names: &[String]) -> Vec<String> {
    names.iter().map(|name| node(name)).collect()
}

/// What there is to know of a file system by its devices.
fn describe(names: &[String], waited_ms: u64) -> Lookup {
    let name = names.first().map(String::as_str).unwrap_or_default();
    let probe = blkid::probe(&node(name)).unwrap_or_default();
    let numbers: Vec<String> = names.iter().map(|name| sysfs(name, "dev")).collect();
    let mut device = Device {
        casefold: casefold::has(&node(name), &probe.fstype),
        path: node(name),
        devno: sysfs(name, "dev"),
        devices: if names.len() > 1 { numbers } else { Vec::new() },
        fstype: probe.fstype,
        uuid: probe.uuid,
        held_by: names.iter().flat_map(|name| holders(name)).collect(),
        read_only: names.iter().any(|name| sysfs(name, "ro") == "1"),
        waited_ms,
        ..Device::default()
    };
    let mounts = mounts::read().unwrap_or_default();
    for (mount, alike) in filesystem::mounts_of(&mounts, &device.file_system()) {
        match alike {
            _ if is_ours(mount) => {}
            Alike::Same => device.mounted_at.push(mount.at.clone()),
            Alike::Uuid => device.twin_at.push(mount.at.clone()),
        }
    }
    Lookup::Found(device)
}

/// What is kept of a single path is mounted over it.
fn is_ours(mount: &Mount) -> bool {
    let kept = format!("/{}/{}/", paths::META_DIR, paths::KEEP_DIR);
    let below = mount.at.strip_prefix(paths::KEEP).is_some_and(|rest| rest.starts_with('/'));
    OURS.contains(&mount.at.as_str()) || below || mount.root.contains(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_no_block_device_is_said_at_once() {
        let asked = device::Device::Path("/dev/null".into());
        let lookup = resolve(&asked, Duration::from_secs(60), || ());
        assert!(matches!(lookup, Lookup::NotBlock(path) if path == "/dev/null"));
    }

    #[test]
    fn a_missing_device_is_waited_for_and_no_longer() {
        let mut told = 0;
        let asked = device::Device::Label("no such label, surely".into());
        let lookup = resolve(&asked, Duration::from_millis(120), || told += 1);
        assert!(matches!(lookup, Lookup::Missing { waited_ms, .. } if (120..5000).contains(&waited_ms)));
        assert_eq!(told, 1);
    }

    #[test]
    fn nobody_waits_for_what_nobody_opens_any_more() {
        let asked = device::Device::Path("/dev/mapper/no-such-mapping-surely".into());
        let unit = GaveUp::Unit("systemd-cryptsetup@x.service".into());
        let mut asks = 0;
        let lookup = wait(
            &asked,
            Duration::from_secs(60),
            || (),
            || {
                asks += 1;
                (asks == 3).then(|| unit.clone())
            },
        );
        assert!(matches!(lookup, Lookup::Locked { by, waited_ms } if by == unit && waited_ms < 5000));
        // Said at once also by who has no time to wait.
        let lookup = wait(&asked, Duration::ZERO, || panic!("waits"), || Some(GaveUp::Dracut));
        assert!(matches!(lookup, Lookup::Locked { by: GaveUp::Dracut, .. }));
        // What is there is there, whoever gave up.
        let null = device::Device::Path("/dev/null".into());
        let lookup = wait(&null, Duration::from_secs(60), || (), || Some(GaveUp::Dracut));
        assert!(matches!(lookup, Lookup::NotBlock(_)));
    }

    #[test]
    fn mounts_elsewhere_count_ours_do_not() {
        let mount = |at: &str| Mount { at: at.into(), ..Mount::default() };
        assert!(!is_ours(&mount("/data")) && is_ours(&mount(paths::BACKING)));
        let kept = Mount { root: "/.overlayroot/keep/home.dir".into(), ..mount("/home") };
        assert!(is_ours(&kept) && is_ours(&mount(&format!("{}/0", paths::KEEP))));
    }
}
