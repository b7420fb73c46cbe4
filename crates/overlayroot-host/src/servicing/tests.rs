// SPDX-License-Identifier: GPL-2.0-or-later
//! Which lowers can be serviced, and how.
use super::*;
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::record::{Outcome, Requested};
use overlayroot_core::step::effective::Effective;
use overlayroot_core::step::effective::UpperKind;

fn record(upper: UpperKind, device: Option<&str>) -> Record {
    let effective = Effective {
        upper,
        device: device.map(str::to_owned),
        lowers: vec!["/run/overlayfs-r".into(), "/run/rootfsbase".into()],
        ..Effective::plain(RootKind::Overlay)
    };
    Record {
        schema: overlayroot_core::record::SCHEMA,
        version: String::new(),
        boot_id: String::new(),
        outcome: Outcome::Applied,
        requested: Requested::of(&Config::read(&Inputs::default())),
        effective,
        reasons: Vec::new(),
        issues: Vec::new(),
        fingerprint: None,
        stale: None,
        populate: None,
        image: None,
        made: Vec::new(),
        notes: Vec::new(),
        steps: Vec::new(),
        by: String::new(),
        started_ms: 0,
        took_us: 0,
    }
}

fn mount(at: &str, fstype: &str, devno: &str, mode: &str, super_mode: &str) -> Mount {
    Mount {
        at: at.into(),
        fstype: fstype.into(),
        devno: devno.into(),
        options: mode.into(),
        super_options: super_mode.into(),
        source: "/dev/vda".into(),
        ..Mount::default()
    }
}

fn mounts(fstype: &str, super_mode: &str) -> Vec<Mount> {
    vec![
        mount("/", fstype, "254:0", "ro", super_mode),
        mount("/run/rootfsbase", fstype, "254:0", "ro", super_mode),
        mount("/", "overlay", "0:40", "rw", "rw"),
    ]
}

const WRITE: Access = Access::Write { device_read_only: false };

#[test]
fn whatever_can_not_be_written_can_be_looked_at() {
    for fstype in ["ext4", "nfs4", "squashfs", "tmpfs"] {
        let found = target(Some(&record(UpperKind::Tmpfs, None)), &mounts(fstype, "ro"), Access::Read, None);
        assert_eq!(found.unwrap().way, Way::Look, "{fstype}");
    }
    let found = target(Some(&record(UpperKind::Dir, None)), &mounts("ext4", "rw"), Access::Read, None);
    assert_eq!(found.unwrap().way, Way::Look);
    assert!(target(None, &mounts("ext4", "ro"), Access::Read, None).is_err());
}

#[test]
fn a_lower_below_ram_is_remounted() {
    let found = target(Some(&record(UpperKind::Tmpfs, None)), &mounts("ext4", "ro"), WRITE, None).unwrap();
    assert_eq!((found.lower.as_str(), found.way, found.protect), ("/run/rootfsbase", Way::Remount, None));
    // Left writable by a shell that was killed: it is put right in the end.
    let found = target(Some(&record(UpperKind::Device, Some("/dev/vdb"))), &mounts("ext4", "rw"), WRITE, None);
    assert_eq!(found.unwrap().way, Way::Remount);
}

#[test]
fn a_file_system_that_is_written_anyway_needs_no_remount() {
    for (upper, device, way) in [
        (UpperKind::Dir, None, Way::View),
        (UpperKind::Subvol, None, Way::View),
        (UpperKind::Loop, None, Way::View),
        (UpperKind::Loop, Some("/dev/vdb"), Way::Remount),
    ] {
        let found = target(Some(&record(upper, device)), &mounts("xfs", "rw"), WRITE, Some("/u".into())).unwrap();
        assert_eq!((found.way, found.protect.as_deref()), (way, Some("/u")), "{upper:?}");
    }
    // Fedora's /home is a subvolume of the same btrfs.
    let mut mounts = mounts("btrfs", "rw");
    mounts.push(mount("/home", "btrfs", "254:0", "rw", "rw"));
    assert_eq!(target(Some(&record(UpperKind::Tmpfs, None)), &mounts, WRITE, None).unwrap().way, Way::View);
}

#[test]
fn what_is_refused_and_why() {
    let tmpfs = record(UpperKind::Tmpfs, None);
    let why = |record: Option<&Record>, mounts: &[Mount], ro: bool| {
        target(record, mounts, Access::Write { device_read_only: ro }, None).unwrap_err()
    };
    assert!(why(None, &mounts("ext4", "ro"), false).contains("no record"));
    assert!(why(Some(&tmpfs), &mounts("ext4", "ro"), true).contains("/dev/vda is read-only"));
    for (fstype, want) in [
        ("nfs4", "other machines"),
        ("9p", "other machines"),
        ("squashfs", "overlayctl image build"),
        ("erofs", "read-only image"),
        ("overlay", "are not kept"),
    ] {
        let text = why(Some(&tmpfs), &mounts(fstype, "ro"), false);
        assert!(text.contains(want), "{fstype}: {text}");
    }
    let plain = mounts("ext4", "rw").into_iter().take(2).collect::<Vec<_>>();
    assert!(why(Some(&tmpfs), &plain, false).contains("not managed"));
    let gone = vec![mount("/", "overlay", "0:40", "rw", "rw")];
    assert!(why(Some(&tmpfs), &gone, false).contains("not mounted"));
}

#[test]
fn what_of_the_system_is_seen_inside() {
    let mut mounts = mounts("ext4", "ro");
    for (at, fstype) in [
        ("/home", "ext4"),
        ("/var/lib/x", "autofs"),
        ("/srv", "autofs"),
        ("/efi", "autofs"),
        ("/boot/efi", "autofs"),
        ("/boot", "ext4"),
        ("/boot/efi", "vfat"),
        ("/boot/firmware", "vfat"),
        ("/mnt/usb", "vfat"),
        ("/tmp", "tmpfs"),
        ("/var/lib/x", "ext4"),
        ("/run/user", "ext4"),
    ] {
        mounts.push(mount(at, fstype, "8:1", "rw", "rw"));
    }
    let fstab =
        "LABEL=h /home ext4\nLABEL=s /srv ext4\nLABEL=x /var/lib/x/ ext4\ntmpfs /tmp tmpfs\nLABEL=r /run/user ext4\n";
    // what is to be looked at first is mounted by that, for a boot loader alone
    assert_eq!(submounts(&mounts, fstab), ["/home", "/efi", "/boot", "/boot/efi", "/boot/firmware", "/var/lib/x"]);
}
