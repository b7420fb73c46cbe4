// SPDX-License-Identifier: GPL-2.0-or-later
//! Uppers in a subvolume of the root's own btrfs.
use overlayroot_core::layout::Store;
use overlayroot_linux::step::store::make_within;
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::subvol::{TOP, boot, fedora, subvolumes};
use overlayroot_rootns::{Stage, mount_at, on_stage_with, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::time::Duration;

fn refused(record: &Value, code: &str) {
    assert_eq!(record["outcome"], "degraded", "{record:#}");
    assert_eq!(record["reasons"][0]["code"], code, "{record:#}");
    assert_eq!(record["effective"]["upper"], "tmpfs");
    assert!(mount_at(TOP).is_none() && mount_at("/run/initramfs/overlayroot/look").is_none());
}

fn is_read_only(path: &str) -> bool {
    run("btrfs", &["property", "get", "-ts", path, "ro"]).trim() == "ro=true"
}

fn hostname() -> String {
    fs::read_to_string("/sysroot/etc/hostname").unwrap()
}

/// Changes survive two reboots, a reset takes them away. `seen`: where the root has the subvolume.
fn kept(stage: &Stage, name: &str, seen: Option<&str>) {
    let cmdline = format!("rd.overlay=subvol:{name}");
    let record = boot(stage, &cmdline);
    assert_eq!(record["effective"]["path"], name);
    fs::write("/sysroot/etc/hostname", "upper\n").unwrap();
    for _ in 0..2 {
        stage.reboot();
        boot(stage, &cmdline);
        assert_eq!(hostname(), "upper\n");
        assert_eq!(fs::read_to_string("/run/rootfsbase/etc/hostname").unwrap(), "lower\n");
        let all = subvolumes();
        for made in [name.to_owned(), format!("{name}/overlay")] {
            assert!(all.contains(&made), "{all:?}");
        }
        let lower = mount_at("/run/rootfsbase").unwrap();
        assert!(lower.read_only() && !lower.super_read_only(), "{lower:?}");
        assert!(fs::write("/run/rootfsbase/x", "").is_err(), "the lower takes writes");
        if let Some(path) = seen {
            assert!(fs::exists(format!("/run/rootfsbase{path}")).unwrap());
            assert!(!fs::exists(format!("/sysroot{path}")).unwrap(), "{path} is seen");
            let whiteout = fs::symlink_metadata(format!("/run/overlayfs{path}")).unwrap();
            assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
        }
    }
    stage.reboot();
    let record = boot(stage, &format!("{cmdline} rd.overlay.reset"));
    assert_eq!(record["effective"]["reset"], true);
    assert_eq!(hostname(), "lower\n");
    let trash = format!("{name}/.overlayroot/trash/upper.0");
    assert!(subvolumes().contains(&trash), "{:?}", subvolumes());
    assert!(stage.overlayctl(&["trash", "empty"]).starts_with("1 files"));
    assert!(!subvolumes().contains(&trash), "{:?}", subvolumes());
}

#[test]
fn below_a_root_on_the_top_level() {
    on_stage_with("subtop", "btrfs", 256, |stage| kept(stage, "vm/upper", Some("/vm/upper")));
}

#[test]
fn beside_a_root_in_a_subvolume() {
    on_stage_with("subbeside", "btrfs", 256, |stage| {
        fedora(stage);
        kept(stage, "overlay", None);
        assert_eq!(subvolumes(), ["overlay", "overlay/overlay", "root"]);
        assert_eq!(mount_at(TOP).unwrap().root, "/");
        assert_eq!(mount_at("/run/rootfsbase").unwrap().root, "/root");
    });
}

#[test]
fn below_a_root_in_a_subvolume() {
    on_stage_with("subbelow", "btrfs", 256, |stage| {
        fedora(stage);
        kept(stage, "root/var/upper", Some("/var/upper"));
    });
}

#[test]
fn a_root_that_is_mounted_writable() {
    on_stage_with("subrw", "btrfs", 256, |stage| {
        fedora(stage);
        stage.mount_root("rw");
        boot(stage, "rd.overlay=subvol:overlay");
        assert!(fs::write("/run/rootfsbase/x", "").is_err(), "the lower takes writes");
        fs::write("/sysroot/x", "").unwrap();
    });
}

#[test]
fn what_stands_in_the_way_is_said_and_nothing_is_written() {
    on_stage_with("subinway", "btrfs", 256, |stage| {
        fedora(stage);
        run("mount", &["-o", "subvolid=5", &stage.root.node, "/mnt"]);
        fs::create_dir("/mnt/directory").unwrap();
        fs::write("/mnt/file", "x").unwrap();
        symlink("root", "/mnt/link").unwrap();
        unmount("/mnt");
        let before = stage.root.bytes();
        let taken = ["directory", "file", "link", "link/x", "file/x", "root"];
        for (name, code) in taken.map(|name| (name, "place-taken")) {
            refused(&stage.assemble(&format!("rd.overlay=subvol:{name}")), code);
            stage.reboot();
        }
        refused(&stage.assemble("rd.overlay=subvol:overlay rd.overlay.readonly"), "place-missing");
        stage.reboot();
        refused(&stage.assemble("rd.overlay=subvol:root/x rd.overlay.readonly"), "readonly");
        stage.reboot();
        let record = stage.assemble("rd.overlay=subvol:../x");
        assert_eq!(record["issues"][0]["key"], "rd.overlay", "{record:#}");
        assert!(before == stage.root.bytes(), "the root was written");
    });
    on_stage_with("subext4", "ext4", 24, |stage| {
        refused(&stage.assemble("rd.overlay=subvol:overlay"), "foreign-file-system");
    });
}

#[test]
fn what_fails_half_way_is_taken_back() {
    on_stage_with("subhalf", "btrfs", 256, |stage| {
        boot(stage, "rd.overlay=subvol:overlay");
        stage.reboot();
        stage.mount_root("rw");
        run("btrfs", &["-q", "subvolume", "delete", "/sysroot/overlay/overlay"]);
        fs::create_dir("/sysroot/overlay/overlay").unwrap();
        stage.mount_root("ro");
        refused(&stage.assemble("rd.overlay=subvol:overlay"), "make-upper");
        assert!(mount_at("/run/rootfsbase").unwrap().super_read_only(), "the root stayed writable");
        stage.reboot();
        // Somebody's subvolume of that name is neither used nor thrown away.
        stage.mount_root("rw");
        run("btrfs", &["-q", "subvolume", "create", "/sysroot/mine"]);
        run("btrfs", &["-q", "subvolume", "create", "/sysroot/mine/overlay"]);
        fs::write("/sysroot/mine/overlay/file", "mine").unwrap();
        stage.mount_root("ro");
        refused(&stage.assemble("rd.overlay=subvol:mine"), "make-upper");
        stage.reboot();
        refused(&stage.assemble("rd.overlay=subvol:mine rd.overlay.reset"), "reset");
        assert_eq!(fs::read_to_string("/run/rootfsbase/mine/overlay/file").unwrap(), "mine");
    });
}

#[test]
fn read_only_over_a_kept_upper() {
    on_stage_with("subronly", "btrfs", 256, |stage| {
        fedora(stage);
        boot(stage, "rd.overlay=subvol:overlay");
        fs::write("/sysroot/etc/hostname", "upper\n").unwrap();
        stage.reboot();
        let before = stage.root.bytes();
        let record = stage.assemble("rd.overlay=subvol:overlay rd.overlay.readonly");
        assert_eq!((&record["outcome"], &record["effective"]["upper"]), (&"applied".into(), &"tmpfs".into()));
        assert_eq!(hostname(), "upper\n");
        fs::write("/sysroot/etc/hostname", "lost\n").unwrap();
        stage.reboot();
        assert!(before == stage.root.bytes(), "the root was written");
    });
}

#[test]
fn a_kept_upper_is_read_only_until_it_comes_back() {
    on_stage_with("subkeep", "btrfs", 256, |stage| {
        fedora(stage);
        let cmdline = "rd.overlay=subvol:overlay";
        boot(stage, cmdline);
        fs::write("/sysroot/etc/hostname", "one\n").unwrap();
        stage.overlayctl(&["reset", "--keep"]);
        stage.reboot();
        let record = boot(stage, cmdline);
        assert!(record["notes"].to_string().contains("kept as overlay.1"), "{record:#}");
        assert_eq!(hostname(), "lower\n");
        let one = format!("{TOP}/overlay/overlay.1");
        assert!(is_read_only(&one) && fs::write(format!("{one}/upper/x"), "").is_err());
        assert!(!is_read_only(&format!("{TOP}/overlay/overlay")));
        fs::write("/sysroot/etc/hostname", "two\n").unwrap();
        let list = stage.overlayctl(&["uppers", "--json"]);
        let list: Value = serde_json::from_str(&list).unwrap();
        let names: Vec<&str> =
            list["uppers"].as_array().unwrap().iter().map(|upper| upper["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["overlay", "overlay.1"]);
        stage.overlayctl(&["uppers", "restore", "overlay.1"]);
        stage.reboot();
        boot(stage, cmdline);
        assert_eq!(hostname(), "one\n");
        assert!(!is_read_only(&format!("{TOP}/overlay/overlay")));
        assert!(is_read_only(&format!("{TOP}/overlay/overlay.2")));
        // A subvolume that somebody made in it goes with it.
        run("btrfs", &["property", "set", "-ts", &format!("{TOP}/overlay/overlay.2"), "ro", "false"]);
        run("btrfs", &["-q", "subvolume", "create", &format!("{TOP}/overlay/overlay.2/upper/inner")]);
        fs::create_dir(format!("{TOP}/overlay/overlay.2/upper/inner/directory")).unwrap();
        run("btrfs", &["property", "set", "-ts", &format!("{TOP}/overlay/overlay.2"), "ro", "true"]);
        stage.overlayctl(&["uppers", "remove", "overlay.2"]);
        stage.overlayctl(&["trash", "empty"]);
        assert_eq!(subvolumes(), ["overlay", "overlay/overlay", "root"]);
    });
}

#[test]
fn what_a_cut_left_is_done_to_the_end() {
    on_stage_with("subcut", "btrfs", 256, |stage| {
        fedora(stage);
        let (cmdline, base) = ("rd.overlay=subvol:overlay", format!("{TOP}/overlay"));
        boot(stage, cmdline);
        fs::write("/sysroot/etc/hostname", "one\n").unwrap();
        stage.overlayctl(&["reset", "--keep"]);
        // Cut behind the first half of keeping it.
        run("btrfs", &["property", "set", "-ts", &format!("{base}/overlay"), "ro", "true"]);
        fs::rename(format!("{base}/.overlayroot/overlay.json"), format!("{base}/.overlayroot/overlay.1.json")).unwrap();
        stage.reboot();
        boot(stage, cmdline);
        assert_eq!(hostname(), "lower\n");
        assert_eq!(fs::read_to_string(format!("{base}/overlay.1/upper/etc/hostname")).unwrap(), "one\n");
        // Read-only, and reset at each boot: the trash lies in another directory, which the kernel minds.
        run("btrfs", &["property", "set", "-ts", &format!("{base}/overlay"), "ro", "true"]);
        stage.reboot();
        boot(stage, &format!("{cmdline} rd.overlay.reset"));
        stage.reboot();
        boot(stage, cmdline);
        fs::write("/sysroot/etc/hostname", "two\n").unwrap();
        // Cut between the two renames of a restore.
        stage.overlayctl(&["uppers", "restore", "overlay.1"]);
        run("btrfs", &["property", "set", "-ts", &format!("{base}/overlay"), "ro", "true"]);
        fs::rename(format!("{base}/overlay"), format!("{base}/overlay.2")).unwrap();
        stage.reboot();
        boot(stage, cmdline);
        assert_eq!(hostname(), "one\n");
        assert_eq!(fs::read_to_string(format!("{base}/overlay.2/upper/etc/hostname")).unwrap(), "two\n");
    });
}

/// What a boot has no time to remove stays in the subvolume, which it can't leave, until the host removes it.
#[test]
fn an_overfull_work_directory_is_put_aside() {
    on_stage_with("suboverfull", "btrfs", 256, |stage| {
        fedora(stage);
        let cmdline = "rd.overlay=subvol:overlay";
        let upper = format!("{TOP}/overlay/overlay");
        boot(stage, cmdline);
        fs::write("/sysroot/etc/hostname", "upper\n").unwrap();
        unmount("/sysroot");
        fs::create_dir_all(format!("{upper}/work/work/left")).unwrap();
        fs::write(format!("{upper}/work/work/left/file"), "x").unwrap();
        let store = Store::in_subvolume(&format!("{TOP}/overlay"), "overlay");
        make_within(&store, "/run/rootfsbase", Duration::ZERO).unwrap();
        assert_eq!(fs::read_dir(&store.work).unwrap().count(), 0);
        assert!(fs::exists(format!("{upper}/trash/work.0/work/left/file")).unwrap());
        stage.reboot();
        boot(stage, cmdline);
        assert_eq!(hostname(), "upper\n");
        assert!(stage.overlayctl(&["trash", "empty"]).contains("4 files"));
        assert_eq!(fs::read_dir(format!("{upper}/trash")).unwrap().count(), 0);
        // It is no more in the way than upper and work are.
        stage.overlayctl(&["reset"]);
        stage.reboot();
        boot(stage, cmdline);
        assert_eq!(hostname(), "lower\n");
        stage.overlayctl(&["trash", "empty"]);
        assert_eq!(subvolumes(), ["overlay", "overlay/overlay", "root"]);
        // Nothing leads out of it.
        symlink("/etc", format!("{upper}/trash")).unwrap();
        stage.reboot();
        refused(&stage.assemble(cmdline), "look-inside");
    });
}
