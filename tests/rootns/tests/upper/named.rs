// SPDX-License-Identifier: GPL-2.0-or-later
//! Several uppers on one file system: `rd.overlay.name`, and what `overlayctl uppers` does with those not in use.
use overlayroot_rootns::{Stage, on_stage, on_stage_with, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

const PRIVATE: &str = "/run/initramfs/overlayroot/upper";

fn boot(stage: &Stage, cmdline: &str) -> Value {
    let record = stage.assemble(cmdline);
    assert_eq!(record["outcome"], "applied", "{record:#}");
    record
}

fn refused(args: &[&str]) -> String {
    let output = std::process::Command::new("/overlayctl").args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn hostname() -> String {
    fs::read_to_string("/sysroot/etc/hostname").unwrap().trim().to_owned()
}

/// Each name has changes of its own, and what the next boot is asked for is asked of one.
fn apart(stage: &Stage, cmdline: &str, dir: &str) {
    let work = format!("{cmdline} rd.overlay.name=work");
    boot(stage, cmdline);
    fs::write("/sysroot/etc/hostname", "default\n").unwrap();
    stage.reboot();
    let record = boot(stage, &work);
    assert_eq!((&record["requested"]["name"], record["effective"]["reset"].as_bool()), (&"work".into(), Some(false)));
    assert_eq!(record["effective"]["store"]["marker"], format!("{dir}/.overlayroot/work.reset.json"));
    assert_eq!(hostname(), "lower", "a new one");
    fs::write("/sysroot/etc/hostname", "work\n").unwrap();
    let listed = stage.overlayctl(&["uppers"]);
    assert!(listed.contains("* work ") && listed.contains("  overlay "), "{listed}");
    overlayroot_rootns::schema::holds("uppers", &stage.overlayctl(&["uppers", "--json"]));
    stage.overlayctl(&["reset", "--keep"]);
    stage.reboot();
    boot(stage, cmdline);
    assert_eq!(hostname(), "default", "the other one is not reset");
    assert!(fs::exists(format!("{dir}/.overlayroot/work.reset.json")).unwrap());
    assert!(refused(&["uppers", "remove", "overlay"]).contains("is in use"));
    stage.reboot();
    boot(stage, &work);
    assert_eq!(hostname(), "lower");
    assert!(stage.overlayctl(&["uppers"]).contains("  work.1 "));
    stage.reboot();
    boot(stage, cmdline);
    stage.overlayctl(&["uppers", "rename", "work.1", "before"]);
    stage.overlayctl(&["uppers", "describe", "before", "as it was"]);
    stage.overlayctl(&["uppers", "remove", "work"]);
    let listed = stage.overlayctl(&["uppers"]);
    assert!(listed.contains("as it was") && !listed.contains("work"), "{listed}");
    assert!(refused(&["uppers", "rename", "overlay", "x"]).contains("is in use"));
    assert!(refused(&["uppers", "create", "before"]).contains("is taken"));
    assert!(refused(&["uppers", "create", "a.1"]).contains("not the name of an upper"));
    stage.overlayctl(&["uppers", "create", "empty"]);
    stage.reboot();
    boot(stage, &format!("{cmdline} rd.overlay.name=before"));
    assert_eq!(hostname(), "work");
    stage.reboot();
    let record = boot(stage, &format!("{cmdline} rd.overlay.name=empty"));
    assert_eq!((hostname().as_str(), &record["stale"]), ("lower", &Value::Null));
}

#[test]
fn on_a_device() {
    on_stage("device", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        apart(stage, &format!("rd.overlay={}", disk.node), PRIVATE);
    });
}

#[test]
fn in_a_directory() {
    on_stage("dir", |stage| apart(stage, "rd.overlay=dir:/var/upper", "/run/initramfs/overlayroot/root/var/upper"));
}

#[test]
fn in_a_subvolume() {
    on_stage_with("subvol", "btrfs", 160, |stage| {
        apart(stage, "rd.overlay=subvol:up", "/run/initramfs/overlayroot/root/up");
    });
}

#[test]
fn in_a_loop_file() {
    on_stage_with("loop", "ext4", 160, |stage| apart(stage, "rd.overlay=loop:/var/upper.img,size=64M", PRIVATE));
}

fn change() {
    fs::write("/sysroot/etc/hostname", "changed\n").unwrap();
    fs::remove_file("/sysroot/etc/fstab").unwrap();
    fs::remove_dir_all("/sysroot/srv").unwrap();
    fs::create_dir("/sysroot/srv").unwrap();
    fs::write("/sysroot/srv/one", "x").unwrap();
    fs::hard_link("/sysroot/srv/one", "/sysroot/srv/two").unwrap();
}

fn is_changed() {
    assert_eq!(hostname(), "changed");
    assert!(!fs::exists("/sysroot/etc/fstab").unwrap() && !fs::exists("/sysroot/srv/lower").unwrap());
    assert_eq!(fs::metadata("/sysroot/srv/one").unwrap().nlink(), 2);
}

fn with_srv(stage: &Stage) {
    stage.mount_root("rw");
    fs::create_dir_all("/sysroot/srv").unwrap();
    fs::write("/sysroot/srv/lower", "x").unwrap();
    stage.mount_root("ro");
}

/// The copy of a kept one shows the same tree: whiteouts, opaque directories, names of one file.
#[test]
fn a_copy_is_whole() {
    for fs_type in ["ext4", "xfs"] {
        on_stage("copy", move |stage| {
            with_srv(stage);
            let disk = stage.disk("upper.img", 320, &["-t", fs_type]);
            let cmdline = format!("rd.overlay={}", disk.node);
            boot(stage, &cmdline);
            change();
            assert!(refused(&["uppers", "clone", "overlay", "copy"]).contains("overlay is in use"));
            stage.overlayctl(&["reset", "--keep"]);
            stage.reboot();
            boot(stage, &cmdline);
            assert_eq!(hostname(), "lower");
            stage.overlayctl(&["uppers", "clone", "overlay.1", "copy"]);
            let whiteout = fs::symlink_metadata(format!("{PRIVATE}/copy/etc/fstab")).unwrap();
            assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
            stage.reboot();
            let record = boot(stage, &format!("{cmdline} rd.overlay.name=copy"));
            assert!(record["stale"].is_null(), "{record:#}");
            is_changed();
            // What it was made of is another one.
            fs::write("/sysroot/etc/hostname", "of the copy\n").unwrap();
            assert_eq!(fs::read_to_string(format!("{PRIVATE}/overlay.1/etc/hostname")).unwrap(), "changed\n");
        });
    }
}

#[test]
fn a_snapshot_is_of_the_one_in_use() {
    on_stage_with("snapshot", "btrfs", 160, |stage| {
        with_srv(stage);
        boot(stage, "rd.overlay=subvol:up");
        change();
        stage.overlayctl(&["uppers", "clone", "overlay", "before"]);
        fs::write("/sysroot/etc/hostname", "later\n").unwrap();
        stage.reboot();
        boot(stage, "rd.overlay=subvol:up rd.overlay.name=before");
        is_changed();
        stage.reboot();
        boot(stage, "rd.overlay=subvol:up");
        assert_eq!(hostname(), "later");
    });
}

#[test]
fn the_newest_stay() {
    on_stage("prune", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        for number in 1..=3_u64 {
            boot(stage, &cmdline);
            fs::write("/sysroot/etc/hostname", format!("{number}\n")).unwrap();
            stage.overlayctl(&["reset", "--keep"]);
            stage.reboot();
        }
        boot(stage, &cmdline);
        for number in 1..=3_u64 {
            let file = fs::File::options().write(true).open(format!("{PRIVATE}/.overlayroot/overlay.{number}.json"));
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000 + number);
            file.unwrap().set_modified(time).unwrap();
        }
        assert!(stage.overlayctl(&["uppers", "prune", "--keep", "3"]).contains("nothing to discard"));
        let said = stage.overlayctl(&["uppers", "prune", "--keep", "1", "-n"]);
        assert!(said.contains("overlay.1 would be") && said.contains("overlay.2 would be"), "{said}");
        let young = stage.overlayctl(&["uppers", "prune", "--keep", "0", "--older-than", "20000"]);
        assert!(young.contains("nothing to discard"), "{young}");
        stage.overlayctl(&["uppers", "restore", "overlay.1"]);
        let said = stage.overlayctl(&["uppers", "prune", "--keep", "1"]);
        assert!(said.contains("overlay.1 stays: ") && said.contains("overlay.2 was discarded"), "{said}");
        let left = stage.overlayctl(&["uppers", "--names"]);
        assert_eq!(left.lines().collect::<Vec<_>>(), ["overlay.1", "overlay.3"]);
    });
}

