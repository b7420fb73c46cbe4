// SPDX-License-Identifier: GPL-2.0-or-later
//! Resets at each boot and once, uppers that are kept and come back, and the trash.
use overlayroot_rootns::cost::boot;
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{Stage, on_stage, on_stage_with, run};
use serde_json::Value;
use std::fs;
use std::path::Path;

const DEVICE: &str = "/run/initramfs/overlayroot/upper";

fn notes(record: &Value) -> String {
    record["notes"].to_string()
}

fn write(name: &str) {
    fs::write(format!("/sysroot/etc/{name}"), "x").unwrap();
}

fn has(name: &str) -> bool {
    fs::exists(format!("/sysroot/etc/{name}")).unwrap()
}

fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn refused(args: &[&str]) -> String {
    let output = std::process::Command::new("/overlayctl").args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_full_upper_is_reset_and_usable() {
    on_stage("full", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4", "-m", "0"]);
        boot(stage, &disk, "");
        stage.overlayctl(&["reset"]);
        let filled = std::process::Command::new("dd")
            .args(["if=/dev/zero", "of=/sysroot/full", "bs=64k", "status=none"])
            .output();
        assert!(!filled.unwrap().status.success(), "the upper did not fill up");
        stage.reboot();
        let record = boot(stage, &disk, "");
        assert_eq!(record["effective"]["reset"], true);
        assert!(notes(&record).contains("space was low"), "{record:#}");
        fs::write("/sysroot/room", vec![1; 2 << 20]).unwrap();
    });
}

#[test]
fn a_reset_that_is_asked_for_happens_once() {
    on_stage("once", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        boot(stage, &disk, "");
        write("one");
        fs::write(format!("{DEVICE}/mine"), "keep").unwrap();
        stage.overlayctl(&["reset", "--keep"]);
        assert!(stage.overlayctl(&["uppers"]).contains("at the next boot: reset; the old upper will be kept"));
        stage.overlayctl(&["reset", "--cancel"]);
        stage.reboot();
        assert_eq!(boot(stage, &disk, "")["effective"]["reset"], false);
        assert!(has("one"));
        stage.overlayctl(&["reset"]);
        stage.reboot();
        let record = boot(stage, &disk, "");
        assert_eq!(record["effective"]["reset"], true, "{record:#}");
        assert!(notes(&record).contains("in the trash"), "{record:#}");
        assert!(!has("one"));
        assert_eq!(fs::read_to_string(format!("{DEVICE}/mine")).unwrap(), "keep");
        write("two");
        stage.reboot();
        assert_eq!(boot(stage, &disk, "")["effective"]["reset"], false);
        assert!(has("two"));
    });
}

/// Keep, list, restore, remove, with the upper on a device or in a directory.
fn exchange(stage: &Stage, cmdline: &str, at: &str) {
    let boot = || {
        let record = stage.assemble(cmdline);
        assert_eq!(record["outcome"], "applied", "{record:#}");
        record
    };
    boot();
    write("one");
    stage.overlayctl(&["reset", "--keep"]);
    stage.reboot();
    let record = boot();
    assert!(notes(&record).contains("kept as overlay.1"), "{record:#}");
    assert!(record["effective"]["reset"] == true && !has("one"));
    write("two");
    let list = overlayroot_rootns::schema::holds("uppers", &stage.overlayctl(&["uppers", "--json"]));
    let row = |number: usize, key: &str| list["uppers"][number][key].clone();
    assert_eq!((row(0, "name"), row(0, "current")), ("overlay".into(), true.into()), "{list:#}");
    assert_eq!((row(1, "name"), row(1, "current")), ("overlay.1".into(), false.into()), "{list:#}");
    assert!(row(1, "files").as_u64().unwrap() >= 1 && row(1, "bytes").as_u64().unwrap() > 0);
    assert!(refused(&["uppers", "restore", "overlay.7"]).contains("not a kept upper"));
    assert!(refused(&["uppers", "remove", "overlay"]).contains("in use"));
    stage.overlayctl(&["uppers", "describe", "overlay.1", "the first"]);
    assert!(refused(&["uppers", "describe", "overlay.7", "x"]).contains("not an upper here"));
    assert!(stage.overlayctl(&["uppers"]).contains("UTC  the first"));
    stage.overlayctl(&["uppers", "restore", "overlay.1"]);
    assert!(refused(&["uppers", "remove", "overlay.1"]).contains("will be restored"));
    stage.reboot();
    let record = boot();
    assert!(notes(&record).contains("overlay.1 is the upper now, the one before is kept as overlay.2"), "{record:#}");
    assert!(record["effective"]["reset"] == false && has("one") && !has("two"));
    assert!(!Path::new(&format!("{at}/overlay.1")).exists() && Path::new(&format!("{at}/overlay.2")).exists());
    let list = overlayroot_rootns::schema::holds("uppers", &stage.overlayctl(&["uppers", "--json"]));
    let said = |number: usize| list["uppers"][number]["description"].clone();
    assert_eq!((said(0), said(1)), ("the first".into(), serde_json::Value::Null), "it goes where the upper goes");
    stage.overlayctl(&["uppers", "remove", "overlay.2"]);
    assert!(!Path::new(&format!("{at}/overlay.2")).exists());
    assert!(!stage.overlayctl(&["uppers"]).contains("overlay.2"));
    stage.overlayctl(&["trash", "empty"]);
    assert!(names(&format!("{at}/.overlayroot/trash")).is_empty());
    assert_eq!(names(&format!("{at}/.overlayroot")), ["overlay.json", "trash"]);
    stage.reboot();
    boot();
    assert!(has("one"));
}

