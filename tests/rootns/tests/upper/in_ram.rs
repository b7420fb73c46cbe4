// SPDX-License-Identifier: GPL-2.0-or-later
//! What is renamed in an upper in RAM, or gets another mode or owner, has its content in the lower (`metacopy`,
//! `redirect_dir`); one that stays has all of its own.
use overlayroot_rootns::{Stage, mount_at, on_stage, on_stage_with, run};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const PARAMETERS: &str = "/sys/module/overlay/parameters";
const MIB: usize = 1 << 20;

/// Bytes that the upper's tmpfs uses.
fn used() -> u64 {
    let room = rustix::fs::statvfs("/run/initramfs/overlay").unwrap();
    (room.f_blocks - room.f_bfree) * room.f_frsize
}

/// No block is a hole, or like another.
fn large() -> Vec<u8> {
    (0..64 * MIB).map(|at| (at / 4096 % 251) as u8 + 1).collect()
}

fn furnish(stage: &Stage, make: impl Fn()) {
    stage.mount_root("rw");
    make();
    stage.mount_root("ro");
}

fn chmod(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Whether the overlay has a feature on, also where that is the kernel's default: that one is not shown.
fn has(option: &str) -> bool {
    let default = fs::read_to_string(format!("{PARAMETERS}/{option}")).unwrap().trim() == "Y";
    mount_at("/sysroot").unwrap().super_option(option).map_or(default, |value| value == "on")
}

/// An upper with a copy of all that was changed; a directory of the lower can't be renamed.
fn copies_all(what: &str) {
    assert!(!has("metacopy") && !has("redirect_dir"), "{what}: {:?}", mount_at("/sysroot"));
    chmod("/sysroot/etc/hostname", 0o600);
    let copy = fs::metadata("/run/overlayfs/etc/hostname").unwrap();
    assert!(copy.blocks() > 0 && copy.mode() & 0o777 == 0o600, "{what}");
    let renamed = fs::rename("/sysroot/etc", "/sysroot/moved").unwrap_err();
    assert_eq!(renamed.kind(), std::io::ErrorKind::CrossesDevices, "{what}");
}

#[test]
fn attributes_and_names_take_no_room() {
    on_stage_with("ram-large", "ext4", 128, |stage| {
        let large = large();
        furnish(stage, || {
            fs::create_dir_all("/sysroot/srv/many").unwrap();
            fs::write("/sysroot/srv/large", &large).unwrap();
            for number in 0..3000 {
                fs::write(format!("/sysroot/srv/many/{number}"), vec![b'x'; 4000]).unwrap();
            }
        });
        // The file would not fit, and the many would not.
        let record = stage.assemble("rd.overlay=tmpfs:size=8M");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert!(has("metacopy") && has("redirect_dir"), "{:?}", mount_at("/sysroot"));
        let before = used();
        let grown = || used().saturating_sub(before);
        chmod("/sysroot/srv/large", 0o600);
        run("chown", &["-R", "7:8", "/sysroot/srv/many"]);
        fs::rename("/sysroot/srv/many", "/sysroot/srv/moved").unwrap();
        fs::rename("/sysroot/srv/large", "/sysroot/etc/large").unwrap();
        assert!(grown() < 64 << 10, "{} bytes", grown());

        let now = fs::metadata("/sysroot/etc/large").unwrap();
        assert_eq!((now.mode() & 0o7777, now.len()), (0o600, large.len() as u64));
        assert!(fs::read("/sysroot/etc/large").unwrap() == large, "the content");
        assert_eq!(fs::read_dir("/sysroot/srv/moved").unwrap().count(), 3000);
        let one = |name: &str| fs::metadata(format!("/sysroot/srv/moved/{name}")).unwrap();
        assert_eq!((one("0").uid(), one("2999").gid(), one("5").len()), (7, 8, 4000));
        assert!(!fs::exists("/sysroot/srv/many").unwrap() && !fs::exists("/sysroot/srv/large").unwrap());
        let lower = fs::metadata("/run/rootfsbase/srv/many/0").unwrap();
        assert_eq!((lower.uid(), lower.len()), (0, 4000), "the lower is as it was");

        // What is written to is copied then.
        let mut text = fs::read("/sysroot/srv/moved/1").unwrap();
        text.extend_from_slice(b"more");
        run("sh", &["-c", "printf more >>/sysroot/srv/moved/1"]);
        assert_eq!(fs::read("/sysroot/srv/moved/1").unwrap(), text);
        assert_eq!((one("1").uid(), one("1").gid()), (7, 8));
        assert!(grown() >= 4096, "{} bytes", grown());
        fs::create_dir("/sysroot/srv/many").unwrap();
        assert_eq!(fs::read_dir("/sysroot/srv/many").unwrap().count(), 0, "a new one of the old name");
    });
}

#[test]
fn over_a_kept_upper_that_is_only_read() {
    on_stage("ram-readonly", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        furnish(stage, || {
            fs::create_dir("/sysroot/srv").unwrap();
            fs::write("/sysroot/srv/lower", "lower's").unwrap();
        });
        stage.assemble(&format!("rd.overlay={}", disk.node));
        fs::write("/sysroot/srv/kept", vec![b'k'; MIB]).unwrap();
        stage.reboot();
        let device = disk.bytes();
        let record = stage.assemble(&format!("rd.overlay={} rd.overlay.readonly", disk.node));
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let before = used();
        chmod("/sysroot/srv/kept", 0o600);
        fs::rename("/sysroot/srv", "/sysroot/moved").unwrap();
        assert!(used() - before < 64 << 10, "{} bytes", used() - before);
        assert_eq!(fs::read("/sysroot/moved/kept").unwrap(), vec![b'k'; MIB]);
        assert_eq!(fs::read_to_string("/sysroot/moved/lower").unwrap(), "lower's", "of both layers");
        stage.reboot();
        assert!(device == disk.bytes(), "the device was written to");
    });
}

