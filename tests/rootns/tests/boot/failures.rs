// SPDX-License-Identifier: GPL-2.0-or-later
//! What can't be had: a clear reason, the policy, and nothing written or left behind.
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{Disk, Stage, mount_at, mounts, on_stage, run};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::process::Command;

/// The reason's code and text, after checking that the fallback runs and the disk is as it was.
fn untouched(stage: &Stage, disk: &Disk, cmdline: &str) -> (String, String) {
    let before = disk.bytes();
    let record = stage.assemble(cmdline);
    assert_eq!(record["outcome"], "degraded", "{record:#}");
    assert_eq!(record["effective"]["upper"], "tmpfs", "{record:#}");
    assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
    assert!(mount_at("/run/overlayfs-backing").is_none());
    assert!(before == disk.bytes(), "the device was written to");
    reason(&record)
}

fn reason(record: &Value) -> (String, String) {
    let first = &record["reasons"][0];
    (first["code"].as_str().unwrap().to_owned(), first["text"].as_str().unwrap().to_owned())
}

#[test]
fn a_zeroed_superblock() {
    on_stage("zeroed", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        run("dd", &["if=/dev/zero", &format!("of={}", disk.node), "bs=1k", "seek=1", "count=1", "conv=fsync"]);
        let (code, text) = untouched(stage, &disk, &format!("rd.overlay={}", disk.node));
        assert_eq!(code, "no-file-system", "{text}");
    });
}

#[test]
fn a_root_directory_that_is_none() {
    on_stage("no-root", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4", "-O", "^metadata_csum"]);
        run("debugfs", &["-w", "-R", "set_inode_field <2> mode 0100644", &disk.node]);
        let (code, text) = untouched(stage, &disk, &format!("rd.overlay={}", disk.node));
        assert_eq!(code, "look", "{text}");
    });
}

#[test]
fn damage_that_e2fsck_begins_to_repair_and_gives_up_on_leaves_no_trace() {
    on_stage("damage", |stage| {
        fs::create_dir_all("/tmp/tree/overlay/a").unwrap();
        fs::write("/tmp/tree/overlay/a/f", "x").unwrap();
        let disk = stage.disk("upper.img", 16, &["-t", "ext4", "-O", "^metadata_csum", "-d", "/tmp/tree"]);
        // The directory's inode is cleared: `-p` takes its entry out, then finds the orphan and stops.
        run("debugfs", &["-w", "-R", "clri overlay/a", &disk.node]);
        run("debugfs", &["-w", "-R", "set_super_value state 2", &disk.node]);
        let (code, text) = untouched(stage, &disk, &format!("rd.overlay={}", disk.node));
        assert!(code == "check" && text.contains("gave up"), "{code}: {text}");
    });
}

#[test]
fn vfat() {
    on_stage("vfat", |stage| {
        let label = format!("V{}", stage.tag);
        let disk = stage.disk("upper.img", 16, &["mkfs.vfat", "-n", &label]);
        let (code, text) = untouched(stage, &disk, &format!("rd.overlay=LABEL={label}"));
        assert_eq!(code, "foreign-file-system", "{text}");
        assert!(text.contains("vfat"));
    });
}

#[test]
fn a_full_one() {
    on_stage("full", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        run("mount", &[&disk.node, "/tmp"]);
        let filled = Command::new("dd").args(["if=/dev/zero", "of=/tmp/fill", "bs=64k"]).output().unwrap();
        assert!(!filled.status.success(), "it should have run out of space");
        unmount("/tmp");
        let (code, text) = untouched(stage, &disk, &format!("rd.overlay={}", disk.node));
        assert!(code == "look" && text.contains("full"), "{code}: {text}");
    });
}

#[test]
fn one_that_is_mounted_elsewhere() {
    on_stage("elsewhere", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        run("mount", &["-o", "ro", &disk.node, "/mnt"]);
        let (code, text) = untouched(stage, &disk, &format!("rd.overlay={}", disk.node));
        assert!(code == "device-in-use" && text.contains("/mnt"), "{code}: {text}");
    });
}

#[test]
fn the_root_itself() {
    on_stage("itself", |stage| {
        let (code, text) = untouched(stage, &stage.root, &format!("rd.overlay={}", stage.root.node));
        assert!(code == "device-in-use" && text.contains("/sysroot"), "{code}: {text}");
    });
}

