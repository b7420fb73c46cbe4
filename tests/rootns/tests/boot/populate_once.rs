// SPDX-License-Identifier: GPL-2.0-or-later
//! When an upper begins with its archive, and when it is left alone: kept, in use, restored, each kind, the fallback.
use overlayroot_rootns::archive::{pack, sha256, state};
use overlayroot_rootns::{Disk, Stage, mount_at, on_stage_made, on_stage_with};
use std::fs;

/// A root with an archive of one file, `/etc/node`.
fn with_archive(stage: &Stage, text: &str) -> String {
    stage.mount_root("rw");
    fs::create_dir_all("/tmp/tree/etc").unwrap();
    fs::write("/tmp/tree/etc/node", text).unwrap();
    pack("tar -C /tmp/tree -cf /sysroot/usr/n.tar etc/node");
    sha256("/sysroot/usr/n.tar")
}

fn device(stage: &Stage) -> Disk {
    stage.disk("upper.img", 16, &["-t", "ext4"])
}

fn node() -> Option<String> {
    fs::read_to_string("/sysroot/etc/node").ok()
}

#[test]
fn an_upper_that_stays_is_populated_once() {
    on_stage_with("once", "ext4", 64, |stage| {
        let sum = with_archive(stage, "one");
        let disk = device(stage);
        let cmdline = format!("rd.overlay={} rd.overlay.populate=/usr/n.tar", disk.node);
        assert_eq!(state(&stage.assemble(&cmdline)), ("applied", "done"));
        fs::write("/sysroot/etc/node", "mine").unwrap();
        stage.reboot();
        let record = stage.assemble(&cmdline);
        assert_eq!(
            (state(&record), &record["populate"]["sha256"]),
            (("applied", "kept"), &sum.as_str().into()),
            "{record:#}"
        );
        assert_eq!(node().as_deref(), Some("mine"));
        // Another archive is asked for: said, and nothing is touched.
        stage.reboot();
        with_archive(stage, "two");
        let other = sha256("/sysroot/usr/n.tar");
        let record = stage.assemble(&format!("{cmdline},sha256={other}"));
        assert_eq!((state(&record), node().as_deref()), (("applied", "changed"), Some("mine")), "{record:#}");
        assert_eq!(
            (&record["populate"]["sha256"], &record["populate"]["was"]),
            (&sum.as_str().into(), &"/usr/n.tar".into())
        );
        let status = stage.overlayctl_inside(&["status"]);
        let text = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(status.status.code() == Some(1) && text.contains("the upper was made from /usr/n.tar"), "{text}");
        let check = stage.overlayctl_inside(&["check"]);
        assert!(check.status.success(), "{check:?}");
        // Begun anew, it begins with the archive.
        stage.reboot();
        let record = stage.assemble(&format!("{cmdline},sha256={other} rd.overlay.reset"));
        assert_eq!((state(&record), node().as_deref()), (("applied", "done"), Some("two")), "{record:#}");
        // It is read, and says what it is.
        stage.reboot();
        let record = stage.assemble(&format!("{cmdline} rd.overlay.readonly"));
        assert_eq!((state(&record), node().as_deref()), (("applied", "kept"), Some("two")), "{record:#}");
    });
}

#[test]
fn what_an_upper_began_with_goes_with_it() {
    on_stage_with("goes", "ext4", 64, |stage| {
        with_archive(stage, "one");
        let disk = device(stage);
        let cmdline = format!("rd.overlay={} rd.overlay.populate=/usr/n.tar", disk.node);
        stage.assemble(&cmdline);
        stage.overlayctl_inside(&["reset", "--keep"]);
        stage.reboot();
        with_archive(stage, "two");
        assert_eq!((state(&stage.assemble(&cmdline)).1, node().as_deref()), ("done", Some("two")));
        let restored = stage.overlayctl_inside(&["uppers", "restore", "overlay.1"]);
        assert!(restored.status.success(), "{restored:?}");
        stage.reboot();
        assert_eq!((state(&stage.assemble(&cmdline)).1, node().as_deref()), ("kept", Some("one")));
    });
}

