// SPDX-License-Identifier: GPL-2.0-or-later
//! Rules of the decision that a golden plan does not make obvious.
use super::*;
use crate::config::Inputs;
use crate::facts::device::{Device, Lookup};
use crate::facts::{Kernel, Rival};
use crate::parse::cmdline::Source;
use crate::plan::fallback::{Why, fallback};
use crate::step::Step;
use crate::step::effective::{RootKind, UpperKind};

fn config(cmdline: &str) -> Config {
    Config::read(&Inputs { cmdline: vec![Source::new("/proc/cmdline", cmdline)], ..Inputs::default() })
}

fn facts() -> Facts {
    Facts {
        root: Some(Root { source: "/dev/vda".into(), fstype: "ext4".into(), devno: "254:0".into(), ..Root::default() }),
        kernel: Kernel { overlay: true, ..Kernel::default() },
        ..Facts::default()
    }
}

fn found(change: impl FnOnce(&mut Device)) -> Facts {
    let mut device = Device { path: "/dev/vdb".into(), fstype: "ext4".into(), ..Device::default() };
    change(&mut device);
    Facts { device: Some(Lookup::Found(device)), ..facts() }
}

fn refused(cmdline: &str, facts: &Facts) -> (&'static str, RootKind, UpperKind) {
    match decide(&config(cmdline), facts) {
        Decision::Instead(refusal, plan) => (refusal.code, plan.effective.root, plan.effective.upper),
        other @ (Decision::Off | Decision::NotYet | Decision::Do(_)) => panic!("{cmdline}: {other}"),
    }
}

#[test]
fn off_and_not_yet() {
    assert_eq!(decide(&config(""), &facts()), Decision::Off);
    assert_eq!(decide(&config("rd.overlay=0"), &Facts::default()), Decision::Off);
    // The root may still have an /etc/overlayroot.conf to read.
    assert_eq!(decide(&config(""), &Facts::default()), Decision::NotYet);
    assert_eq!(decide(&config("rd.overlay"), &Facts::default()), Decision::NotYet);
}

#[test]
fn every_policy_for_a_missing_device() {
    let ask = |policy: &str| refused(&format!("rd.overlay=LABEL=x rd.overlay.fallback={policy}"), &facts());
    assert_eq!(ask("tmpfs"), ("device-missing", RootKind::Overlay, UpperKind::Tmpfs));
    assert_eq!(ask("ro"), ("device-missing", RootKind::Ro, UpperKind::None));
    assert_eq!(ask("none"), ("device-missing", RootKind::Plain, UpperKind::None));
    assert_eq!(ask("halt"), ("device-missing", RootKind::None, UpperKind::None));
}

#[test]
fn a_device_that_must_not_be_written_is_refused() {
    let code = |facts: &Facts| refused("rd.overlay=/dev/vdb", facts).0;
    assert_eq!(code(&found(|d| d.fstype = "vfat".into())), "foreign-file-system");
    assert_eq!(code(&found(|d| d.fstype = String::new())), "no-file-system");
    assert_eq!(code(&found(|d| d.mounted_at = vec!["/sysroot".into()])), "device-in-use");
    assert_eq!(code(&found(|d| d.held_by = vec!["dm-0".into()])), "device-in-use");
}

#[test]
fn a_device_of_the_roots_is_known_by_its_number() {
    let why = |root: Root, device: Device| {
        let facts = Facts { root: Some(root), ..found(|found| *found = device) };
        match decide(&config("rd.overlay=/dev/x"), &facts) {
            Decision::Instead(refusal, _) => (refusal.code, refusal.text),
            other @ (Decision::Off | Decision::NotYet | Decision::Do(_)) => panic!("{other}"),
        }
    };
    let root = |source: &str, fstype: &str, devno: &str, devices: &[&str]| Root {
        source: source.into(),
        fstype: fstype.into(),
        devno: devno.into(),
        devices: devices.iter().map(|device| (*device).to_owned()).collect(),
        fingerprint: crate::facts::Fingerprint { uuid: "ab-1".into(), ..Default::default() },
        ..Root::default()
    };
    let device = |path: &str, devno: &str, uuid: &str| {
        let (path, devno, uuid) = (path.into(), devno.into(), uuid.into());
        Device { path, devno, uuid, fstype: "btrfs".into(), ..Device::default() }
    };
    let own = |name: &str| ("device-in-use", format!("/dev/x ({name}) is the root's own"));
    // LVM or LUKS: the mount has one path, the device another.
    let mapper = root("/dev/mapper/vg0-root", "btrfs", "0:30", &["253:0"]);
    assert_eq!(why(mapper, device("/dev/dm-0", "253:0", "")), own("/dev/dm-0"));
    let ext4 = root("/dev/mapper/vg0-root", "ext4", "253:0", &[]);
    assert_eq!(why(ext4.clone(), device("/dev/dm-0", "253:0", "")), own("/dev/dm-0"));
    let two = root("/dev/vda", "btrfs", "0:30", &["254:0", "254:16"]);
    assert_eq!(why(two, device("/dev/vdb", "254:16", "")), own("/dev/vdb"));
    let (code, text) = why(ext4, device("/dev/loop1", "7:1", "AB-1"));
    assert!(code == "device-in-use" && text.contains("has the UUID of the root: the same"), "{text}");
    // The root's path for another device: it was renamed since.
    let renamed = root("/dev/sda", "btrfs", "0:30", &["8:0"]);
    let facts = Facts { root: Some(renamed), ..found(|found| *found = device("/dev/sda", "8:16", "cd-2")) };
    assert!(matches!(decide(&config("rd.overlay=/dev/sda"), &facts), Decision::Do(_)));
}

