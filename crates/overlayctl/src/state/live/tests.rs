// SPDX-License-Identifier: GPL-2.0-or-later
use super::*;
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::layout::Store;
use overlayroot_core::record::{Requested, SCHEMA};
use overlayroot_core::step::path::Kind;

fn record() -> Record {
    Record {
        schema: SCHEMA,
        version: String::new(),
        boot_id: String::new(),
        outcome: Outcome::Applied,
        requested: Requested::of(&Config::read(&Inputs::default())),
        effective: Effective::plain(RootKind::Plain),
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

/// What an overlay as it was asked for looks like.
fn as_asked() -> Live {
    Live {
        root_fstype: "overlay".into(),
        root_source: "LiveOS_rootfs".into(),
        root_writable: true,
        lower: None,
        lower_read_only: true,
        lower_holds_upper: false,
        lower_shared_with: None,
        upper: None,
        lost_paths: Vec::new(),
        lost_mounts: Vec::new(),
    }
}

fn mount(at: &str, devno: &str, options: &str) -> Mount {
    Mount { at: at.into(), devno: devno.into(), options: options.into(), ..Mount::default() }
}

#[test]
fn a_lower_that_holds_the_upper_may_be_written() {
    let record =
        Record { effective: Effective { upper: UpperKind::Loop, ..Effective::plain(RootKind::Overlay) }, ..record() };
    let mut live = Live {
        lower: Some("ext4 /dev/vda on /run/rootfsbase".into()),
        lower_read_only: false,
        lower_holds_upper: true,
        ..as_asked()
    };
    assert_eq!(problems(Some(&record), true, &live), []);
    live.lower_holds_upper = false;
    assert_eq!(problems(Some(&record), true, &live).len(), 1);
}

#[test]
fn an_image_that_is_not_kept_is_a_warning_and_the_boot_as_asked() {
    let why = overlayroot_core::value::why::Why { code: "no-room".into(), text: "it is full".into() };
    let image = Fetched { cache: "LABEL=x".into(), why: Some(why), ..Fetched::default() };
    let mut record = Record { image: Some(image), ..record() };
    let live = as_asked();
    let text = "the image is not kept on LABEL=x (no-room): it is full".to_owned();
    assert_eq!(problems(Some(&record), true, &live), [(Level::Warning, text)]);
    record.image = Some(Fetched::default());
    assert_eq!(problems(Some(&record), true, &live), []);
}

#[test]
fn a_path_that_lost_its_mount_is_named() {
    let state = |path: &str, kind| PathState {
        path: path.into(),
        kind,
        files: false,
        preset: None,
        outcome: PathOutcome::Done,
        store: None,
        device: None,
        options: String::new(),
        why: None,
    };
    let tmpfs = Mount { fstype: "tmpfs".into(), ..mount("/srv", "0:50", "rw") };
    let mounts = [tmpfs, mount("/opt", "0:40", "rw"), mount("/home", "8:1", "rw")];
    let good = [state("/srv", Kind::Volatile), state("/home", Kind::Persist)];
    assert_eq!(lost(&good, &mounts), [] as [&str; 0]);
    let bad = [state("/opt", Kind::Readonly), state("/var/x", Kind::Bind), state("/home", Kind::Volatile)];
    assert_eq!(lost(&bad, &mounts).len(), 3);
    let files = PathState { files: true, ..state("/etc/x", Kind::Persist) };
    let failed = PathState { outcome: PathOutcome::Failed, ..state("/y", Kind::Bind) };
    assert_eq!(lost(&[files, failed], &mounts), [] as [&str; 0]);
}

#[test]
fn a_layer_that_is_not_mounted_any_more_is_named() {
    let effective = Effective {
        upper: UpperKind::Device,
        lowers: vec!["/run/overlayfs-r".into(), "/run/rootfsbase".into()],
        upper_fs: Some("/run/overlayfs-backing".into()),
        store: Some(Store::named("/run/initramfs/overlayroot/upper", "overlay")),
        ..Effective::plain(RootKind::Overlay)
    };
    let lower = mount("/run/rootfsbase", "8:1", "ro");
    let public = mount("/run/overlayfs-backing", "8:2", "ro");
    let private = mount("/run/initramfs/overlayroot/upper", "8:2", "rw");
    assert_eq!(lost_mounts(&effective, &[lower.clone(), public, private.clone()]), [] as [&str; 0]);
    assert_eq!(lost_mounts(&effective, &[lower, private]), ["/run/overlayfs-backing"]);
    assert_eq!(lost_mounts(&effective, &[]).len(), 3);
    let ram = Effective { store: None, upper_fs: Some("/run/initramfs/overlay".into()), ..effective };
    assert_eq!(lost_mounts(&ram, &[]), ["/run/rootfsbase", "/run/initramfs/overlay"]);
    assert_eq!(lost_mounts(&Effective::plain(RootKind::Plain), &[]), [] as [&str; 0]);
    let live = Live { lost_mounts: vec!["/run/rootfsbase".into()], ..as_asked() };
    let said = problems(Some(&Record { effective: ram, ..record() }), true, &live);
    assert_eq!(said, [(Level::Warning, "no longer mounted: /run/rootfsbase; reboot to get it back".to_owned())]);
}

#[test]
fn the_upper_s_fill_is_a_warning_from_the_threshold_on() {
    let record = Record { effective: Effective::plain(RootKind::Plain), ..record() };
    let full = |percent: u64| {
        let reading = Reading { bytes: 100, used: percent, available: 100 - percent, ..Reading::default() };
        let mount = Mount { fstype: "tmpfs".into(), ..mount("/run/initramfs/overlay", "0:40", "rw") };
        let upper = Fill::of(&mount, &mount.at, reading, Thresholds { warn: 50, critical: 60 });
        let live = Live { upper: Some(upper), ..as_asked() };
        problems(Some(&record), true, &live)
    };
    assert_eq!(full(49), []);
    let text = |percent| format!("the upper is {percent} % full: {percent}.0 B of 100.0 B");
    assert_eq!(full(50), [(Level::Warning, text(50))]);
    assert_eq!(full(60), [(Level::Critical, text(60))]);
}

#[test]
fn a_sibling_subvolume_that_is_written_is_named() {
    let lower = mount("/run/rootfsbase", "0:30", "ro");
    let home = mount("/home", "0:30", "rw");
    let mounts = [mount("/", "0:40", "rw"), lower.clone(), home];
    assert_eq!(servicing::sharer(&mounts, &lower).as_deref(), Some("/home"));
    assert_eq!(servicing::sharer(&mounts[..2], &lower), None);
}