#[test]
fn under_ubuntus_names_and_where_the_device_is_missing() {
    on_stage("ram-names", |stage| {
        for line in ["overlayroot=tmpfs", "rd.overlay=LABEL=none rd.overlay.timeout=0"] {
            let record = stage.assemble(line);
            assert_eq!(record["effective"]["upper"], "tmpfs", "{record:#}");
            fs::rename("/sysroot/etc", "/sysroot/moved").unwrap();
            assert_eq!(fs::read_to_string("/sysroot/moved/hostname").unwrap(), "lower\n", "{line}");
            stage.reboot();
        }
    });
}

/// Of a kernel before 4.19 its parameters are shown, and no more.
#[test]
fn a_kernel_without_metacopy_is_not_asked_for_it() {
    on_stage("ram-old", |stage| {
        run("mount", &["-t", "tmpfs", "parameters", PARAMETERS]);
        for name in ["index", "nfs_export", "redirect_dir", "xino_auto"] {
            fs::write(format!("{PARAMETERS}/{name}"), "N\n").unwrap();
        }
        let record = stage.assemble("rd.overlay");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let root = mount_at("/sysroot").unwrap();
        assert_eq!((root.super_option("metacopy"), root.super_option("redirect_dir")), (None, None));
    });
}

/// What the product sees of the kernel's defaults, while it assembles.
fn with_defaults<T>(value: &str, work: impl FnOnce() -> T) -> T {
    fs::write("/tmp/parameter", value).unwrap();
    let over = ["metacopy", "redirect_dir"].map(|name| format!("{PARAMETERS}/{name}"));
    over.iter().for_each(|path| drop(run("mount", &["--bind", "/tmp/parameter", path])));
    let done = work();
    over.iter().for_each(|path| drop(run("umount", &[path])));
    done
}

#[test]
fn an_upper_that_stays_has_all_of_its_own() {
    on_stage_with("kept-whole", "ext4", 48, |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        for upper in [&disk.node, "dir:/var/lib/upper", "loop:/var/upper.img,size=16M"] {
            // Where the kernel has them on by default they are switched off.
            for default in ["N\n", "Y\n"] {
                let line = format!("rd.overlay={upper} rd.overlay.reset");
                let record = with_defaults(default, || stage.assemble(&line));
                assert_eq!(record["outcome"], "applied", "{record:#}");
                copies_all(&format!("{upper}, {default}"));
                stage.reboot();
            }
        }
    });
}
