// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl uppers use`: another upper from the next boot on, tries that are counted, and the return.
use overlayroot_rootns::{Stage, mounts, on_stage, on_stage_with};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

const PRIVATE: &str = "/run/initramfs/overlayroot/upper";
const TRIED: &str = "/run/overlayroot/tried";

/// What the initramfs runs before overlay-assemble; nothing of it stays mounted.
fn tries(stage: &Stage, cmdline: &str) -> Output {
    let before = mounts();
    let output = stage.tool("overlay-tries", cmdline.as_bytes(), &[]);
    assert_eq!(mounts(), before, "{output:?}");
    output
}

/// One boot of an initramfs with that program.
fn boot(stage: &Stage, cmdline: &str) -> Value {
    stage.reboot();
    let output = tries(stage, cmdline);
    assert!(output.status.success(), "{output:?}");
    // Whoever starts it a second time, a boot counts once.
    assert!(tries(stage, cmdline).status.success());
    stage.assemble(cmdline)
}

fn uses(record: &Value, name: &str) {
    let upper = record["effective"]["store"]["upper"].as_str().unwrap();
    assert!(upper.split('/').any(|part| part == name), "{name}: {record:#}");
}

fn refused(args: &[&str]) -> String {
    let output = std::process::Command::new("/overlayctl").args(args).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Two boots that are not good, and the third returns; then one that is.
fn returns(stage: &Stage, cmdline: &str, dir: &str) {
    stage.assemble(cmdline);
    stage.overlayctl(&["uppers", "create", "work"]);
    assert!(refused(&["uppers", "use", "other"]).contains("is not an upper here"));
    let said = stage.overlayctl(&["uppers", "use", "work", "--tries", "2", "--timeout", "60"]);
    assert!(said.contains("uses the upper work, 2 tries left, then overlay again"), "{said}");
    assert!(refused(&["uppers", "remove", "work"]).contains("is for the next boots"));
    for left in ["1 try left", "no tries left"] {
        let record = boot(stage, cmdline);
        assert_eq!((&record["outcome"], &record["requested"]["name"]), (&"applied".into(), &"work".into()));
        uses(&record, "work");
        assert!(fs::exists(TRIED).unwrap());
        let units = "/run/systemd/system";
        assert!(fs::symlink_metadata(format!("{units}/multi-user.target.wants/overlayroot-rs-good.service")).is_ok());
        assert!(fs::read_to_string(format!("{units}/overlayroot-rs-tries.timer")).unwrap().contains("OnActiveSec=60"));
        assert!(fs::symlink_metadata(format!("{units}/sysinit.target.wants/overlayroot-rs-tries.timer")).is_ok());
        assert!(refused(&["uppers", "use", "overlay"]).contains("see overlayctl good"));
        let status = stage.overlayctl_inside(&["status"]);
        let status = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(status.contains(left), "{status}");
    }
    let record = boot(stage, cmdline);
    uses(&record, "overlay");
    assert_eq!((&record["outcome"], &record["reasons"][0]["code"]), (&"degraded".into(), &"returned".into()));
    assert!(record["reasons"][0]["text"].as_str().unwrap().contains("work failed at each of its tries"), "{record:#}");
    assert!(!fs::exists(TRIED).unwrap());
    let record = boot(stage, cmdline);
    uses(&record, "overlay");
    assert_eq!(record["outcome"], "applied", "it does not come back");
    stage.overlayctl(&["uppers", "use", "work", "--tries", "1"]);
    uses(&boot(stage, cmdline), "work");
    assert!(stage.overlayctl(&["good"]).contains("work stays in use"));
    assert!(!fs::exists(TRIED).unwrap() && stage.overlayctl(&["good"]).contains("is not counted"));
    for _ in 0..2 {
        let record = boot(stage, cmdline);
        uses(&record, "work");
        assert!(record["outcome"] == "applied" && !fs::exists(TRIED).unwrap());
    }
    let text = fs::read_to_string(format!("{dir}/.overlayroot/boot.json")).unwrap();
    assert_eq!(text.trim(), r#"{"want":{"upper":"work"}}"#);
}

#[test]
fn on_a_device() {
    on_stage("device", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        returns(stage, &format!("rd.overlay={}", disk.node), PRIVATE);
    });
}

#[test]
fn in_a_directory() {
    on_stage("dir", |stage| returns(stage, "rd.overlay=dir:/var/upper", "/run/initramfs/overlayroot/root/var/upper"));
}

#[test]
fn in_a_subvolume() {
    on_stage_with("subvol", "btrfs", 160, |stage| {
        returns(stage, "rd.overlay=subvol:up", "/run/initramfs/overlayroot/root/up");
    });
}

#[test]
fn in_a_loop_file() {
    on_stage_with("loop", "ext4", 160, |stage| returns(stage, "rd.overlay=loop:/var/upper.img,size=64M", PRIVATE));
}

/// Who names the upper, or writes nothing there, is not counted.
#[test]
fn a_name_of_the_command_line_comes_first() {
    on_stage("named", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        stage.assemble(&cmdline);
        stage.overlayctl(&["uppers", "create", "work"]);
        stage.overlayctl(&["uppers", "use", "work", "--tries", "1"]);
        let asked = fs::read_to_string(format!("{PRIVATE}/.overlayroot/boot.json")).unwrap();
        uses(&boot(stage, &format!("{cmdline} rd.overlay.name=third")), "third");
        for other in ["quiet", "rd.overlay=tmpfs", "rd.overlay=LABEL=none rd.overlay.timeout=0"] {
            boot(stage, other);
        }
        let record = boot(stage, &format!("{cmdline} rd.overlay.name=overlay"));
        assert_eq!(record["outcome"], "applied");
        assert_eq!(fs::read_to_string(format!("{PRIVATE}/.overlayroot/boot.json")).unwrap(), asked);
    });
}

