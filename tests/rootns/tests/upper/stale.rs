// SPDX-License-Identifier: GPL-2.0-or-later
//! Uppers that were begun on another lower: each policy, with real mounts.
use overlayroot_rootns::{Stage, on_stage, on_stage_made, run};
use serde_json::Value;
use std::fs;
use std::time::Duration;

const STATUS: &str = "/sysroot/var/lib/dpkg/status";

/// Gives the lower a package database before any upper is begun.
fn install(stage: &Stage) {
    stage.mount_root("rw");
    fs::create_dir_all("/sysroot/var/lib/dpkg").unwrap();
    fs::write(STATUS, "old").unwrap();
    fs::create_dir_all("/sysroot/etc/tree/deep").unwrap();
    fs::write("/sysroot/etc/tree/deep/file", "old").unwrap();
    stage.mount_root("ro");
}

/// What an upgrade of the lower does, from outside, later than the upper was begun.
fn upgrade(stage: &Stage) {
    std::thread::sleep(Duration::from_millis(1100));
    stage.mount_root("rw");
    for file in [STATUS, "/sysroot/etc/hostname", "/sysroot/etc/tree/deep/file"] {
        fs::write(file, "new").unwrap();
    }
    stage.mount_root("ro");
}

/// Changes of an ordinary boot: a file written, a tree replaced, a file of its own.
fn work() {
    fs::write("/sysroot/etc/hostname", "mine").unwrap();
    fs::write("/sysroot/etc/fstab", "mine").unwrap();
    run("rm", &["-r", "/sysroot/etc/tree"]);
    fs::create_dir("/sysroot/etc/tree").unwrap();
    fs::write("/sysroot/etc/own", "mine").unwrap();
}

/// The paths listed, and whether the list is whole.
fn shadows(record: &Value) -> (Vec<String>, bool) {
    let listed = record["stale"]["shadows"]["paths"].as_array().unwrap_or_else(|| panic!("{record:#}"));
    let paths = listed.iter().map(|entry| format!("{} {}", entry["path"], entry["kind"]).replace('"', ""));
    (paths.collect(), record["stale"]["shadows"]["complete"] == true)
}

/// An upper kind by its arguments: begun, the lower changed, and then every policy in a row.
/// `inside`: where in a kept upper its files lie.
fn every_policy(stage: &Stage, upper: &str, base: &str, inside: &str) {
    install(stage);
    let first = stage.assemble(upper);
    assert_eq!((&first["outcome"], &first["stale"]), (&"applied".into(), &Value::Null), "{first:#}");
    work();
    stage.reboot();
    assert_eq!(stage.assemble(upper)["stale"], Value::Null, "the same lower");
    stage.reboot();
    upgrade(stage);

    let kept = stage.assemble(&format!("{upper} rd.overlay.stale=keep"));
    assert_eq!(kept["stale"]["action"], "kept", "{kept:#}");
    stage.reboot();
    for _ in 0..2 {
        let warned = stage.assemble(upper);
        assert_eq!(warned["outcome"], "applied", "{warned:#}");
        assert_eq!(
            (&warned["stale"]["action"], &warned["stale"]["differs"][0]),
            (&"warned".into(), &"packages".into())
        );
        let want = vec!["/etc/hostname file".to_owned(), "/etc/tree directory".to_owned()];
        assert_eq!(shadows(&warned), (want, true), "{warned:#}");
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "mine");
        stage.reboot();
    }
    let parked = stage.assemble(&format!("{upper} rd.overlay.stale=park"));
    assert_eq!((&parked["outcome"], &parked["stale"]["action"]), (&"applied".into(), &"parked".into()), "{parked:#}");
    assert_eq!(parked["effective"]["reset"], true);
    assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "new");
    assert_eq!(fs::read_to_string(format!("{base}/overlay.1{inside}/etc/hostname")).unwrap(), "mine");
    work();
    stage.reboot();
    assert_eq!(stage.assemble(&format!("{upper} rd.overlay.stale=park"))["stale"], Value::Null, "parked twice");
    stage.reboot();
    upgrade(stage);
    let reset = stage.assemble(&format!("{upper} rd.overlay.stale=reset"));
    assert_eq!((&reset["outcome"], &reset["stale"]["action"]), (&"applied".into(), &"reset".into()), "{reset:#}");
    assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "new");
    assert!(fs::exists(format!("{base}/.overlayroot/trash/upper.0{inside}/etc/own")).unwrap());
    assert!(fs::exists(format!("{base}/overlay.1{inside}/etc/own")).unwrap(), "the parked one is not the reset's");
}

#[test]
fn a_device() {
    on_stage("stale-device", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        every_policy(stage, &format!("rd.overlay={}", disk.node), "/run/overlayfs-backing", "");
    });
}

#[test]
fn a_directory_of_the_root() {
    on_stage("stale-dir", |stage| {
        every_policy(stage, "rd.overlay=dir:/store/upper", "/run/initramfs/overlayroot/root/store/upper", "");
    });
}

