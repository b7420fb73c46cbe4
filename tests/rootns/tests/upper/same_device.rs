// SPDX-License-Identifier: GPL-2.0-or-later
//! What belongs to the root is not an upper, by whatever name or device it is called; and a btrfs of several devices is
//! one file system.
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::same::{OTHER, forget, other_path, root_by_another_path, root_on_two, two};
use overlayroot_rootns::{Disk, Stage, loop_device, mount_at, on_stage, on_stage_with, run};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::time::Duration;

const KINDS: [(&str, u64); 3] = [("btrfs", 256), ("ext4", 64), ("xfs", 320)];

/// Refused, and why.
fn refused(record: &Value, code: &str) -> String {
    assert_eq!(record["outcome"], "degraded", "{record:#}");
    assert_eq!(record["reasons"][0]["code"], code, "{record:#}");
    assert_eq!(record["effective"]["upper"], "tmpfs");
    record["reasons"][0]["text"].as_str().unwrap().to_owned()
}

fn applied(record: &Value) {
    assert_eq!(record["outcome"], "applied", "{record:#}");
    assert_ne!(record["effective"]["upper"], "tmpfs", "{record:#}");
}

fn says(text: &str, part: &str) {
    assert!(text.contains(part), "{part} is not in: {text}");
}

/// The bytes of the disk. Linux writes to the log of an xfs at each mount, also a read-only one.
fn without_log(disk: &Disk, kind: &str) -> Vec<u8> {
    let mut bytes = disk.bytes();
    if kind == "xfs" {
        let said = run("xfs_db", &["-r", "-c", "sb 0", "-c", "p", disk.image.to_str().unwrap()]);
        let field = |name: &str| {
            let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
            line.unwrap_or_else(|| panic!("{name}: {said}")).parse::<usize>().unwrap()
        };
        let (start, bits) = (field("logstart"), field("agblklog"));
        let block = (start >> bits) * field("agblocks") + (start & ((1 << bits) - 1));
        let at = block * field("blocksize");
        bytes[at..at + field("logblocks") * field("blocksize")].fill(0);
        // The superblock has the number of its last record.
        bytes[..512].fill(0);
    }
    bytes
}

#[test]
fn the_other_device_of_the_root_is_the_root() {
    on_stage_with("member", "btrfs", 256, |stage| {
        let second = root_on_two(stage);
        let before = (stage.root.bytes(), second.bytes());
        for node in [second.node.clone(), stage.root.node.clone()] {
            for more in ["", " rd.overlay.reset", " rd.overlay.readonly"] {
                let text = refused(&stage.assemble(&format!("rd.overlay={node}{more}")), "device-in-use");
                says(&text, "on /sysroot: it is the root's own");
                stage.reboot();
            }
            let record = stage.assemble(&format!("rd.overlay=loop:/f,dev={node},size=20M"));
            says(&refused(&record, "device-in-use"), "the root's own, where the file lies without dev=");
            stage.reboot();
            let record = stage.assemble(&format!("rd.overlay rd.overlay.path=persist:/etc,dev={node}"));
            assert_eq!(record["reasons"][0]["code"], "device-in-use", "{record:#}");
            stage.reboot();
        }
        let label = format!("LABEL=r{}", stage.tag);
        says(&refused(&stage.assemble(&format!("rd.overlay={label}")), "device-in-use"), "the root's own");
        assert!(before.0 == stage.root.bytes() && before.1 == second.bytes(), "the root was written");
    });
}

#[test]
fn a_root_on_two_devices_holds_its_upper() {
    on_stage_with("hold", "btrfs", 256, |stage| {
        let _second = root_on_two(stage);
        for upper in ["dir:/upper", "loop:/upper.img,size=24M", "subvol:over"] {
            applied(&stage.assemble(&format!("rd.overlay={upper}")));
            fs::write("/sysroot/etc/hostname", upper).unwrap();
            stage.reboot();
            applied(&stage.assemble(&format!("rd.overlay={upper}")));
            assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), upper);
            stage.reboot();
        }
    });
}