#[test]
fn uppers_are_exchanged_on_a_device() {
    on_stage("exchange", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        exchange(stage, &format!("rd.overlay={}", disk.node), DEVICE);
    });
}

#[test]
fn uppers_are_exchanged_in_a_directory() {
    for (fstype, mib) in [("ext4", 48), ("xfs", 300), ("btrfs", 160)] {
        on_stage_with(&format!("exchange{fstype}"), fstype, mib, |stage| {
            exchange(stage, "rd.overlay=dir:/var/upper", "/run/initramfs/overlayroot/root/var/upper");
        });
    }
}

#[test]
fn uppers_are_exchanged_under_ubuntus_names() {
    on_stage("exchangeubuntu", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        exchange(stage, &format!("overlayroot=device:dev={}", disk.node), DEVICE);
    });
}

#[test]
fn what_a_cut_left_is_completed() {
    on_stage("cut", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        let half = |moves: &[(&str, &str)]| {
            run("mount", &[&disk.node, "/mnt"]);
            for (from, to) in moves {
                fs::rename(format!("/mnt/{from}"), format!("/mnt/{to}")).unwrap();
            }
            unmount("/mnt");
        };
        boot(stage, &disk, "");
        write("one");
        stage.overlayctl(&["reset", "--keep"]);
        stage.reboot();
        half(&[(".overlayroot/overlay.json", ".overlayroot/overlay.1.json"), ("overlay", "overlay.1")]);
        assert_eq!(boot(stage, &disk, "")["effective"]["reset"], true);
        assert!(!has("one") && Path::new(&format!("{DEVICE}/overlay.1/etc/one")).exists());
        assert!(!Path::new(&format!("{DEVICE}/overlay.2")).exists());
        write("two");
        stage.overlayctl(&["uppers", "restore", "overlay.1"]);
        stage.reboot();
        half(&[(".overlayroot/overlay.json", ".overlayroot/overlay.2.json"), ("overlay", "overlay.2")]);
        boot(stage, &disk, "");
        assert!(has("one") && Path::new(&format!("{DEVICE}/overlay.2/etc/two")).exists());
        stage.overlayctl(&["reset"]);
        stage.reboot();
        run("mount", &[&disk.node, "/mnt"]);
        fs::create_dir_all("/mnt/.overlayroot/trash").unwrap();
        unmount("/mnt");
        half(&[("overlay", ".overlayroot/trash/upper.9")]);
        assert_eq!(boot(stage, &disk, "")["effective"]["reset"], true);
        assert!(!has("one"));
        stage.reboot();
        assert_eq!(boot(stage, &disk, "")["effective"]["reset"], false);
    });
}

#[test]
fn read_only_the_marker_waits() {
    on_stage("waits", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        boot(stage, &disk, "");
        write("one");
        stage.overlayctl(&["reset"]);
        stage.reboot();
        let before = disk.bytes();
        let record = stage.assemble(&format!("rd.overlay={} rd.overlay.readonly", disk.node));
        assert!(notes(&record).contains("waits") && has("one"), "{record:#}");
        assert_eq!(record["effective"]["reset"], false);
        assert!(refused(&["reset"]).contains("rd.overlay.readonly"));
        stage.reboot();
        assert!(before == disk.bytes(), "the device was written to");
        assert_eq!(boot(stage, &disk, "")["effective"]["reset"], true);
        assert!(!has("one"));
    });
}

#[test]
fn both_kinds_of_reset_together_lose_no_kept_upper() {
    on_stage("both", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        boot(stage, &disk, "");
        write("one");
        stage.overlayctl(&["reset", "--keep"]);
        stage.reboot();
        boot(stage, &disk, "rd.overlay.reset");
        assert!(Path::new(&format!("{DEVICE}/overlay.1/etc/one")).exists());
        assert!(refused(&["uppers", "restore", "overlay.1"]).contains("rd.overlay.reset"));
        stage.reboot();
        boot(stage, &disk, "");
        stage.overlayctl(&["uppers", "restore", "overlay.1"]);
        stage.reboot();
        let record = boot(stage, &disk, "rd.overlay.reset");
        assert!(notes(&record).contains("not restored"), "{record:#}");
        assert!(Path::new(&format!("{DEVICE}/overlay.1/etc/one")).exists());
    });
}

#[test]
fn an_upper_in_ram_is_refused() {
    on_stage("ram", |stage| {
        stage.assemble("rd.overlay");
        for args in [&["reset"][..], &["reset", "--cancel"], &["uppers"], &["uppers", "remove", "overlay.1"]] {
            assert!(refused(args).contains("in RAM"), "{args:?}");
        }
        assert_eq!(stage.overlayctl(&["trash", "empty"]), "");
        stage.reboot();
        stage.assemble("rd.overlay=0");
        assert!(refused(&["reset"]).contains("not managed by overlayroot-rs"));
    });
}