/// An initramfs without the program uses the default one, and says so; not where that is the one that is wanted.
#[test]
fn an_initramfs_that_does_not_read_it() {
    on_stage("without", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        stage.assemble(&cmdline);
        stage.overlayctl(&["uppers", "create", "work"]);
        stage.overlayctl(&["uppers", "use", "work"]);
        stage.reboot();
        let record = stage.assemble(&cmdline);
        uses(&record, "overlay");
        assert_eq!((&record["outcome"], &record["reasons"][0]["code"]), (&"degraded".into(), &"returned".into()));
        assert!(record["reasons"][0]["text"].as_str().unwrap().contains("overlay-tries is not in this initramfs"));
        // Who names one gets it, and so does Ubuntu's.
        stage.reboot();
        assert_eq!(stage.assemble(&format!("{cmdline} rd.overlay.name=overlay"))["outcome"], "applied");
        stage.reboot();
        assert_eq!(stage.assemble(&format!("overlayroot=device:dev={}", disk.node))["outcome"], "applied");
        stage.reboot();
        let layer = stage.assemble(&format!("{cmdline} rd.overlay.readonly"));
        assert_eq!((&layer["outcome"], &layer["reasons"][0]["code"]), (&"degraded".into(), &"returned".into()));
        stage.reboot();
        stage.assemble(&cmdline);
        stage.overlayctl(&["uppers", "use", "overlay"]);
        stage.reboot();
        assert_eq!(stage.assemble(&cmdline)["outcome"], "applied");
    });
}

/// As a read-only layer the one that is wanted is shown, and no try is used up.
#[test]
fn a_layer_is_the_one_that_is_wanted() {
    on_stage("layer", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        stage.assemble(&format!("{cmdline} rd.overlay.name=work"));
        fs::write("/sysroot/etc/hostname", "work\n").unwrap();
        stage.reboot();
        stage.assemble(&cmdline);
        fs::write("/sysroot/etc/hostname", "default\n").unwrap();
        stage.overlayctl(&["uppers", "use", "work", "--tries", "1"]);
        let asked = fs::read_to_string(format!("{PRIVATE}/.overlayroot/boot.json")).unwrap();
        let record = boot(stage, &format!("{cmdline} rd.overlay.readonly"));
        assert_eq!((&record["outcome"], &record["requested"]["name"]), (&"applied".into(), &"work".into()));
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "work\n");
        assert!(!fs::exists(TRIED).unwrap());
        boot(stage, &format!("{cmdline} rd.overlay.name=overlay"));
        assert_eq!(fs::read_to_string(format!("{PRIVATE}/.overlayroot/boot.json")).unwrap(), asked);
    });
}