#[test]
fn another_path_to_the_roots_device_is_the_root() {
    for (kind, mib) in KINDS {
        on_stage_with(&format!("path{kind}"), kind, mib, move |stage| {
            let (node, before) = (stage.root.node.clone(), without_log(&stage.root, kind));
            for is_there in [true, false] {
                let try_it = |cmdline: &str, part: &str| {
                    root_by_another_path(stage, kind);
                    if !is_there {
                        fs::remove_file(OTHER).unwrap();
                    }
                    says(&refused(&stage.assemble(cmdline), "device-in-use"), part);
                    stage.reboot();
                };
                try_it(&format!("rd.overlay={node}"), "it is the root's own");
                try_it(&format!("rd.overlay={node} rd.overlay.reset"), "it is the root's own");
                try_it(&format!("rd.overlay=loop:/f,dev={node},size=20M"), "where the file lies without dev=");
            }
            // The other way round.
            other_path(&node);
            says(&refused(&stage.assemble(&format!("rd.overlay={OTHER}")), "device-in-use"), "it is the root's own");
            assert!(before == without_log(&stage.root, kind), "the root was written");
        });
    }
}

#[test]
fn a_root_whose_path_is_gone_is_still_known() {
    for (kind, mib) in KINDS {
        on_stage_with(&format!("gone{kind}"), kind, mib, move |stage| {
            root_by_another_path(stage, kind);
            fs::remove_file(OTHER).unwrap();
            let upper = if kind == "btrfs" { "subvol:over" } else { "dir:/over" };
            applied(&stage.assemble(&format!("rd.overlay={upper}")));
            let uuid = run("blkid", &["-p", "-s", "UUID", "-o", "value", &stage.root.node]);
            let found = run("grep", &["-rhF", uuid.trim(), "/run/initramfs/overlayroot/root/over/.overlayroot"]);
            says(&found, "uuid");
        });
    }
}

#[test]
fn the_roots_device_through_a_loop_device_is_not_written() {
    for (kind, mib) in KINDS {
        on_stage_with(&format!("over{kind}"), kind, mib, move |stage| {
            let node = run("losetup", &["--find", "--show", &stage.root.node]).trim().to_owned();
            let over = Disk { node, image: stage.root.image.clone() };
            let before = without_log(&stage.root, kind);
            // What is to hold a loop file is looked at by a mount that replays the journal.
            for asked in [over.node.clone(), format!("loop:/f,dev={},size=20M", over.node)] {
                let record = stage.assemble(&format!("rd.overlay={asked}"));
                says(&refused(&record, "device-in-use"), "has the UUID of what is mounted on /sysroot");
                assert!(mount_at("/run/initramfs/overlayroot/look").is_none());
                stage.reboot();
            }
            assert!(before == without_log(&stage.root, kind), "the root was written");
        });
    }
}

/// What two boots and a reset find, each with nothing in the kernel that says what belongs together.
fn kept(stage: &Stage, disks: &[Disk; 2], asked: &str) {
    for (boot, want) in ["lower\n", "0", "1"].into_iter().enumerate() {
        forget(disks);
        applied(&stage.assemble(&format!("rd.overlay={asked}")));
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), want, "{asked}, boot {boot}");
        fs::write("/sysroot/etc/hostname", boot.to_string()).unwrap();
        stage.reboot();
    }
    forget(disks);
    applied(&stage.assemble(&format!("rd.overlay={asked} rd.overlay.reset")));
    assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "lower\n", "{asked}");
    stage.reboot();
}

#[test]
fn a_btrfs_of_two_devices_is_one_upper() {
    on_stage("twoupper", |stage| {
        let label = format!("u{}", stage.tag);
        let disks = two(stage, "upper", 128, &label);
        let uuid = run("blkid", &["-p", "-s", "UUID", "-o", "value", &disks[0].node]);
        let root = stage.root.bytes();
        let names = [
            format!("LABEL={label}"),
            format!("UUID={}", uuid.trim()),
            disks[0].node.clone(),
            disks[1].node.clone(),
            format!("loop:/upper.img,dev=LABEL={label},size=24M"),
        ];
        for asked in &names {
            kept(stage, &disks, asked);
        }
        forget(&disks);
        // Named twice, it is one.
        let path = format!("rd.overlay.path=persist:/etc,dev={}", disks[1].node);
        applied(&stage.assemble(&format!("rd.overlay=LABEL={label} {path}")));
        assert!(mount_at("/run/initramfs/overlayroot/keep/0").is_none(), "it is mounted twice");
        stage.reboot();
        assert!(root == stage.root.bytes(), "the root was written");
    });
}

