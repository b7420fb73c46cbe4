// SPDX-License-Identifier: GPL-2.0-or-later
//! Roots and uppers that are not as others: a btrfs has no number of a device, a file system can fold the case of
//! names, a device for an upper can be empty.
use overlayroot_core::facts::device::Lookup;
use overlayroot_linux::probe::device;
use overlayroot_rootns::{on_stage, on_stage_with, run};
use std::fs;
use std::path::Path;
use std::time::Duration;

const LINK: &str = "/run/systemd/volatile-root";

/// `major:minor` of a node, as sysfs has it.
fn number(node: &str) -> String {
    let name = node.rsplit('/').next().unwrap();
    fs::read_to_string(format!("/sys/class/block/{name}/dev")).unwrap().trim().to_owned()
}

#[test]
fn systemd_can_read_the_device_behind_the_root() {
    for (fstype, mib) in [("ext4", 24), ("btrfs", 160)] {
        on_stage_with(&format!("volatile-{fstype}"), fstype, mib, |stage| {
            assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
            // Nothing but a number is read (systemd: device_path_parse_major_minor).
            assert_eq!(
                fs::read_link(LINK).unwrap().to_str(),
                Some(&*format!("/dev/block/{}", number(&stage.root.node)))
            );
        });
    }
}

#[test]
fn a_root_on_two_devices_has_none() {
    on_stage_with("volatile-two", "btrfs", 160, |stage| {
        let other = stage.disk("other.img", 160, &[]);
        stage.mount_root("rw");
        run("btrfs", &["device", "add", "-f", &other.node, "/sysroot"]);
        stage.mount_root("ro");
        let record = stage.assemble("rd.overlay");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert!(fs::symlink_metadata(LINK).is_err(), "{:?}", fs::read_link(LINK));
        stage.reboot();
    });
}

#[test]
fn a_file_system_that_can_fold_names_is_seen() {
    on_stage("casefold", |stage| {
        for (features, casefold) in [("casefold", true), ("^casefold", false)] {
            let disk = stage.disk(&format!("{casefold}.img"), 16, &["-t", "ext4", "-O", features]);
            match device::resolve(
                &overlayroot_core::value::device::Device::Path(disk.node.clone()),
                Duration::ZERO,
                || (),
            ) {
                Lookup::Found(device) => assert_eq!(device.casefold, casefold, "{device:?}"),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn an_upper_that_can_fold_names_is_refused_before_it_is_mounted() {
    on_stage("casefold-upper", |stage| {
        let label = format!("f{}", stage.tag);
        let disk = stage.disk("folds.img", 16, &["-t", "ext4", "-O", "casefold", "-L", &label]);
        let line = format!("rd.overlay=LABEL={label}");
        let before = disk.bytes();
        let refused = |why: &str| {
            let doctor = stage.tool("overlayctl", line.as_bytes(), &["doctor", "--cmdline", &line]);
            let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
            assert!(doctor.status.code() == Some(2) && said.contains("has the feature casefold"), "{said}");
            let record = stage.assemble(&line);
            assert_eq!((&record["outcome"], &record["effective"]["upper"]), (&"degraded".into(), &"tmpfs".into()));
            assert_eq!(record["reasons"][0]["code"], "casefold", "{record:#}");
            assert!(record["reasons"][0]["text"].as_str().unwrap().contains(why), "{record:#}");
            assert_eq!(disk.bytes(), before);
            stage.reboot();
        };
        // the kernel of Debian 13, by what it says of itself
        fs::write("/tmp/osrelease", "6.12.48\n").unwrap();
        run("mount", &["--bind", "/tmp/osrelease", "/proc/sys/kernel/osrelease"]);
        let unicode = Path::new("/sys/fs/ext4/features/casefold").exists();
        refused(if unicode { "before Linux 6.17, this is 6.12.48" } else { "without CONFIG_UNICODE" });
        run("umount", &["/proc/sys/kernel/osrelease"]);
        // and this one
        let mounts = std::process::Command::new("mount").args(["-o", "ro", &disk.node, "/mnt"]).output().unwrap();
        assert_eq!(mounts.status.success(), unicode);
        match unicode {
            false => refused("without CONFIG_UNICODE"),
            true => run("umount", &["/mnt"]).clear(),
        }
    });
}

#[test]
fn an_empty_upper_is_no_layer_and_the_reason_says_so() {
    on_stage("readonly-empty", |stage| {
        let disk = stage.disk("empty.img", 16, &["-t", "ext4"]);
        let line = format!("rd.overlay={} rd.overlay.readonly", disk.node);
        let record = stage.assemble(&line);
        assert_eq!(record["outcome"], "degraded", "{record:#}");
        let reason = &record["reasons"][0];
        assert_eq!(reason["code"], "look", "{record:#}");
        let text = reason["text"].as_str().unwrap();
        assert!(
            text.contains("nothing was ever kept here") && text.contains("rd.overlay.readonly makes none"),
            "{text}"
        );
        assert!(!Path::new("/sysroot/lost+found/x").exists());
        // Once there is an upper it is used.
        stage.reboot();
        assert_eq!(stage.assemble(&format!("rd.overlay={}", disk.node))["outcome"], "applied");
        fs::write("/sysroot/etc/kept", "").unwrap();
        stage.reboot();
        assert_eq!(stage.assemble(&line)["outcome"], "applied");
        assert!(Path::new("/sysroot/etc/kept").exists());
    });
}

#[test]
fn a_swap_file_on_its_own_file_system_stays_on() {
    on_stage("swap-apart", |stage| {
        let disk = stage.disk("data.img", 16, &["-t", "ext4"]);
        stage.mount_root("rw");
        fs::create_dir_all("/sysroot/data").unwrap();
        let table = format!("{} /data ext4 defaults\n/data/swapfile none swap sw\n/swapfile none swap sw\n", disk.node);
        fs::write("/sysroot/etc/fstab", table).unwrap();
        stage.mount_root("ro");
        let record = stage.assemble("rd.overlay");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let off = |unit: &str| Path::new(&format!("/run/systemd/system/{unit}.swap.d/50-overlayroot-rs.conf")).exists();
        assert!(off("swapfile") && !off("data-swapfile"));
        // As the unit will, with the kernel: it takes the one, and would not take the other.
        run("mount", &[&disk.node, "/sysroot/data"]);
        for path in ["/sysroot/data/swapfile", "/sysroot/swapfile"] {
            run("dd", &["if=/dev/zero", &format!("of={path}"), "bs=64k", "count=16"]);
            run("mkswap", &[path]);
        }
        let taken = |path: &str| {
            let on = std::process::Command::new("swapon").arg(path).output().unwrap().status.success();
            if on {
                run("swapoff", &[path]);
            }
            on
        };
        assert!(taken("/sysroot/data/swapfile") && !taken("/sysroot/swapfile"));
    });
}