/// What is not looked at is not written to, and what is wrong with the default one is none of the other's business.
#[test]
fn a_default_upper_that_is_a_link() {
    on_stage("link", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        stage.assemble(&cmdline);
        stage.overlayctl(&["uppers", "create", "work"]);
        stage.overlayctl(&["uppers", "use", "work"]);
        fs::rename(format!("{PRIVATE}/ovlwork"), format!("{PRIVATE}/gone")).unwrap();
        symlink("/etc", format!("{PRIVATE}/ovlwork")).unwrap();
        let record = boot(stage, &cmdline);
        uses(&record, "work");
        assert_eq!(record["outcome"], "applied");
        // Of our own directory a link is followed nowhere.
        fs::rename(format!("{PRIVATE}/.overlayroot"), format!("{PRIVATE}/moved")).unwrap();
        symlink("moved", format!("{PRIVATE}/.overlayroot")).unwrap();
        stage.reboot();
        let output = tries(stage, &cmdline);
        assert!(String::from_utf8_lossy(&output.stderr).contains("is not a plain directory"), "{output:?}");
        // What stands against the upper itself is said once, by who makes the overlay.
        let record = stage.assemble(&cmdline);
        let reasons = record["reasons"].as_array().unwrap();
        assert!(reasons.iter().all(|reason| reason["code"] != "returned"), "{record:#}");
        assert_eq!(reasons[0]["code"], "look", "{record:#}");
    });
}

/// A try is for a boot that can have the upper.
#[test]
fn a_rival_uses_up_no_try() {
    on_stage("rival", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        stage.assemble(&cmdline);
        stage.overlayctl(&["uppers", "create", "work"]);
        stage.overlayctl(&["uppers", "use", "work", "--tries", "1"]);
        assert!(refused(&["uppers", "use", "overlay", "--tries", "1"]).contains("there is nothing to return to"));
        stage.reboot();
        tries(stage, &format!("{cmdline} systemd.volatile=overlay"));
        assert!(!fs::exists(TRIED).unwrap());
        uses(&boot(stage, &cmdline), "work");
        assert!(fs::exists(TRIED).unwrap());
    });
}

/// What is there may be anything: the default upper is used, and the boot says why.
#[test]
fn a_state_that_is_none() {
    on_stage("none", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        stage.assemble(&cmdline);
        let path = format!("{PRIVATE}/.overlayroot/boot.json");
        for text in ["nonsense", r#"{"want":{"upper":"../../etc"}}"#] {
            fs::write(&path, text).unwrap();
            stage.reboot();
            let output = tries(stage, &cmdline);
            assert!(output.status.code() == Some(1), "{output:?}");
            assert!(String::from_utf8_lossy(&output.stderr).contains("boot.json is not valid"), "{output:?}");
            let record = stage.assemble(&cmdline);
            uses(&record, "overlay");
            let told = record["reasons"][0]["text"].as_str().unwrap();
            assert!(
                record["reasons"][0]["code"] == "returned" && told.contains("uses the default upper"),
                "{record:#}"
            );
        }
        fs::remove_file(&path).unwrap();
        fs::write("/etc/elsewhere", r#"{"want":{"upper":"work"},"tries":3,"good":{"upper":"overlay"}}"#).unwrap();
        symlink("/etc/elsewhere", &path).unwrap();
        stage.reboot();
        assert_eq!(tries(stage, &cmdline).status.code(), Some(1));
        let record = stage.assemble(&cmdline);
        uses(&record, "overlay");
        assert_eq!(record["reasons"][0]["code"], "returned", "{record:#}");
        assert!(fs::read_to_string("/etc/elsewhere").unwrap().contains("\"tries\":3"), "it was written to");
        fs::remove_file("/etc/elsewhere").unwrap();
        // One that is gone is not made anew.
        fs::remove_file(&path).unwrap();
        fs::write(&path, r#"{"want":{"upper":"gone"},"tries":3,"good":{"upper":"overlay"}}"#).unwrap();
        let record = boot(stage, &cmdline);
        uses(&record, "overlay");
        assert!(record["reasons"][0]["text"].as_str().unwrap().contains("gone does not exist"), "{record:#}");
        fs::write(&path, r#"{"want":{"upper":"gone"}}"#).unwrap();
        let record = boot(stage, &cmdline);
        uses(&record, "gone");
        assert!(record["reasons"][0]["text"].as_str().unwrap().contains("makes a new one"), "{record:#}");
    });
}