#[test]
fn a_device_that_is_missing_is_said_and_one_that_is_late_is_waited_for() {
    on_stage("twolate", |stage| {
        let label = format!("u{}", stage.tag);
        let [first, second] = two(stage, "upper", 128, &label);
        run("losetup", &["-d", &second.node]);
        let before = first.bytes();
        for asked in [format!("LABEL={label}"), first.node.clone(), format!("loop:/f,dev=LABEL={label}")] {
            let record = stage.assemble(&format!("rd.overlay={asked} rd.overlay.timeout=1"));
            let text = refused(&record, "device-incomplete");
            says(&text, &format!("is a btrfs of 2 devices, of which 1 is found after 1.0 s: {}", first.node));
            stage.reboot();
        }
        assert!(before == first.bytes(), "it was written");
        let image = second.image.to_str().unwrap().to_owned();
        let late = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(1500));
            run("losetup", &["--find", "--show", &image]).trim().to_owned()
        });
        let record = stage.assemble(&format!("rd.overlay=LABEL={label} rd.overlay.timeout=30"));
        let node = late.join().unwrap();
        let _late = Disk { node, image: second.image.clone() };
        applied(&record);
        stage.reboot();
        std::mem::forget(second);
    });
}

#[test]
fn copies_of_one_device_stay_ambiguous() {
    on_stage("twocopies", |stage| {
        let label = format!("u{}", stage.tag);
        let disk = stage.disk("one.img", 128, &["mkfs.btrfs", "-q", "-L", &label]);
        run("cp", &["--sparse=always", disk.image.to_str().unwrap(), "/images/copy.img"]);
        let node = run("losetup", &["--find", "--show", "/images/copy.img"]).trim().to_owned();
        let copy = Disk { node, image: "/images/copy.img".into() };
        let before = disk.bytes();
        let text = refused(&stage.assemble(&format!("rd.overlay=LABEL={label}")), "device-ambiguous");
        says(&text, &disk.node);
        says(&text, &copy.node);
        assert!(before == disk.bytes() && before == copy.bytes(), "one was written");
    });
}

#[test]
fn a_loop_file_is_made_and_grows_where_its_device_is_mounted_by_another_path() {
    on_stage("pathtool", |stage| {
        let disk = stage.disk("data.img", 96, &["-t", "ext4"]);
        other_path(&disk.node);
        run("mount", &["-i", "-t", "ext4", OTHER, "/mnt"]);
        let file = format!("/upper.img,dev={},size=20M", disk.node);
        stage.overlayctl(&["loop", "create", &file]);
        unmount("/mnt");
        applied(&stage.assemble(&format!("rd.overlay=loop:/upper.img,dev={}", disk.node)));
        // The plan of the next boot is made from this one's mount.
        let plan = stage.tool("overlayctl", format!("rd.overlay=loop:/upper.img,dev={OTHER}").as_bytes(), &["plan"]);
        let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
        assert!(plan.contains("attach") && !plan.contains("make-loop-file"), "{plan}");
        stage.reboot();
        // The file's own file system, too, may be mounted by another path.
        run("mount", &["-i", "-t", "ext4", OTHER, "/mnt"]);
        let node = run("losetup", &["--find", "--show", "/mnt/upper.img"]).trim().to_owned();
        let inner = Disk { node, image: "/mnt/upper.img".into() };
        other_path(&inner.node);
        fs::create_dir("/tmp/inner").unwrap();
        run("mount", &["-i", "-t", "ext4", OTHER, "/tmp/inner"]);
        // ext4 asks for CAP_SYS_RESOURCE, which containers lack: it may fail, but the mount was found.
        let asked = format!("/upper.img,dev={},size=40M", disk.node);
        let grown = Command::new("/overlayctl").args(["loop", "grow", &asked]).output().unwrap();
        if !grown.status.success() {
            says(&String::from_utf8_lossy(&grown.stderr), "growing the ext4 on /tmp/inner");
        }
        assert!(fs::metadata("/mnt/upper.img").unwrap().len() == 40 << 20 && loop_device().is_none());
        unmount("/tmp/inner");
        let said = Command::new("/overlay-loop").args(["detach", OTHER]).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        std::mem::forget(inner);
        unmount("/mnt");
    });
}