#[test]
fn a_btrfs_without_one_of_its_devices() {
    let lookup = Lookup::Incomplete { nodes: vec!["/dev/vdb".into()], of: 2, waited_ms: 30_040 };
    let facts = Facts { device: Some(lookup), ..facts() };
    assert_eq!(refused("rd.overlay=LABEL=x", &facts).0, "device-incomplete");
    let Decision::Instead(refusal, _) = decide(&config("rd.overlay=LABEL=x"), &facts) else { panic!() };
    assert_eq!(refusal.text, "LABEL=x is a btrfs of 2 devices, of which 1 is found after 30.0 s: /dev/vdb");
}

#[test]
fn strict_policies_take_no_mistakes() {
    assert_eq!(
        refused("rd.overlay rd.overlay.rest rd.overlay.fallback=ro", &facts()),
        ("mistakes", RootKind::Ro, UpperKind::None)
    );
    let lenient = decide(&config("rd.overlay rd.overlay.rest"), &facts());
    assert!(matches!(lenient, Decision::Do(_)));
}

#[test]
fn a_mistyped_switch_keeps_the_plain_root() {
    assert_eq!(refused("rd.overlayroot=tmpfs", &facts()), ("mistakes", RootKind::Plain, UpperKind::None));
}

#[test]
fn no_overlayfs_means_the_plain_root_not_a_second_try() {
    let facts = Facts { kernel: Kernel::default(), ..facts() };
    assert_eq!(refused("rd.overlay", &facts), ("no-overlayfs", RootKind::Plain, UpperKind::None));
}

#[test]
fn a_rival_is_left_alone() {
    let mut facts = facts();
    facts.rivals = vec![Rival { name: "systemd.volatile".into(), evidence: "systemd.volatile=overlay".into() }];
    facts.stock_hooks = vec!["/x".into()];
    let Decision::Instead(_, plan) = decide(&config("rd.overlay"), &facts) else { panic!() };
    assert_eq!((plan.effective.root, plan.steps.len()), (RootKind::Foreign, 0));
}

#[test]
fn the_stock_hooks_stand_down_whatever_the_policy() {
    let mut facts = facts();
    facts.stock_hooks = vec!["/x".into()];
    for policy in ["tmpfs", "ro", "none", "halt"] {
        let asked = config(&format!("rd.overlay=LABEL=x rd.overlay.fallback={policy}"));
        let Decision::Instead(_, plan) = decide(&asked, &facts) else { panic!() };
        assert_eq!(plan.steps[0].name(), "stand-down", "{policy}");
    }
}

#[test]
fn a_failed_ram_overlay_is_not_tried_again() {
    let plan = fallback(&config("rd.overlay"), &facts(), Why::Failed("verify"));
    assert_eq!(plan.effective.root, RootKind::Plain);
    let plan = fallback(&config("rd.overlay=tmpfs:nr_inodes=1"), &facts(), Why::Failed("verify"));
    assert_eq!(plan.effective.options, "size=50%,mode=0700");
    let plan = fallback(&config("rd.overlay=/dev/vdb"), &facts(), Why::Failed("verify"));
    assert_eq!(plan.effective.upper, UpperKind::Tmpfs);
}

#[test]
fn options_the_kernel_would_cut_are_refused() {
    let mut long = found(|_| ());
    long.kernel.on_by_default = vec!["x".repeat(5000)];
    assert_eq!(refused("rd.overlay=/dev/vdb", &long).0, "options-too-long");
}

#[test]
fn nothing_is_written_before_the_look() {
    let Decision::Do(plan) = decide(&config("rd.overlay=/dev/vdb rd.overlay.reset"), &found(|_| ())) else { panic!() };
    let names: Vec<&str> = plan.steps.iter().map(Step::name).collect();
    let at = |name| names.iter().position(|n| *n == name).unwrap();
    assert!(at("look") < at("check") && at("check") < at("mount-device") && at("mount-device") < at("reset"));
    assert!(at("reset") < at("make-upper") && at("verify") > at("mount-overlay"));
}