/// What is in the wrong upper is not what was meant: the policy decides, and nothing is written.
#[test]
fn a_name_that_is_none() {
    on_stage("bad", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        for name in ["overlay.1", "../x", "reset", ""] {
            let record = stage.assemble(&format!("rd.overlay={} rd.overlay.name={name}", disk.node));
            assert_eq!((&record["outcome"], &record["effective"]["upper"]), (&"degraded".into(), &"tmpfs".into()));
            let text = record["reasons"][0]["text"].as_str().unwrap();
            assert!(text.contains("rd.overlay.name") && text.contains("not the name of an upper"), "{record:#}");
            stage.reboot();
        }
        let record = stage.assemble(&format!("overlayroot=device:dev={} rd.overlay.name=work", disk.node));
        let text = record["reasons"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains("rd.overlay.name=work") && text.contains("whose dir= names the upper"), "{record:#}");
        stage.reboot();
        // In RAM there is one.
        let record = stage.assemble("rd.overlay rd.overlay.name=work");
        assert_eq!(record["outcome"], "applied", "{record:#}");
    });
}

#[test]
fn what_is_somebodys_is_no_upper() {
    on_stage("home", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        boot(stage, &cmdline);
        fs::create_dir(format!("{PRIVATE}/home")).unwrap();
        fs::write(format!("{PRIVATE}/home/file"), "mine").unwrap();
        assert!(refused(&["uppers", "create", "home"]).contains("is taken"));
        assert!(!stage.overlayctl(&["uppers"]).contains("home"));
        stage.reboot();
        let record = stage.assemble(&format!("{cmdline} rd.overlay.name=home rd.overlay.reset"));
        let text = record["reasons"][0]["text"].as_str().unwrap();
        assert!(record["reasons"][0]["code"] == "look" && text.contains("is not of overlayroot-rs"), "{record:#}");
        stage.reboot();
        boot(stage, &cmdline);
        assert_eq!(fs::read_to_string(format!("{PRIVATE}/home/file")).unwrap(), "mine");
    });
}

