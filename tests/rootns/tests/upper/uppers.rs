// SPDX-License-Identifier: GPL-2.0-or-later
//! Uppers that work: what the kernel shows afterwards.
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{mount_at, mounts, on_stage, run};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

#[test]
fn tmpfs_has_dracut_ngs_names_and_the_asked_limits() {
    on_stage("tmpfs", |stage| {
        let record = stage.assemble("rd.overlay=tmpfs:size=8M,nr_inodes=1000");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let root = mount_at("/sysroot").unwrap();
        assert_eq!((root.fstype.as_str(), root.source.as_str()), ("overlay", "LiveOS_rootfs"));
        for (key, want) in
            [("lowerdir", "/run/rootfsbase"), ("upperdir", "/run/overlayfs"), ("workdir", "/run/ovlwork")]
        {
            assert_eq!(root.super_option(key).as_deref(), Some(want));
        }
        let tmpfs = mount_at("/run/initramfs/overlay").unwrap();
        assert_eq!(tmpfs.super_option("size").as_deref(), Some("8192k"));
        assert_eq!(tmpfs.super_option("nr_inodes").as_deref(), Some("1000"));
        assert_eq!(fs::read_link("/run/overlayfs").unwrap().to_str(), Some("/run/initramfs/overlay/overlayfs"));
        fs::write("/sysroot/etc/hostname", "upper\n").unwrap();
        assert_eq!(fs::read_to_string("/run/rootfsbase/etc/hostname").unwrap(), "lower\n");
        assert_eq!(fs::read_to_string("/run/overlayfs/etc/hostname").unwrap(), "upper\n");
    });
}

#[test]
fn the_merged_root_has_the_lowers_attributes() {
    on_stage("attributes", |stage| {
        stage.mount_root("rw");
        fs::set_permissions("/sysroot", fs::Permissions::from_mode(0o1751)).unwrap();
        chown("/sysroot", Some(12), Some(34)).unwrap();
        for name in ["trusted.x", "security.x"] {
            rustix::fs::setxattr("/sysroot", name, b"value", rustix::fs::XattrFlags::empty()).unwrap();
        }
        let want = fs::metadata("/sysroot").unwrap();
        stage.assemble("rd.overlay");
        assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
        let got = fs::metadata("/sysroot").unwrap();
        assert_eq!(
            (got.mode(), got.uid(), got.gid(), got.mtime()),
            (want.mode(), want.uid(), want.gid(), want.mtime())
        );
        for name in ["trusted.x", "security.x"] {
            let mut value = [0; 16];
            let len = rustix::fs::getxattr("/sysroot", name, &mut value).unwrap();
            assert_eq!(&value[..len], b"value", "{name}");
        }
    });
}

#[test]
fn the_lower_is_read_only_underneath_too() {
    on_stage("underneath", |stage| {
        stage.mount_root("rw");
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        let lower = mount_at("/run/rootfsbase").unwrap();
        assert!(lower.read_only() && lower.super_read_only(), "{lower:?}");
        assert!(fs::write("/run/rootfsbase/x", "").is_err());
    });
}

#[test]
fn a_device_keeps_what_was_written() {
    for (kind, mib, mkfs) in [
        ("ext4", 16, vec!["-t", "ext4", "-L"]),
        ("xfs", 320, vec!["mkfs.xfs", "-q", "-L"]),
        ("btrfs", 128, vec!["mkfs.btrfs", "-q", "-L"]),
    ] {
        on_stage(kind, move |stage| {
            let label = format!("k{}", stage.tag);
            let mut args = mkfs.clone();
            args.push(&label);
            let disk = stage.disk("upper.img", mib, &args);
            for boot in 0..3 {
                let record = stage.assemble(&format!("rd.overlay=LABEL={label}"));
                assert_eq!(record["outcome"], "applied", "{record:#}");
                assert_eq!(record["effective"]["device"], disk.node.as_str());
                let backing = mount_at("/run/overlayfs-backing").unwrap();
                assert_eq!((backing.fstype.as_str(), backing.source.as_str()), (kind, disk.node.as_str()));
                assert_eq!(fs::read_dir("/sysroot/etc").unwrap().count(), 2 + boot);
                fs::write(format!("/sysroot/etc/boot{boot}"), "x").unwrap();
                stage.reboot();
            }
        });
    }
}

