// SPDX-License-Identifier: GPL-2.0-or-later
//! Single paths of an upper are discarded at the next boot.
use overlayroot_rootns::{Stage, on_stage, on_stage_with, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;

fn boot(stage: &Stage, cmdline: &str) -> Value {
    let record = stage.assemble(cmdline);
    assert_eq!(record["outcome"], "applied", "{record:#}");
    record
}

fn refused(args: &[&str]) -> String {
    let output = std::process::Command::new("/overlayctl").args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lower(stage: &Stage) {
    stage.mount_root("rw");
    fs::create_dir_all("/sysroot/srv/replaced").unwrap();
    fs::write("/sysroot/srv/replaced/file", "lower").unwrap();
    fs::write("/sysroot/srv/gone", "lower").unwrap();
    stage.mount_root("ro");
}

/// One file, one that was removed, a new directory and a replaced one; the rest stays.
fn reverts(stage: &Stage, cmdline: &str) {
    lower(stage);
    boot(stage, cmdline);
    fs::write("/sysroot/etc/hostname", "changed\n").unwrap();
    fs::remove_file("/sysroot/srv/gone").unwrap();
    fs::create_dir_all("/sysroot/new/deep").unwrap();
    fs::write("/sysroot/new/deep/file", "x").unwrap();
    fs::write("/sysroot/new/stays", "x").unwrap();
    fs::remove_dir_all("/sysroot/srv/replaced").unwrap();
    fs::create_dir("/sysroot/srv/replaced").unwrap();
    fs::write("/sysroot/srv/replaced/file", "upper").unwrap();
    fs::write("/sysroot/etc/stays", "x").unwrap();
    assert!(refused(&["revert", "/"]).contains("see overlayctl reset"));
    assert!(refused(&["revert", "/etc/fstab"]).contains("nothing is changed at /etc/fstab"));
    assert!(refused(&["revert", "/srv/replaced/file"]).contains("/srv/replaced takes the place of the lower's"));
    let listed = stage.overlayctl_inside(&["revert", "-n", "/etc/hostname", "/srv/replaced"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("M /etc/hostname") && listed.contains("would be lost"), "{listed}");
    let said = stage.overlayctl(&["revert", "/etc/hostname", "/srv/gone", "/new/deep"]);
    assert!(said.contains("/srv/gone; the changes there will be lost"), "{said}");
    assert!(refused(&["commit"]).contains("the next boot is asked for something else"));
    assert!(stage.overlayctl(&["revert", "--cancel"]).contains("cancelled"));
    stage.overlayctl(&["revert", "/etc/hostname", "/srv/gone", "/new/deep"]);
    // One more, and what was asked for before.
    stage.overlayctl(&["revert", "/srv/replaced"]);
    assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "changed\n", "nothing before the next boot");
    stage.reboot();
    let record = boot(stage, cmdline);
    assert!(record["notes"].to_string().contains("4 paths reverted"), "{record:#}");
    assert_eq!(record["effective"]["reset"], false);
    assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "lower\n");
    for path in ["/sysroot/srv/gone", "/sysroot/srv/replaced/file"] {
        assert_eq!(fs::read_to_string(path).unwrap(), "lower", "{path}");
    }
    assert!(!fs::exists("/sysroot/new/deep").unwrap());
    assert!(fs::exists("/sysroot/new/stays").unwrap() && fs::exists("/sysroot/etc/stays").unwrap());
    assert!(stage.overlayctl(&["trash", "empty"]).contains("removed"));
    stage.reboot();
    let record = boot(stage, cmdline);
    assert!(!record["notes"].to_string().contains("reverted"), "{record:#}");
}

#[test]
fn paths_of_a_device() {
    on_stage("device", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        reverts(stage, &format!("rd.overlay={}", disk.node));
    });
}

#[test]
fn paths_of_a_directory() {
    on_stage("dir", |stage| reverts(stage, "rd.overlay=dir:/var/upper"));
}

#[test]
fn paths_of_a_subvolume() {
    on_stage_with("subvol", "btrfs", 160, |stage| reverts(stage, "rd.overlay=subvol:overlay"));
}

#[test]
fn no_link_of_the_upper_is_followed() {
    on_stage("links", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        boot(stage, &cmdline);
        fs::write("/etc/outside", "x").unwrap();
        symlink("/etc", "/sysroot/way").unwrap();
        let at = "/run/initramfs/overlayroot/upper/.overlayroot/overlay.commit.json";
        fs::write(at, "{\"revert\": [\"/way/outside\"]}").unwrap();
        stage.reboot();
        let record = boot(stage, &cmdline);
        let notes = record["notes"].to_string();
        assert!(notes.contains("/way/outside stays in the upper: /way takes the place"), "{notes}");
        assert!(fs::exists("/etc/outside").unwrap() && fs::symlink_metadata("/sysroot/way").unwrap().is_symlink());
        run("rm", &["/etc/outside"]);
    });
}

/// A lower that can't be written, as an image, is none of its business, and neither is its mount.
#[test]
fn the_lower_stays_closed() {
    on_stage("closed", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        boot(stage, &cmdline);
        fs::write("/sysroot/etc/hostname", "changed\n").unwrap();
        stage.overlayctl(&["revert", "/etc/hostname"]);
        stage.reboot();
        let script = "#!/bin/sh\ngrep ' /sysroot ' /proc/self/mountinfo >/seen\nexec /real \"$@\"\n";
        fs::rename("/overlay-commit", "/real").unwrap();
        fs::write("/overlay-commit", script).unwrap();
        run("chmod", &["755", "/overlay-commit"]);
        boot(stage, &cmdline);
        fs::rename("/real", "/overlay-commit").unwrap();
        let seen = fs::read_to_string("/seen").unwrap();
        assert!(seen.contains(" ro,") && seen.trim_end().ends_with("ro"), "{seen}");
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "lower\n");
    });
}
