// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds the upper's block device, and waits for one that comes late.

mod finder;

use crate::probe::crypt::Opener;
use crate::probe::device::finder::{Finder, Seen};
use crate::probe::quota;
use crate::sys::block::{candidates, holders, node, sysfs};
use crate::sys::{blkid, casefold, filesystem, mounts};
use overlayroot_core::facts::device::{Device, GaveUp, Lookup};
use overlayroot_core::facts::file_system::Alike;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo::Mount;
use overlayroot_core::step::refusal::UPPER_FILE_SYSTEMS;
use overlayroot_core::value::device;
use overlayroot_core::value::order::sorted;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often the machine is looked at while waiting.
const POLL: Duration = Duration::from_millis(50);
/// How long udev may take over a device that is there before it is used without udev's word.
const UDEV_GRACE: Duration = Duration::from_secs(2);

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
    let mut finder = Finder::of(asked);
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
                return describe(&mut finder, names, waited_ms);
            }
            Seen::One(_) => finder.first_seen = finder.first_seen.or_else(|| Some(Instant::now())),
            Seen::Part(names, of) if late => return Lookup::Incomplete { nodes: nodes(names), of: *of, waited_ms },
            Seen::Part(..) => {}
            Seen::Several(names) => return Lookup::Ambiguous(nodes(names)),
        }
        if let (device::Device::Path(path), Some(what)) = (asked, not_block(asked)) {
            crate::log::debug!("{path} is {what}");
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

/// Kinds of file system on this machine's devices that can hold an upper, as names of kernel modules.
pub fn upper_file_systems() -> Vec<String> {
    let nodes: Vec<String> = candidates().iter().map(|name| node(name)).collect();
    let probed = nodes.iter().filter_map(|node| blkid::probe(node).ok());
    let mut kinds: Vec<String> = probed.map(|probe| probe.fstype).collect();
    kinds.retain(|kind| UPPER_FILE_SYSTEMS.contains(&kind.as_str()));
    // An ext4 that keeps quotas is not writable without it.
    if nodes.iter().any(|node| quota::ext4_can(node)) {
        kinds.push("quota_v2".to_owned());
    }
    let mut kinds = sorted(kinds);
    kinds.dedup();
    kinds
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

fn nodes(names: &[String]) -> Vec<String> {
    names.iter().map(|name| node(name)).collect()
}

/// What there is to know of a file system by its devices.
fn describe(finder: &mut Finder, names: &[String], waited_ms: u64) -> Lookup {
    let name = names.first().map(String::as_str).unwrap_or_default();
    let probe = finder.probe(name).cloned().unwrap_or_default();
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