/// What a boot with another name is asked for is not forgotten, and never done with an upper that has the name later.
#[test]
fn requests_of_other_names() {
    on_stage("requests", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        let work = format!("{cmdline} rd.overlay.name=work");
        boot(stage, &work);
        fs::write("/sysroot/etc/hostname", "work\n").unwrap();
        stage.overlayctl(&["reset", "--keep"]);
        stage.reboot();
        boot(stage, &work);
        stage.overlayctl(&["uppers", "restore", "work.1"]);
        stage.reboot();
        boot(stage, &cmdline);
        for verb in
            [&["remove", "work.1"][..], &["rename", "work.1", "x"], &["rename", "work", "x"], &["remove", "work"]]
        {
            let said = refused(&[&["uppers"], verb].concat());
            assert!(said.contains("with work"), "{verb:?}: {said}");
        }
        assert!(stage.overlayctl(&["uppers", "prune", "--keep", "0"]).contains("work.1 stays: "));
        stage.reboot();
        boot(stage, &work);
        assert_eq!(hostname(), "work");
        stage.reboot();
        boot(stage, &cmdline);
        for file in ["left.reset.json", "left.commit.json"] {
            let path = format!("{PRIVATE}/.overlayroot/{file}");
            fs::write(&path, "{}").unwrap();
            assert!(refused(&["uppers", "create", "left"]).contains(file));
            fs::remove_file(path).unwrap();
        }
        // What is left of a work directory is in no one's way.
        fs::create_dir(format!("{PRIVATE}/left-work")).unwrap();
        stage.overlayctl(&["uppers", "create", "left"]);
    });
}

/// The trash may be swept while a copy is made, and files of an interrupted one are nobody's.
#[test]
fn a_copy_is_not_in_the_trash() {
    on_stage("sweep", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        boot(stage, &cmdline);
        fs::write("/sysroot/etc/hostname", "one\n").unwrap();
        stage.overlayctl(&["reset", "--keep"]);
        stage.reboot();
        boot(stage, &cmdline);
        fs::create_dir_all(format!("{PRIVATE}/.overlayroot/copy/etc/old")).unwrap();
        let script = "#!/bin/sh\n/usr/bin/cp \"$@\" && /overlayctl trash empty\n";
        fs::create_dir("/tmp/bin").unwrap();
        fs::write("/tmp/bin/cp", script).unwrap();
        run("chmod", &["755", "/tmp/bin/cp"]);
        let path = format!("/tmp/bin:{}", std::env::var("PATH").unwrap());
        let words = ["uppers", "clone", "overlay.1", "copy1"];
        let output = std::process::Command::new("/overlayctl").args(words).env("PATH", path).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert_eq!(fs::read_to_string(format!("{PRIVATE}/copy1/etc/hostname")).unwrap(), "one\n");
        assert!(!fs::exists(format!("{PRIVATE}/copy1/etc/old")).unwrap());
        let time = |name: &str| fs::metadata(format!("{PRIVATE}/.overlayroot/{name}.json")).unwrap().mtime();
        assert_eq!(time("copy1"), time("overlay.1"), "since when files of the lower may be hidden");
    });
}