#[test]
fn reset_empties_upper_and_work_and_nothing_else() {
    on_stage("reset", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        stage.assemble(&format!("rd.overlay={}", disk.node));
        fs::write("/sysroot/etc/new", "x").unwrap();
        fs::write("/run/initramfs/overlayroot/upper/mine", "keep").unwrap();
        stage.reboot();
        let record = stage.assemble(&format!("rd.overlay={} rd.overlay.reset", disk.node));
        assert_eq!(record["effective"]["reset"], true, "{record:#}");
        assert!(!fs::exists("/sysroot/etc/new").unwrap());
        assert_eq!(fs::read_to_string("/run/overlayfs-backing/mine").unwrap(), "keep");
    });
}

#[test]
fn readonly_makes_the_devices_upper_a_layer() {
    on_stage("readonly", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        stage.assemble(&format!("rd.overlay={}", disk.node));
        fs::write("/sysroot/etc/kept", "x").unwrap();
        stage.reboot();
        let before = disk.bytes();
        let record = stage.assemble(&format!("rd.overlay={} rd.overlay.readonly", disk.node));
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let root = mount_at("/sysroot").unwrap();
        assert_eq!(root.super_option("lowerdir").as_deref(), Some("/run/overlayfs-r:/run/rootfsbase"));
        assert!(fs::exists("/sysroot/etc/kept").unwrap());
        fs::write("/sysroot/etc/gone", "x").unwrap();
        stage.reboot();
        assert!(before == disk.bytes(), "the device was written to");
    });
}

#[test]
fn a_stale_work_directory_and_a_volatile_marker_do_not_matter() {
    on_stage("stale", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        run("mount", &[&disk.node, "/tmp"]);
        fs::create_dir_all("/tmp/overlay").unwrap();
        fs::create_dir_all("/tmp/ovlwork/work/a/b/c/d").unwrap();
        fs::create_dir_all("/tmp/ovlwork/work/incompat/volatile").unwrap();
        unmount("/tmp");
        let record = stage.assemble(&format!("rd.overlay={}", disk.node));
        assert_eq!(record["outcome"], "applied", "{record:#}");
        fs::write("/sysroot/x", "writable").unwrap();
    });
}

#[test]
fn mounts_below_the_root_come_back_over_the_overlay() {
    on_stage("submounts", |stage| {
        run("mount", &["-t", "tmpfs", "usr", "/sysroot/usr"]);
        fs::create_dir("/sysroot/usr/local").unwrap();
        run("mount", &["-t", "tmpfs", "local", "/sysroot/usr/local"]);
        let record = stage.assemble("rd.overlay");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert_eq!(mount_at("/sysroot/usr").unwrap().source, "usr");
        assert_eq!(mount_at("/sysroot/usr/local").unwrap().source, "local");
        assert!(!mounts().iter().any(|m| m.at.contains("parked")));
        let mut places: Vec<String> = mounts()
            .into_iter()
            .map(|m| m.at)
            .filter(|at| at.starts_with("/run") || at.starts_with("/sysroot"))
            .collect();
        let all = places.len();
        places.sort();
        places.dedup();
        assert_eq!(all, places.len(), "a mount point twice");
    });
}

#[test]
fn a_second_run_changes_nothing() {
    on_stage("twice", |stage| {
        let first = stage.assemble("rd.overlay");
        let before = mounts();
        assert_eq!(stage.assemble("rd.overlay=/dev/null"), first);
        assert_eq!(mounts(), before);
    });
}

#[test]
fn ubuntus_argument_gives_ubuntus_names() {
    on_stage("ubuntu", |stage| {
        let record = stage.assemble("overlayroot=tmpfs:size=9M");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let root = mount_at("/sysroot").unwrap();
        assert_eq!(root.source, "overlayroot");
        assert_eq!(root.super_option("workdir").as_deref(), Some("/media/root-rw/overlay-workdir/_"));
        assert_eq!(mount_at("/sysroot/media/root-rw").unwrap().source, "tmpfs-root");
        assert!(mount_at("/sysroot/media/root-ro").unwrap().read_only());
        let skip = fs::read_to_string("/run/systemd/system/swapfile.swap.d/50-overlayroot-rs.conf").unwrap();
        assert!(skip.contains("ConditionPathExists=!/run/overlayroot/state.json"), "{skip}");
    });
}

#[test]
fn overlay_upper_mounts_by_hand() {
    on_stage("by-hand", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        let dry = stage.tool("overlay-upper", b"", &["--dry-run", &disk.node]);
        assert!(dry.status.success() && mount_at("/run/overlayfs-backing").is_none());
        let done = stage.tool("overlay-upper", b"", &[&disk.node]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let shown = mount_at("/run/overlayfs-backing").unwrap();
        assert!(shown.source == disk.node && shown.read_only(), "{shown:?}");
        fs::write("/run/initramfs/overlayroot/upper/repaired", "").unwrap();
        assert_eq!(mount_at("/sysroot").unwrap().fstype, "ext4");
    });
}
