// SPDX-License-Identifier: GPL-2.0-or-later
//! What is full, the upper or the file system that it shares, and where changes go.
use nix::sys::statvfs::statvfs;
use overlayroot_rootns::{Stage, on_stage};
use serde_json::Value;
use std::fs;

/// Fills the root's file system up to so many percent of what can be had.
fn fill_root(stage: &Stage, percent: u64) {
    stage.mount_root("rw");
    let stat = statvfs("/sysroot").unwrap();
    let unit = stat.fragment_size();
    let used = (stat.blocks() - stat.blocks_free()) * unit;
    let all = used + stat.blocks_available() * unit;
    fs::write("/sysroot/video", vec![0x5a; usize::try_from(all * percent / 100 - used).unwrap()]).unwrap();
    stage.mount_root("ro");
}

fn inside(stage: &Stage, args: &[&str]) -> (i32, String) {
    let output = stage.overlayctl_inside(args);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(said).unwrap())
}

#[test]
fn a_card_that_is_full_of_other_things_is_not_called_the_upper() {
    on_stage("fillcard", |stage| {
        fill_root(stage, 80);
        stage.assemble("rd.overlay=dir:/var/upper");
        let (code, json) = inside(stage, &["status", "--json"]);
        let status: Value = serde_json::from_str(&json).unwrap();
        let (upper, problem) = (&status["live"]["upper"], status["problems"][0].as_str().unwrap());
        assert_eq!((code, upper["level"].as_str()), (1, Some("warning")), "{json}");
        let node = &stage.root.node;
        assert!(problem.starts_with(&format!("the upper's file system {node} (ext4) is 8")), "{problem}");
        assert!(problem.ends_with(" of it the upper's own files"), "{problem}");
        let own = &upper["own"];
        assert!(own["whole"] == true && own["bytes"].as_u64().unwrap() < 1 << 20, "{own}");
        let (_, text) = inside(stage, &["status"]);
        assert!(text.contains(&format!("of the file system {node} (ext4); the upper's own files: ")), "{text}");
        assert!(text.contains("changes go to /var/upper"), "{text}");
        // One denominator: the share is that of the numbers beside it.
        let (used, all) = (upper["used"].as_u64().unwrap(), upper["available"].as_u64().unwrap());
        assert_eq!(upper["percent"].as_u64().unwrap(), used * 100 / (used + all));
        let (_, du) = inside(stage, &["du"]);
        assert!(du.contains(&format!("in use on {node} (ext4), by the upper and others: ")), "{du}");
    });
}

#[test]
fn an_upper_in_ram_is_told_as_before() {
    on_stage("fillram", |stage| {
        stage.assemble("rd.overlay=tmpfs:size=32MiB");
        fs::write("/sysroot/big", vec![0x5a; 26 << 20]).unwrap();
        let (code, text) = inside(stage, &["status"]);
        assert!(code == 1 && text.contains("the upper is 8") && text.contains("of 32.0 MiB"), "{text}");
        assert!(text.contains("changes will be lost at reboot") && !text.contains("own files"), "{text}");
    });
}

const MOTD: &str = "/run/motd.d/overlayroot-rs-boot";

#[test]
fn ram_in_place_of_what_stays_is_told_with_the_loss() {
    let lost = "changes will be lost at reboot";
    for line in ["rd.overlay=LABEL=none-such rd.overlay.timeout=0", "rd.overlay=persist", "rd.overlay=part:x,size=4GX"]
    {
        on_stage("filllost", move |stage| {
            let output = stage.tool("overlay-assemble", line.as_bytes(), &["--by", "hook"]);
            let said = String::from_utf8(output.stderr).unwrap();
            let last = said.lines().last().unwrap();
            assert!(last.contains("degraded: asked for ") && last.ends_with(lost), "{said}");
            let (code, text) = inside(stage, &["check", "--motd"]);
            assert!(code == 1 && text.contains(&format!("changes:   {lost}")), "{text}");
            let motd = fs::read_to_string(MOTD).unwrap();
            assert!(motd.contains("does not match the request") && motd.contains(lost), "{motd}");
            let (_, text) = inside(stage, &["status"]);
            assert!(text.contains(lost), "{text}");
        });
    }
}

#[test]
fn a_slip_in_the_key_is_no_silence_and_the_motd_goes_when_all_is_well() {
    on_stage("fillslip", |stage| {
        stage.mount_root("rw");
        let output = stage.tool("overlay-assemble", b"rd.overlya=dir:/var/upper", &["--by", "hook"]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("rd.overlya=dir:/var/upper in /proc/cmdline: unknown key; did you mean rd.overlay?"));
        assert!(said.contains("changes go to the root's own file system"), "{said}");
        let (code, text) = inside(stage, &["check", "--motd"]);
        assert!(code == 1 && text.contains("rd.overlya=dir:/var/upper"), "{text}");
        assert!(fs::read_to_string(MOTD).unwrap().contains("changes go to the root's own file system"));
        let (code, _) = inside(stage, &["status"]);
        assert_eq!(code, 1);
        let motd = fs::read_to_string(MOTD).unwrap();
        stage.reboot();
        stage.assemble("rd.overlay=dir:/var/upper");
        fs::create_dir_all("/run/motd.d").unwrap();
        fs::write(MOTD, motd).unwrap();
        assert_eq!(inside(stage, &["check", "--motd"]), (0, String::new()));
        assert!(!fs::exists(MOTD).unwrap());
    });
}
