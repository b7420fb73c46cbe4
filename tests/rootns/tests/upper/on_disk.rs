// SPDX-License-Identifier: GPL-2.0-or-later
//! Uppers on the root's own file system: in a directory, in a loop file.
use overlayroot_rootns::{Stage, loop_device, mount_at, on_stage_with, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

const FILE: &str = "/run/initramfs/overlayroot/root/var/upper.img";

fn applied(record: &Value, kind: &str) {
    assert_eq!(record["outcome"], "applied", "{record:#}");
    assert_eq!(record["effective"]["upper"], kind);
}

fn refused(record: &Value, code: &str) {
    assert_eq!(record["outcome"], "degraded", "{record:#}");
    assert_eq!(record["reasons"][0]["code"], code, "{record:#}");
    assert_eq!(record["effective"]["upper"], "tmpfs");
}

fn is_whiteout(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_char_device() && metadata.rdev() == 0)
}

/// Changes survive two reboots, a reset takes them away, and the place is hidden throughout.
fn kept(stage: &Stage, cmdline: &str, kind: &str, hidden: &str) {
    applied(&stage.assemble(cmdline), kind);
    fs::write("/sysroot/etc/hostname", "upper\n").unwrap();
    for _ in 0..2 {
        stage.reboot();
        applied(&stage.assemble(cmdline), kind);
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "upper\n");
        assert_eq!(fs::read_to_string("/run/rootfsbase/etc/hostname").unwrap(), "lower\n");
        assert!(!fs::exists(format!("/sysroot{hidden}")).unwrap(), "{hidden} is seen");
        assert!(fs::exists(format!("/run/rootfsbase{hidden}")).unwrap());
        assert!(is_whiteout(&format!("/run/overlayfs{hidden}")));
        assert!(fs::write("/run/rootfsbase/x", "").is_err(), "the lower takes writes");
        assert!(mount_at("/run/rootfsbase").unwrap().read_only());
        let private = fs::metadata("/run/initramfs/overlayroot").unwrap();
        assert_eq!(private.permissions().mode() & 0o777, 0o700);
    }
    stage.reboot();
    let record = stage.assemble(&format!("{cmdline} rd.overlay.reset"));
    applied(&record, kind);
    assert_eq!(record["effective"]["reset"], true);
    assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "lower\n");
}

#[test]
fn a_directory_on_each_file_system() {
    for (fstype, mib) in [("ext4", 24), ("xfs", 300), ("btrfs", 160)] {
        on_stage_with(&format!("dir{fstype}"), fstype, mib, move |stage| {
            kept(stage, "rd.overlay=dir:/var/lib/upper", "dir", "/var/lib/upper");
        });
    }
}

#[test]
fn a_loop_file_on_each_file_system() {
    for (fstype, mib) in [("ext4", 128), ("xfs", 300), ("btrfs", 256)] {
        on_stage_with(&format!("loop{fstype}"), fstype, mib, move |stage| {
            kept(stage, "rd.overlay=loop:/var/upper.img,size=32M", "loop", "/var/upper.img");
            let file = fs::metadata(FILE).unwrap();
            assert_eq!(file.len(), 32 << 20);
            assert!(file.blocks() * 512 >= 32 << 20, "sparse: {} blocks", file.blocks());
            assert_eq!(file.permissions().mode() & 0o777, 0o600);
            let name = loop_device().unwrap();
            let queue = format!("/sys/block/{}/queue/discard_max_bytes", name.trim_start_matches("/dev/"));
            assert_eq!(fs::read_to_string(queue).unwrap().trim(), "0");
            if fstype == "btrfs" {
                assert!(run("lsattr", &[FILE]).split(' ').next().unwrap().contains('C'));
            }
            assert_eq!(mount_at("/run/overlayfs-backing").unwrap().source, name);
        });
    }
}

#[test]
fn a_loop_file_with_each_file_system_in_it_grows() {
    // ext4 asks for CAP_SYS_RESOURCE, which containers lack: boot case `loop/loop-xfs` has it.
    for fs_in_it in ["xfs", "btrfs"] {
        on_stage_with(&format!("grow{fs_in_it}"), "ext4", 900, move |stage| {
            let cmdline = |size: &str| format!("rd.overlay=loop:/var/upper.img,size={size},fs={fs_in_it},grow");
            applied(&stage.assemble(&cmdline("300M")), "loop");
            fs::write("/sysroot/etc/hostname", "upper\n").unwrap();
            let backing = || nix::sys::statvfs::statvfs("/run/overlayfs-backing").unwrap();
            let before = backing();
            stage.reboot();
            applied(&stage.assemble(&cmdline("500M")), "loop");
            let after = backing();
            assert!(after.blocks() > before.blocks() * 3 / 2, "{} to {}", before.blocks(), after.blocks());
            assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "upper\n");
            let file = fs::metadata(FILE).unwrap();
            assert!(file.len() == 500 << 20 && file.blocks() * 512 >= 500 << 20);
            stage.reboot();
            // More than there is: said, and the upper runs as large as it was.
            let record = stage.assemble(&cmdline("2G"));
            assert_eq!(record["outcome"], "degraded", "{record:#}");
            assert_eq!(record["effective"]["upper"], "loop");
            assert_eq!(record["reasons"][0]["code"], "grow-loop-file");
            assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "upper\n");
            assert_eq!(fs::metadata(FILE).unwrap().len(), 500 << 20);
        });
    }
}

