// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl thaw`: one boot without the overlay, counted on the disk before it starts; frozen where anything fails.
use overlayroot_rootns::{Stage, mount_at, on_stage, run, schema};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Output;

const CMDLINE: &str = "rd.overlay";
const REQUEST: &str = "var/lib/overlayroot-rs/thaw.json";
const THAWED: &str = "/run/overlayroot/thawed";

/// The initramfs from the program on that counts.
fn boot(stage: &Stage, cmdline: &str) -> (Value, Output) {
    let output = stage.tool("overlay-thaw", cmdline.as_bytes(), &[]);
    (stage.assemble(cmdline), output)
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn asked(stage: &Stage, words: &[&str]) -> String {
    let output = stage.overlayctl_inside(&[&["thaw"], words].concat());
    assert!(output.status.success(), "{output:?}");
    said(&output)
}

/// The request as it lies in the root that the next boot has.
fn request() -> Option<String> {
    fs::read_to_string(format!("/sysroot/{REQUEST}")).ok()
}

fn asks(stage: &Stage, text: &str) {
    stage.mount_root("rw");
    fs::create_dir_all("/sysroot/var/lib/overlayroot-rs").unwrap();
    fs::write(format!("/sysroot/{REQUEST}"), text).unwrap();
    stage.mount_root("ro");
}

fn frozen(record: &Value, why: &str) {
    assert_eq!((&record["outcome"], &record["effective"]["root"]), (&"degraded".into(), &"overlay".into()));
    let reason = &record["reasons"][0];
    assert!(reason["code"] == "thaw" && reason["text"].as_str().unwrap().contains(why), "{record:#}");
    assert!(!fs::exists(THAWED).unwrap());
    schema::holds("record", &record.to_string());
}

#[test]
fn one_boot_and_frozen_again() {
    on_stage("thaw", |stage| {
        stage.assemble(CMDLINE);
        assert!(asked(stage, &["-n", "--no-run"]).contains("the next boot would be thawed"));
        let said = asked(stage, &["--run", "make-me-new", "--for", "10m"]);
        assert!(
            said.contains("the next boot is thawed: no overlay, and changes are permanent; runs make-me-new"),
            "{said}"
        );
        let lower = mount_at("/run/rootfsbase").unwrap();
        assert!(lower.read_only() && lower.super_read_only(), "{lower:?}");
        let pending = fs::read_to_string(format!("/run/rootfsbase/{REQUEST}")).unwrap();
        schema::holds("thaw", &pending);
        // The command line of the machine that runs this test asks for no overlay, so nothing will be thawed.
        let waits = asked(stage, &["--status"]);
        assert!(
            waits.contains("a request waits (thawed: no overlay") && !waits.contains("next boot is thawed"),
            "{waits}"
        );
        let status = stage.overlayctl_inside(&["status", "--json"]);
        let status = schema::holds("status", &String::from_utf8_lossy(&status.stdout));
        assert_eq!(status["thaw"]["work"]["run"], "make-me-new");

        stage.reboot();
        let (record, output) = boot(stage, CMDLINE);
        assert!(output.status.success(), "{output:?}");
        assert_eq!((&record["outcome"], &record["effective"]["root"]), (&"thawed".into(), &"plain".into()));
        assert_eq!(record["requested"]["upper"], "tmpfs");
        schema::holds("record", &record.to_string());
        let root = mount_at("/sysroot").unwrap();
        assert!(
            root.fstype == "ext4" && root.read_only() && root.super_read_only(),
            "as the command line has it: {root:?}"
        );
        assert_eq!(request(), None, "before the system starts");
        assert_eq!(fs::read_to_string(THAWED).unwrap().trim(), pending.trim());
        let units = "/run/systemd/system";
        let link = format!("{units}/multi-user.target.wants/overlayroot-rs-thawed.service");
        assert_eq!(
            fs::read_link(link).unwrap().to_str(),
            Some("/usr/lib/systemd/system/overlayroot-rs-thawed.service")
        );
        assert!(
            fs::read_to_string(format!("{units}/overlayroot-rs-thaw-end.timer")).unwrap().contains("OnActiveSec=1200")
        );
        assert!(fs::exists(format!("{units}/sysinit.target.wants/overlayroot-rs-thaw-end.timer")).unwrap());
        // A later hook starts both once more.
        assert_eq!(boot(stage, CMDLINE).0["outcome"], "thawed");

        stage.reboot();
        assert_eq!(boot(stage, CMDLINE).0["outcome"], "applied");
    });
}

#[test]
fn several_boots_and_a_request_that_is_cancelled() {
    on_stage("several", |stage| {
        stage.assemble("rd.overlay=dir:/var/upper");
        asked(stage, &["--boots", "2", "--no-run"]);
        assert!(asked(stage, &["--cancel"]).contains("cancelled"));
        assert!(asked(stage, &["--cancel"]).contains("nothing to cancel"));
        asked(stage, &["--boots", "2", "--no-run"]);
        stage.reboot();
        for left in [Some(r#"{"boots":1,"for":3600,"work":"nothing"}"#), None] {
            // A plain root that was asked for is none of them.
            assert_eq!(boot(stage, "rd.overlay=0").0["outcome"], "off");
            stage.reboot();
            assert_eq!(boot(stage, "rd.overlay=dir:/var/upper").0["outcome"], "thawed");
            assert_eq!(request().as_deref().map(str::trim), left);
            stage.reboot();
        }
        assert_eq!(boot(stage, "rd.overlay=dir:/var/upper").0["outcome"], "applied");
    });
}

#[test]
fn what_is_no_request_is_said_and_waits() {
    on_stage("none", |stage| {
        for bad in ["", "{}", r#"{"boots":0,"for":3600,"work":"update"}"#, r#"{"boots":1,"for":3600,"until":1}"#] {
            asks(stage, bad);
            let (record, output) = boot(stage, CMDLINE);
            assert_eq!(output.status.code(), Some(1));
            frozen(&record, "thaw.json is not valid");
            let status = stage.overlayctl_inside(&["thaw", "--status"]);
            assert!(!status.status.success() && said(&status).contains("is not valid"), "{status:?}");
            stage.reboot();
            assert_eq!(request().as_deref(), Some(bad));
        }
    });
}

#[test]
fn an_initramfs_without_the_program() {
    on_stage("without", |stage| {
        asks(stage, r#"{"boots":1,"for":3600,"work":"update"}"#);
        frozen(&stage.assemble(CMDLINE), "overlay-thaw is not in this initramfs");
        stage.reboot();
        assert!(request().is_some());
    });
}

/// What can't be counted is not thawed: it would be so at each boot.
#[test]
fn a_root_that_can_not_be_written() {
    on_stage("readonly", |stage| {
        asks(stage, r#"{"boots":1,"for":3600,"work":"update"}"#);
        run("blockdev", &["--setro", &stage.root.node]);
        stage.reboot();
        let (record, _) = boot(stage, CMDLINE);
        frozen(&record, "not thawed: ");
        run("blockdev", &["--setrw", &stage.root.node]);
        stage.reboot();
        // A full one takes no new number.
        asks(stage, r#"{"boots":2,"for":3600,"work":"update"}"#);
        stage.mount_root("rw");
        let filled =
            std::process::Command::new("dd").args(["if=/dev/zero", "of=/sysroot/full", "bs=64k"]).output().unwrap();
        assert!(!filled.status.success());
        let filled =
            std::process::Command::new("dd").args(["if=/dev/zero", "of=/sysroot/fuller", "bs=1k"]).output().unwrap();
        assert!(!filled.status.success());
        stage.mount_root("ro");
        let (record, _) = boot(stage, CMDLINE);
        frozen(&record, "counting /var/lib/overlayroot-rs/thaw.json");
        stage.reboot();
        assert_eq!(request().as_deref(), Some(r#"{"boots":2,"for":3600,"work":"update"}"#));
        // The last one is only removed.
        stage.mount_root("rw");
        fs::remove_file("/sysroot/fuller").unwrap();
        fs::write(format!("/sysroot/{REQUEST}"), r#"{"boots":1,"for":3600,"work":"update"}"#).unwrap();
        run("dd", &["if=/dev/zero", "of=/sysroot/small", "bs=1k", "count=1"]);
        stage.mount_root("ro");
        assert_eq!(boot(stage, CMDLINE).0["outcome"], "thawed");
    });
}

/// What comes back with the root at each boot is none that could be taken away.
#[test]
fn a_root_in_ram() {
    on_stage("ram", |stage| {
        asks(stage, r#"{"boots":1,"for":3600,"work":"update"}"#);
        run("mount", &["-t", "tmpfs", "copy", "/mnt"]);
        run("cp", &["-a", "/sysroot/.", "/mnt"]);
        run("umount", &["/sysroot"]);
        run("mount", &["--move", "/mnt", "/sysroot"]);
        let output = stage.tool("overlay-thaw", CMDLINE.as_bytes(), &[]);
        assert!(output.status.code() == Some(1) && said(&output).contains("the root is tmpfs"), "{output:?}");
        assert!(request().is_some() && !fs::exists(THAWED).unwrap());
    });
}

/// One of the two would spoil the other, and a clock that is wrong asks for no boot after boot.
#[test]
fn beside_a_commit_and_too_soon() {
    on_stage("beside", |stage| {
        stage.assemble("rd.overlay=dir:/var/upper");
        fs::write("/sysroot/etc/hostname", "changed\n").unwrap();
        stage.overlayctl(&["commit"]);
        let refused = stage.overlayctl_inside(&["thaw", "--no-run"]);
        assert!(refused.status.code() == Some(1) && said(&refused).contains("would spoil"), "{refused:?}");
        stage.overlayctl(&["commit", "--cancel"]);
        let last =
            r#"{"schema":1,"at":99999999999,"ran":"x","status":0,"why":null,"doctor":"ok","built":false,"took_s":1}"#;
        fs::create_dir_all("/sysroot/var/lib/overlayroot-rs").unwrap();
        fs::write("/sysroot/var/lib/overlayroot-rs/thawed.json", schema::holds("thawed", last).to_string()).unwrap();
        assert!(asked(stage, &["--no-run", "--not-within", "6d"]).contains("nothing is asked for"));
        assert!(asked(stage, &["--no-run"]).contains("the next boot is thawed"));
    });
}

#[test]
fn no_link_leads_to_a_request() {
    on_stage("links", |stage| {
        let text = r#"{"boots":1,"for":3600,"work":{"run":"rm -rf /"}}"#;
        asks(stage, text);
        stage.mount_root("rw");
        fs::rename("/sysroot/var/lib", "/sysroot/home").unwrap();
        symlink("../home", "/sysroot/var/lib").unwrap();
        stage.mount_root("ro");
        let output = stage.tool("overlay-thaw", CMDLINE.as_bytes(), &[]);
        assert!(output.status.success() && !fs::exists(THAWED).unwrap(), "{output:?}");
        stage.assemble(CMDLINE);
        let refused = stage.overlayctl_inside(&["thaw", "--no-run"]);
        assert!(said(&refused).contains("opening lib of /var/lib/overlayroot-rs"), "{refused:?}");
        let lower = mount_at("/run/rootfsbase").unwrap();
        assert!(lower.super_read_only(), "{lower:?}");
    });
}

#[test]
fn a_kernel_that_would_be_lost() {
    on_stage("kernel", |stage| {
        stage.assemble(CMDLINE);
        let refused = stage.overlayctl_inside(&["kernel"]);
        assert!(refused.status.code() == Some(1) && said(&refused).contains("in an upper in RAM"), "{refused:?}");
        assert!(said(&refused).contains("overlayctl thaw --now-and-reboot"));
        stage.reboot();
        stage.assemble("rd.overlay=dir:/var/upper");
        let warned = stage.overlayctl_inside(&["kernel"]);
        assert!(
            warned.status.success() && said(&warned).contains("the boot loader reads that of the lower"),
            "{warned:?}"
        );
        stage.reboot();
        stage.assemble("rd.overlay=0");
        stage.mount_root("rw");
        assert!(stage.overlayctl_inside(&["kernel"]).status.success());
    });
}

#[test]
fn where_it_can_not_be_asked_for() {
    on_stage("refused", |stage| {
        stage.assemble("rd.overlay=0");
        stage.mount_root("rw");
        let refused = stage.overlayctl_inside(&["thaw", "--no-run"]);
        assert!(
            refused.status.code() == Some(1) && said(&refused).contains("changes in / are permanent"),
            "{refused:?}"
        );
        stage.reboot();
        stage.assemble(CMDLINE);
        for bad in [&["--for", "5"][..], &["--boots", "0"], &["--once", "--boots", "2"], &["--run", ""]] {
            let refused = stage.overlayctl_inside(&[&["thaw"], bad].concat());
            assert!(!refused.status.success(), "{bad:?}: {refused:?}");
        }
        asked(stage, &["--once", "--no-run"]);
        stage.reboot();
        boot(stage, CMDLINE);
        stage.mount_root("rw");
        let refused = stage.overlayctl_inside(&["thaw", "--no-run"]);
        assert!(said(&refused).contains("this boot is thawed"), "{refused:?}");
        let status = stage.overlayctl_inside(&["status"]);
        assert!(said(&status).contains("overlay root: thawed") && status.status.code() == Some(1), "{status:?}");
        let idle = stage.overlayctl_inside(&["thaw", "--cancel"]);
        assert!(said(&idle).contains("nothing to cancel"), "{idle:?}");
    });
}
