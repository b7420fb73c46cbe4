// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds the upper's block device, and waits for one that comes late.

use crate::blkid::{self, Probe};
use crate::{casefold, mounts, quota_probe};
use nix::sys::stat::{major, minor};
use overlayroot_core::facts::{Device, Lookup};
use overlayroot_core::fstab::udev_encode;
use overlayroot_core::refusal::UPPER_FILE_SYSTEMS;
use overlayroot_core::upper;
use overlayroot_core::{mountinfo::Mount, paths};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often the machine is looked at while waiting.
const POLL: Duration = Duration::from_millis(50);
/// How long udev may take over a device that is there before it is used without udev's word.
const UDEV_GRACE: Duration = Duration::from_secs(2);

/// Where our own mounts of an upper lie; they do not make a device "in use".
const OURS: [&str; 5] = [paths::BACKING, paths::BACKING_KEPT, paths::LOOK, paths::HOLDER_KEPT, "/media/root-rw"];

/// Looks for the device, up to `timeout`; calls `waiting` once if it is not there at first.
pub fn resolve(asked: &upper::Device, timeout: Duration, mut waiting: impl FnMut()) -> Lookup {
    let started = Instant::now();
    let mut finder = Finder::default();
    let mut told = false;
    loop {
        let found = finder.look(asked);
        let waited = started.elapsed();
        let waited_ms = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        match found.as_slice() {
            [] => {}
            [name] if settled(name) || waited > timeout || finder.seen_for() > UDEV_GRACE => {
                return describe(name, waited_ms);
            }
            [_] => finder.first_seen = finder.first_seen.or_else(|| Some(Instant::now())),
            several => return Lookup::Ambiguous(several.iter().map(|name| node(name)).collect()),
        }
        if let (upper::Device::Path(path), Some(what)) = (asked, not_block(asked)) {
            tracing::debug!("{path} is {what}");
            return Lookup::NotBlock(path.clone());
        }
        if waited >= timeout && found.is_empty() {
            return Lookup::Missing { waited_ms };
        }
        if !told {
            told = true;
            waiting();
        }
        std::thread::sleep(POLL);
    }
}

/// Remembers what each device holds, so that a long wait does not read every disk again and again.
#[derive(Default)]
struct Finder {
    probes: Vec<(String, Probe)>,
    first_seen: Option<Instant>,
}

impl Finder {
    fn seen_for(&self) -> Duration {
        self.first_seen.map(|seen| seen.elapsed()).unwrap_or_default()
    }