#[test]
fn an_upper_that_is_a_link_out_of_its_device() {
    on_stage("link", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        run("mount", &[&disk.node, "/tmp"]);
        std::os::unix::fs::symlink("/etc", "/tmp/overlay").unwrap();
        unmount("/tmp");
        let (code, text) = untouched(stage, &disk, &format!("rd.overlay={}", disk.node));
        assert!(code == "look" && text.contains("plain directory"), "{code}: {text}");
    });
}

#[test]
fn two_devices_with_one_label() {
    on_stage("two", |stage| {
        let label = format!("t{}", stage.tag);
        let disk = stage.disk("a.img", 16, &["-t", "ext4", "-L", &label]);
        let other = stage.disk("b.img", 16, &["-t", "ext4", "-L", &label]);
        let (code, text) = untouched(stage, &disk, &format!("rd.overlay=LABEL={label}"));
        assert!(code == "device-ambiguous" && text.contains(&other.node), "{code}: {text}");
    });
}

#[test]
fn a_missing_one_under_every_policy() {
    for (policy, outcome, root, fstype) in [
        ("tmpfs", "degraded", "overlay", "overlay"),
        ("ro", "degraded", "ro", "ext4"),
        ("none", "degraded", "plain", "ext4"),
        ("halt", "failed", "none", "ext4"),
    ] {
        on_stage(policy, move |stage| {
            stage.mount_root("rw");
            let cmdline = format!("rd.overlay=LABEL=none-such rd.overlay.timeout=1 rd.overlay.fallback={policy}");
            let output = stage.tool("overlay-assemble", cmdline.as_bytes(), &[]);
            assert_eq!(output.status.success(), policy != "halt");
            let record: Value = serde_json::from_slice(&fs::read("/run/overlayroot/state.json").unwrap()).unwrap();
            assert_eq!((record["outcome"].as_str(), record["effective"]["root"].as_str()), (Some(outcome), Some(root)));
            assert_eq!(reason(&record).0, "device-missing");
            let mount = mount_at("/sysroot").unwrap();
            assert_eq!(mount.fstype, fstype);
            assert_eq!(fs::write("/sysroot/probe", "").is_ok(), policy != "ro", "{policy}: {mount:?}");
        });
    }
}

#[test]
fn an_encrypted_volume_that_is_not_open_is_named() {
    on_stage("closed", |stage| {
        let disk = stage.disk("luks.img", 4, &[]);
        // The head of LUKS1: magic, version, and a UUID as text (cryptsetup, on-disk-format.pdf).
        let mut head = vec![0; 592];
        head[..8].copy_from_slice(b"LUKS\xba\xbe\0\x01");
        head[168..204].copy_from_slice(b"0e5e2a1b-9c7f-4b1e-8d53-1f2a3b4c5d6e");
        let mut device = fs::OpenOptions::new().write(true).open(&disk.node).unwrap();
        device.write_all(&head).unwrap();
        device.sync_all().unwrap();
        let (code, text) = untouched(stage, &disk, "rd.overlay=LABEL=none-such rd.overlay.timeout=0");
        assert!(code == "device-missing" && text.contains("encrypted volume"), "{code}: {text}");
        assert!(text.contains(&disk.node), "{text}");
    });
}

#[test]
fn a_failure_half_way_gives_the_plain_root_back() {
    on_stage("half-way", |stage| {
        stage.mount_root("rw");
        let before = mounts();
        // Somebody keeps the root busy: it can't be unmounted, with the device's upper or with RAM.
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        let busy = fs::File::open("/sysroot/etc/hostname").unwrap();
        let record = stage.assemble(&format!("rd.overlay={}", disk.node));
        drop(busy);
        assert_eq!(
            (&record["outcome"], &record["effective"]["root"]),
            (&"failed".into(), &"plain".into()),
            "{record:#}"
        );
        assert_eq!(record["reasons"].as_array().unwrap().len(), 2, "{record:#}");
        assert_eq!(mounts(), before, "something was left behind");
        fs::write("/sysroot/probe", "").unwrap();
        assert!(!fs::exists("/run/overlayfs").unwrap() && !fs::exists("/run/systemd/volatile-root").unwrap());
        let undone = record["steps"].as_array().unwrap().iter().filter(|step| step["result"] == "undone").count();
        assert!(undone > 10, "{undone}");
    });
}