#[test]
fn too_little_room_is_said_before_anything_is_written() {
    on_stage_with("room", "ext4", 64, |stage| {
        let before = stage.root.bytes();
        let record = stage.assemble("rd.overlay=loop:/var/upper.img,size=60M");
        refused(&record, "no-room");
        assert!(record["reasons"][0]["text"].as_str().unwrap().contains("needs 60M"), "{record:#}");
        stage.reboot();
        refused(&stage.assemble("rd.overlay=loop:/var/upper.img,size=16M,reserve=40M"), "no-room");
        assert!(before == stage.root.bytes(), "the root was written");
    });
}

#[test]
fn half_a_file_is_remade_and_a_finished_one_never() {
    on_stage_with("half", "ext4", 96, |stage| {
        stage.mount_root("rw");
        fs::create_dir_all("/sysroot/var").unwrap();
        fs::write("/sysroot/var/upper.img.new", vec![7; 60 << 20]).unwrap();
        // Its blocks count as free: without them there would be no room.
        applied(&stage.assemble("rd.overlay=loop:/var/upper.img,size=40M"), "loop");
        assert!(!fs::exists(format!("{FILE}.new")).unwrap());
        stage.reboot();
        stage.mount_root("rw");
        run("dd", &["if=/dev/zero", "of=/sysroot/var/upper.img", "bs=4k", "count=1", "conv=notrunc", "status=none"]);
        stage.mount_root("ro");
        let before = stage.root.bytes();
        refused(&stage.assemble("rd.overlay=loop:/var/upper.img,size=40M"), "no-file-system");
        assert!(before == stage.root.bytes(), "a file that is not understood was written");
    });
}

#[test]
fn a_truncated_file_is_left_alone() {
    on_stage_with("cut", "ext4", 96, |stage| {
        applied(&stage.assemble("rd.overlay=loop:/var/upper.img,size=40M"), "loop");
        stage.reboot();
        stage.mount_root("rw");
        fs::OpenOptions::new().write(true).open("/sysroot/var/upper.img").unwrap().set_len(20 << 20).unwrap();
        let sum = run("sha256sum", &["/sysroot/var/upper.img"]);
        stage.mount_root("ro");
        refused(&stage.assemble("rd.overlay=loop:/var/upper.img,size=40M"), "look");
        assert_eq!(sum.split(' ').next(), run("sha256sum", &["/run/rootfsbase/var/upper.img"]).split(' ').next());
        assert!(loop_device().is_none(), "the loop device was not given back");
        assert!(mount_at("/run/initramfs/overlayroot/root").is_none());
        assert!(mount_at("/run/rootfsbase").unwrap().super_read_only(), "the root stayed writable");
    });
}

#[test]
fn what_stands_in_the_way_is_said() {
    on_stage_with("inway", "ext4", 64, |stage| {
        stage.mount_root("rw");
        fs::create_dir_all("/sysroot/var/directory").unwrap();
        fs::write("/sysroot/var/file", "x").unwrap();
        std::os::unix::fs::symlink("/etc", "/sysroot/var/link").unwrap();
        stage.mount_root("ro");
        let before = stage.root.bytes();
        let cases = [
            ("loop:/var/directory", "place-taken"),
            ("loop:/var/link", "place-taken"),
            ("loop:/var/link/file", "place-taken"),
            ("loop:/var/file/x", "place-taken"),
            ("loop:/var/file", "no-file-system"),
            ("dir:/var/file", "place-taken"),
            ("dir:/var/link", "place-taken"),
            ("dir:/var/link/x", "place-taken"),
        ];
        for (value, code) in cases {
            refused(&stage.assemble(&format!("rd.overlay={value}")), code);
            stage.reboot();
        }
        assert!(before == stage.root.bytes(), "the root was written");
    });
}

#[test]
fn read_only_over_a_kept_upper() {
    on_stage_with("ronly", "ext4", 96, |stage| {
        let cmdline = "rd.overlay=loop:/f,size=20M";
        applied(&stage.assemble(cmdline), "loop");
        fs::write("/sysroot/etc/kept", "kept").unwrap();
        stage.reboot();
        let before = stage.root.bytes();
        applied(&stage.assemble(&format!("{cmdline} rd.overlay.readonly")), "tmpfs");
        assert_eq!(fs::read_to_string("/sysroot/etc/kept").unwrap(), "kept");
        fs::write("/sysroot/etc/kept", "lost").unwrap();
        assert!(!fs::exists("/sysroot/f").unwrap());
        stage.reboot();
        // The kernel refuses a layer that lies inside another one.
        refused(&stage.assemble("rd.overlay=dir:/d rd.overlay.readonly"), "readonly");
        assert!(before == stage.root.bytes(), "the root was written");
    });
}

/// ext4 keeps up to 16 MiB for itself, which statfs(2) calls free: a full one must be seen nevertheless.
#[test]
fn a_full_root_is_seen_before_anything_is_made() {
    on_stage_with("fullroot", "ext4", 256, |stage| {
        stage.mount_root("rw");
        let fill = fs::File::create("/sysroot/fill").unwrap();
        let room = || nix::sys::statvfs::statvfs("/sysroot").unwrap();
        while room().blocks_available() > 0 {
            use std::os::unix::fs::FileExt;
            let at = fill.metadata().unwrap().len();
            if fill.write_all_at(&[7; 1 << 16], at).and_then(|()| fill.sync_all()).is_err() {
                break;
            }
        }
        assert!(room().blocks_free() * room().fragment_size() > 1 << 20, "nothing is kept back: no test");
        drop(fill);
        stage.mount_root("ro");
        let record = stage.assemble("rd.overlay=dir:/upper");
        refused(&record, "look-inside");
        assert!(record["reasons"][0]["text"].as_str().unwrap().contains("full"), "{record:#}");
        assert!(!fs::exists("/run/rootfsbase/upper").unwrap());
        stage.reboot();
        refused(&stage.assemble("rd.overlay=loop:/upper.img,size=16M"), "no-room");
    });
}