#[test]
fn an_upper_that_is_in_use_is_left_alone() {
    on_stage_with("used", "ext4", 64, |stage| {
        with_archive(stage, "one");
        let disk = device(stage);
        stage.assemble(&format!("rd.overlay={}", disk.node));
        fs::write("/sysroot/mine", "x").unwrap();
        stage.reboot();
        let record = stage.assemble(&format!("rd.overlay={} rd.overlay.populate=/usr/n.tar", disk.node));
        assert_eq!((state(&record), node()), (("applied", "used"), None), "{record:#}");
        assert_eq!(fs::read_to_string("/sysroot/mine").unwrap(), "x");
        let status = stage.overlayctl_inside(&["status"]);
        assert_eq!(status.status.code(), Some(1), "{}", String::from_utf8_lossy(&status.stdout));
        stage.reboot();
        let record =
            stage.assemble(&format!("rd.overlay={} rd.overlay.readonly rd.overlay.populate=/usr/n.tar", disk.node));
        assert_eq!(state(&record), ("applied", "waits"), "{record:#}");
    });
}

#[test]
fn every_kind_of_upper() {
    on_stage_with("kinds", "ext4", 160, |stage| {
        with_archive(stage, "one");
        for (upper, boots) in [("dir:/var/over", 2), ("loop:/var/over.img,size=32M", 2), ("tmpfs:size=8M", 1)] {
            let cmdline = format!("rd.overlay={upper} rd.overlay.populate=/usr/n.tar rd.overlay.hostname=n7");
            for boot in 0..boots {
                let record = stage.assemble(&cmdline);
                assert_eq!(state(&record), ("applied", if boot == 0 { "done" } else { "kept" }), "{upper}: {record:#}");
                assert_eq!(node().as_deref(), Some("one"), "{upper}");
                assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "n7\n", "{upper}");
                stage.reboot();
            }
        }
    });
    on_stage_with("kind-subvol", "btrfs", 256, |stage| {
        with_archive(stage, "one");
        let cmdline = "rd.overlay=subvol:over rd.overlay.populate=/usr/n.tar";
        assert_eq!(state(&stage.assemble(cmdline)), ("applied", "done"));
        stage.reboot();
        assert_eq!((state(&stage.assemble(cmdline)), node().as_deref()), (("applied", "kept"), Some("one")));
        stage.reboot();
        assert_eq!(state(&stage.assemble(&format!("{cmdline} rd.overlay.reset"))), ("applied", "done"));
    });
}

#[test]
#[ignore = "needs a kernel with CONFIG_QFMT_V2, and fails without"]
fn a_limit_holds_for_what_is_unpacked() {
    on_stage_made("limit", "ext4", 128, &["-O", "quota,project"], |stage| {
        assert!(stage.kernel_takes_root(), "this kernel has no quotas for ext4");
        with_archive(stage, "one");
        let made = stage.assemble("rd.overlay=dir:/var/over,size=16M rd.overlay.populate=/usr/n.tar");
        assert_eq!(state(&made), ("applied", "done"), "{made:#}");
        assert_eq!(node().as_deref(), Some("one"));
        assert!(fs::write("/sysroot/big", vec![1; 20 << 20]).is_err(), "no limit holds");
        stage.reboot();
        stage.mount_root("rw");
        fs::write("/tmp/tree/etc/node", vec![7; 20 << 20]).unwrap();
        pack("tar -C /tmp/tree -czf /sysroot/usr/big.tar etc/node");
        let record = stage
            .assemble("rd.overlay=dir:/var/other,size=16M rd.overlay.populate=/usr/big.tar rd.overlay.fallback=ro");
        assert_eq!(
            (&record["populate"]["why"], &record["effective"]["root"]),
            (&"no-room".into(), &"ro".into()),
            "{record:#}"
        );
    });
}

#[test]
fn the_fallback_in_ram_is_populated_too() {
    on_stage_with("instead", "ext4", 64, |stage| {
        with_archive(stage, "one");
        let record = stage.assemble("rd.overlay=LABEL=nowhere rd.overlay.timeout=0 rd.overlay.populate=/usr/n.tar");
        assert_eq!((state(&record), node().as_deref()), (("degraded", "done"), Some("one")), "{record:#}");
        assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
        // One that fails in the fallback, too: the overlay goes without.
        stage.reboot();
        let record = stage.assemble("rd.overlay=LABEL=nowhere rd.overlay.timeout=0 rd.overlay.populate=/usr/none.tar");
        assert_eq!(state(&record), ("degraded", "failed"), "{record:#}");
        let codes: Vec<&str> =
            record["reasons"].as_array().unwrap().iter().filter_map(|reason| reason["code"].as_str()).collect();
        assert_eq!(
            (codes.as_slice(), mount_at("/sysroot").unwrap().fstype.as_str()),
            (&["device-missing", "populate"][..], "overlay")
        );
    });
}