#[test]
fn hostile_command_lines_never_crash_and_never_leave_their_places() {
    let long = format!("rd.overlay=LABEL={}", "x".repeat(4000));
    let lines: Vec<Vec<u8>> = vec![
        b"rd.overlay=\"LABEL=a b,c:d\\e'f\" rd.overlay.timeout=0".to_vec(),
        b"rd.overlay=/dev/../etc rd.overlay.timeout=0".to_vec(),
        b"rd.overlay=/dev/null rd.overlay.timeout=0".to_vec(),
        b"rd.overlay=tmpfs:size=1M,upperdir=/etc,mode=0777,size=$(reboot)".to_vec(),
        b"rd.overlay=LABEL=\xff\xfe\x80".to_vec(),
        b"rd.overlay=\"`touch /sysroot/pwned`;$(touch /sysroot/pwned)".to_vec(),
        b"overlayroot=device:dev=../../etc/passwd,dir=../../../etc,timeout=0".to_vec(),
        b"overlayroot=tmpfs:dir=/a:b,c\\d".to_vec(),
        format!("{long} rd.overlay.timeout=0").into_bytes(),
        b"rd.overlay rd.overlay.\"=\"\"\" =rd.overlay =".to_vec(),
    ];
    for (number, line) in lines.into_iter().enumerate() {
        on_stage(&format!("hostile{number}"), move |stage| {
            let output = stage.tool("overlay-assemble", &line, &[]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(0), "{said}");
            assert!(!said.contains("panicked"), "{said}");
            let record: Value = serde_json::from_slice(&fs::read("/run/overlayroot/state.json").unwrap()).unwrap();
            assert_eq!(record["outcome"], "degraded", "{record:#}");
            assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
            assert!(!fs::exists("/sysroot/pwned").unwrap());
            let places = ["/run", "/sysroot", "/media/root-r"];
            let strangers = |at: &&String| ["/etc", "/usr", "/dev/", "/tmp"].iter().any(|bad| at.starts_with(bad));
            let mounts: Vec<String> =
                mounts().into_iter().filter(|m| m.fstype == "overlay" || m.fstype == "tmpfs").map(|m| m.at).collect();
            let ours: Vec<&String> = mounts.iter().filter(|at| places.iter().any(|p| at.starts_with(p))).collect();
            assert!(!ours.is_empty() && !ours.iter().any(strangers), "{mounts:?}");
        });
    }
}

#[test]
fn limits_too_small_for_an_overlay_give_a_plain_ram_overlay() {
    on_stage("limits", |stage| {
        let record = stage.assemble("rd.overlay=tmpfs:nr_inodes=1");
        assert_eq!(record["outcome"], "degraded", "{record:#}");
        assert_eq!(record["effective"]["options"], "size=50%,mode=0700");
        assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
    });
}

#[test]
fn silence_is_no_answer_before_the_root_is_mounted() {
    on_stage("late", |stage| {
        stage.mount_root("rw");
        fs::write("/sysroot/etc/overlayroot.conf", "overlayroot=\"tmpfs\"\n").unwrap();
        unmount("/sysroot");
        let output = stage.tool("overlay-assemble", b"quiet", &["--by", "unit"]);
        assert!(output.status.success() && !fs::exists("/run/overlayroot/state.json").unwrap());
        stage.mount_root("ro");
        assert_eq!(stage.assemble("quiet")["outcome"], "applied");
        assert_eq!(mount_at("/sysroot").unwrap().source, "overlayroot");
    });
}

/// Names of all fields, those of the first entry of each list.
fn fields(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                found.push(format!("{at}.{key}"));
                fields(value, &format!("{at}.{key}"), found);
            }
        }
        Value::Array(list) => list.first().into_iter().for_each(|first| fields(first, &format!("{at}[]"), found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_example_of_the_document_is_a_record() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference/record.md")).unwrap();
    let example = page.split("A real run").nth(1).and_then(|rest| rest.split("```json").nth(1)).unwrap();
    let example: Value = serde_json::from_str(example.split("```").next().unwrap()).unwrap();
    on_stage("documented", move |stage| {
        let record = stage.assemble("rd.overlay=LABEL=persist rd.overlay.timeout=2 rd.overlay.rest");
        let (mut wanted, mut has) = (Vec::new(), Vec::new());
        fields(&record, "", &mut wanted);
        fields(&example, "", &mut has);
        assert_eq!(has, wanted, "the record is now: {record:#}");
    });
}
