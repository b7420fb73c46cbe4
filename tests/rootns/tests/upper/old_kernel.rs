// SPDX-License-Identifier: GPL-2.0-or-later
//! Each upper with the calls of Linux 4.18 (RHEL 8) only. What that kernel's overlayfs lacks is not shown by this.
use overlayroot_linux::sys::loopdev::{Calls, attach, detach};
use overlayroot_rootns::{Stage, mount_at, old_kernel, on_stage, on_stage_with, run};
use std::fs;

/// Written, kept over two reboots, reset.
fn kept(stage: &Stage, upper: &str, kind: &str) {
    let cmdline = format!("rd.overlay={upper}");
    for boot in 0..3 {
        let record = stage.assemble(&cmdline);
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert_eq!(record["effective"]["upper"], kind);
        assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
        assert_eq!(fs::exists("/sysroot/etc/kept").unwrap(), boot > 0, "boot {boot}");
        fs::write("/sysroot/etc/kept", "x").unwrap();
        assert!(fs::write("/run/rootfsbase/x", "").is_err(), "the lower takes writes");
        stage.reboot();
    }
    let record = stage.assemble(&format!("{cmdline} rd.overlay.reset"));
    assert_eq!((&record["outcome"], &record["effective"]["reset"]), (&"applied".into(), &true.into()), "{record:#}");
    assert!(!fs::exists("/sysroot/etc/kept").unwrap());
}

#[test]
fn the_kernel_refuses_what_it_is_to_refuse() {
    on_stage("refuses", |stage| {
        let root = fs::File::open("/").unwrap();
        let newer = || {
            let flags = (rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty(), rustix::fs::ResolveFlags::empty());
            rustix::fs::openat2(&root, "etc", flags.0, flags.1, flags.2).map(drop)
        };
        assert_eq!(newer(), Ok(()), "this machine's kernel is too old to show it");
        old_kernel::pretend();
        assert_eq!(newer(), Err(rustix::io::Errno::NOSYS));
        // the newer call is tried, refused, and done without
        let disk = stage.disk("some.img", 4, &["-t", "ext4"]);
        let node = attach(disk.image.to_str().unwrap(), true, false, Calls::Newest).unwrap();
        detach(&node).unwrap();
        let status = run("sh", &["-c", "grep Seccomp: /proc/self/status"]);
        assert_eq!(status.split_whitespace().last(), Some("2"), "children have it, too");
    });
}

#[test]
fn tmpfs_and_paths_of_their_own() {
    on_stage("oldtmpfs", |stage| {
        old_kernel::pretend();
        let record = stage.assemble("rd.overlay rd.overlay.path=volatile:/srv,size=1M rd.overlay.hostname=old");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
        assert_eq!(mount_at("/sysroot/srv").map(|mount| mount.fstype).as_deref(), Some("tmpfs"), "{record:#}");
        assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "old\n");
    });
}

#[test]
fn a_device() {
    on_stage("olddevice", |stage| {
        old_kernel::pretend();
        let label = format!("o{}", stage.tag);
        let _disk = stage.disk("upper.img", 16, &["-t", "ext4", "-L", &label]);
        kept(stage, &format!("LABEL={label}"), "device");
    });
}

#[test]
fn a_directory_and_a_loop_file() {
    for (fstype, mib) in [("ext4", 48), ("xfs", 330)] {
        on_stage_with(&format!("old{fstype}"), fstype, mib, |stage| {
            old_kernel::pretend();
            kept(stage, "dir:/var/lib/upper", "dir");
            stage.reboot();
            kept(stage, "loop:/var/upper.img,size=16M", "loop");
        });
    }
}

#[test]
fn a_subvolume() {
    on_stage_with("oldsubvol", "btrfs", 160, |stage| {
        old_kernel::pretend();
        kept(stage, "subvol:upper", "subvol");
    });
}