#[test]
fn a_loop_file() {
    overlayroot_rootns::on_stage_with("stale-loop", "ext4", 80, |stage| {
        every_policy(stage, "rd.overlay=loop:/upper.img,size=24M", "/run/overlayfs-backing", "");
    });
}

#[test]
fn a_subvolume() {
    overlayroot_rootns::on_stage_with("stale-subvol", "btrfs", 160, |stage| {
        every_policy(stage, "rd.overlay=subvol:keep", "/run/initramfs/overlayroot/root/keep", "/upper");
        let text = stage.overlayctl_inside(&["stale", "--upper", "overlay.1"]);
        let text = String::from_utf8_lossy(&text.stdout).into_owned();
        assert!(text.contains("file       /etc/hostname"), "{text}");
    });
}

#[test]
fn readonly_says_so_and_writes_nothing() {
    on_stage("stale-readonly", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        let upper = format!("rd.overlay={}", disk.node);
        install(stage);
        stage.assemble(&upper);
        work();
        stage.reboot();
        upgrade(stage);
        let before = disk.bytes();
        let record = stage.assemble(&format!("{upper} rd.overlay.readonly rd.overlay.stale=reset"));
        assert_eq!(
            (&record["outcome"], &record["stale"]["action"]),
            (&"applied".into(), &"warned".into()),
            "{record:#}"
        );
        stage.reboot();
        assert!(before == disk.bytes(), "the device was written to");
    });
}

#[test]
fn the_host_lists_accepts_and_restores() {
    on_stage("stale-host", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        let upper = format!("rd.overlay={}", disk.node);
        let ctl = |args: &[&str]| {
            let output = stage.overlayctl_inside(args);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
        };
        install(stage);
        stage.assemble(&upper);
        assert_eq!(ctl(&["stale"]).0, Some(0));
        work();
        stage.reboot();
        upgrade(stage);
        stage.assemble(&upper);
        let (code, text) = ctl(&["stale"]);
        assert_eq!(code, Some(1), "{text}");
        for want in [
            "STALE",
            "packages",
            "file       /etc/hostname",
            "directory  /etc/tree",
            "2 changed files of the lower are hidden",
        ] {
            assert!(text.contains(want), "no {want}: {text}");
        }
        for (schema, args) in [("stale", &["stale", "--json"]), ("status", &["status", "--json"])] {
            let found = overlayroot_rootns::schema::holds(schema, &ctl(args).1);
            assert!(!found["stale"].is_null(), "{found:#}");
        }
        let record = fs::read_to_string("/run/overlayroot/state.json").unwrap();
        overlayroot_rootns::schema::holds("record", &record);
        let (code, text) = ctl(&["status"]);
        assert!(code == Some(1) && text.contains("2 changed files of the lower are hidden"), "{text}");
        assert_eq!(ctl(&["check"]), (Some(0), String::new()));
        assert_eq!(ctl(&["stale", "accept"]).0, Some(0));
        assert_eq!((ctl(&["stale"]).0, ctl(&["status"]).0), (Some(0), Some(0)));
        stage.reboot();
        assert_eq!(stage.assemble(&upper)["stale"], Value::Null);
        // Parked once, an upper comes back by hand and stays.
        stage.reboot();
        upgrade(stage);
        let park = format!("{upper} rd.overlay.stale=park");
        assert_eq!(stage.assemble(&park)["stale"]["action"], "parked");
        assert_eq!(ctl(&["stale", "--upper", "overlay.1"]).0, Some(1));
        assert_eq!(ctl(&["uppers", "restore", "overlay.1"]).0, Some(0));
        stage.reboot();
        let restored = stage.assemble(&park);
        assert_eq!(restored["stale"]["action"], "accepted", "{restored:#}");
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "mine");
        stage.reboot();
        assert_eq!(stage.assemble(&park)["stale"], Value::Null);
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "mine");
    });
}

#[test]
fn the_lowers_uuid_is_that_which_blkid_shows() {
    // To libblkid an ext4 without what is its own is an ext3; the kernel mounts it by the name that it is told.
    const EXT3: [&str; 2] = ["-O", "^extent,^64bit,^metadata_csum,^huge_file,^dir_nlink,^extra_isize,^flex_bg"];
    let none: &'static [&'static str] = &[];
    for (name, fstype, mib, mkfs) in [
        ("ext4", "ext4", 24, none),
        ("ext3", "ext4", 24, &EXT3),
        ("xfs", "xfs", 320, none),
        ("btrfs", "btrfs", 160, none),
    ] {
        on_stage_made(&format!("uuid-{name}"), fstype, mib, mkfs, move |stage| {
            let shown = |tag: &str| run("blkid", &["-p", "-o", "value", "-s", tag, &stage.root.node]).trim().to_owned();
            assert_eq!(shown("TYPE"), name);
            let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
            let record = stage.assemble(&format!("rd.overlay={}", disk.node));
            assert_eq!(record["outcome"], "applied", "{record:#}");
            assert_eq!(record["fingerprint"]["uuid"].as_str().unwrap(), shown("UUID"));
            assert_eq!(record["fingerprint"]["fstype"], fstype);
        });
    }
}