    /// Kernel names of all devices that fit.
    fn look(&mut self, asked: &upper::Device) -> Vec<String> {
        if let upper::Device::Path(path) = asked {
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

    fn fits(&mut self, asked: &upper::Device, name: &str) -> bool {
        let key = format!("{name} {}", sysfs(name, "dev"));
        if !self.probes.iter().any(|(known, _)| *known == key) {
            self.probes.push((key.clone(), blkid::probe(&node(name)).unwrap_or_default()));
        }
        let Some((_, probe)) = self.probes.iter().find(|(known, _)| *known == key) else {
            return false;
        };
        match asked {
            upper::Device::Label(label) => probe.label == *label,
            upper::Device::Uuid(uuid) => probe.uuid.eq_ignore_ascii_case(uuid),
            upper::Device::PartLabel(label) => probe.part_label == *label,
            upper::Device::PartUuid(uuid) => probe.part_uuid.eq_ignore_ascii_case(uuid),
            upper::Device::Path(_) => false,
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

/// Block devices with content, by kernel name.
fn candidates() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/class/block") else {
        return Vec::new();
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| !["ram", "fd", "sr"].iter().any(|kind| name.starts_with(kind)))
        .filter(|name| sysfs(name, "size") != "0" && Path::new(&node(name)).exists())
        .collect();
    names.sort_unstable();
    names
}

fn sysfs(name: &str, file: &str) -> String {
    let text = std::fs::read_to_string(format!("/sys/class/block/{name}/{file}"));
    text.unwrap_or_default().trim().to_owned()
}

/// The kernel writes a `/` in a device's name as `!`.
pub(crate) fn node(name: &str) -> String {
    format!("/dev/{}", name.replace('!', "/"))
}

fn holders(name: &str) -> Vec<String> {
    let entries = std::fs::read_dir(format!("/sys/class/block/{name}/holders"));
    let names = entries.into_iter().flatten();
    names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
}

fn udev_link(asked: &upper::Device) -> Option<String> {
    let (by, name) = match asked {
        upper::Device::Label(name) => ("label", name),
        upper::Device::Uuid(name) => ("uuid", name),
        upper::Device::PartLabel(name) => ("partlabel", name),
        upper::Device::PartUuid(name) => ("partuuid", name),
        upper::Device::Path(_) => return None,
    };
    Some(format!("/dev/disk/by-{by}/{}", udev_encode(name)))
}

/// The kernel name of the block device behind a path, links followed.
pub(crate) fn by_path(path: &str) -> Option<String> {
    let metadata = std::fs::metadata(path).ok()?;
    if !metadata.file_type().is_block_device() {
        return None;
    }
    let (major, minor) = (major(metadata.rdev()), minor(metadata.rdev()));
    let real: PathBuf = std::fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).ok()?;
    real.file_name()?.to_str().map(str::to_owned)
}

fn not_block(asked: &upper::Device) -> Option<&'static str> {
    let upper::Device::Path(path) = asked else {
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

fn describe(name: &str, waited_ms: u64) -> Lookup {
    let path = node(name);
    let devno = sysfs(name, "dev");
    let mounts = mounts::read().unwrap_or_default();
    let fstype = blkid::probe(&path).map(|probe| probe.fstype).unwrap_or_default();
    Lookup::Found(Device {
        mounted_at: mounted_at(&mounts, &path, &devno),
        casefold: casefold::has(&path, &fstype),
        fstype,
        held_by: holders(name),
        read_only: sysfs(name, "ro") == "1",
        path,
        devno,
        waited_ms,
    })
}

/// `major:minor` of the one block device behind a mount whose own number stands for none; empty where there is none,
/// or several. `uuid` is its file system's.
pub(crate) fn number_behind(mount: &Mount, uuid: &str) -> String {
    if !mount.devno.starts_with("0:") {
        return String::new();
    }
    let members = std::fs::read_dir(format!("/sys/fs/btrfs/{uuid}/devices"));
    let members: Vec<_> =
        members.into_iter().flatten().flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    match members.as_slice() {
        [] if mount.fstype == "btrfs" => String::new(),
        [] => by_path(&mount.source).map(|name| sysfs(&name, "dev")).unwrap_or_default(),
        [one] => sysfs(one, "dev"),
        [..] => String::new(),
    }
}

/// What is kept of a single path is mounted over it.
fn is_ours(mount: &Mount) -> bool {
    let kept = format!("/{}/{}/", paths::META_DIR, paths::KEEP_DIR);
    let below = mount.at.strip_prefix(paths::KEEP).is_some_and(|rest| rest.starts_with('/'));
    OURS.contains(&mount.at.as_str()) || below || mount.root.contains(&kept)
}

/// btrfs mounts carry an anonymous device number, so the source is compared as well.
fn mounted_at(mounts: &[Mount], path: &str, devno: &str) -> Vec<String> {
    let same = |mount: &&Mount| mount.devno == devno || (mount.fstype == "btrfs" && mount.source == path);
    let others = mounts.iter().filter(same).filter(|mount| !is_ours(mount));
    others.map(|mount| mount.at.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_no_block_device_is_said_at_once() {
        let asked = upper::Device::Path("/dev/null".into());
        let lookup = resolve(&asked, Duration::from_secs(60), || ());
        assert!(matches!(lookup, Lookup::NotBlock(path) if path == "/dev/null"));
    }

    #[test]
    fn a_missing_device_is_waited_for_and_no_longer() {
        let mut told = 0;
        let asked = upper::Device::Label("no such label, surely".into());
        let lookup = resolve(&asked, Duration::from_millis(120), || told += 1);
        assert!(matches!(lookup, Lookup::Missing { waited_ms } if (120..5000).contains(&waited_ms)));
        assert_eq!(told, 1);
    }

    #[test]
    fn mounts_of_the_device_elsewhere_count_ours_do_not() {
        let mount = |at: &str, devno: &str| Mount { at: at.into(), devno: devno.into(), ..Mount::default() };
        let mounts = [mount("/data", "8:1"), mount(paths::BACKING, "8:1"), mount("/x", "8:2")];
        assert_eq!(mounted_at(&mounts, "/dev/sda1", "8:1"), ["/data"]);
        let kept = Mount { root: "/.overlayroot/keep/home.dir".into(), ..mount("/home", "8:1") };
        let mounts = [mount(&format!("{}/0", paths::KEEP), "8:1"), kept];
        assert_eq!(mounted_at(&mounts, "/dev/sda1", "8:1"), [] as [&str; 0]);
    }
}
