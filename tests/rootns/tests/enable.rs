// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl enable` and `disable` where the file lies on a mount that is read-only, and under an overlay.
#![allow(missing_docs)]
use overlayroot_rootns::{mount_at, on_stage, run};
use std::fs;
use std::process::Output;

const LINE: &str = "console=tty1 root=LABEL=root rootwait\n";

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_read_only_partition_is_written_and_read_only_again() {
    on_stage("firmware", |stage| {
        let disk = stage.disk("firmware.img", 8, &["-t", "ext4"]);
        fs::create_dir_all("/boot/firmware").unwrap();
        run("mount", &["-o", "nosuid,noatime", &disk.node, "/boot/firmware"]);
        fs::write("/boot/firmware/cmdline.txt", LINE).unwrap();
        fs::write("/boot/firmware/config.txt", "").unwrap();
        run("mount", &["-o", "remount,ro", "/boot/firmware"]);
        let before = mount_at("/boot/firmware").unwrap();
        assert!(before.super_read_only() && before.options.contains("nosuid"), "{before:?}");

        let to = ["--boot-loader", "cmdline.txt"];
        let dry = stage.overlayctl(&[&["enable", "-n"], &to[..]].concat());
        assert!(dry.contains("\n+console=tty1 root=LABEL=root rootwait rd.overlay=tmpfs\n"), "{dry}");
        assert_eq!(fs::read_to_string("/boot/firmware/cmdline.txt").unwrap(), LINE);

        stage.overlayctl(&[&["enable"], &to[..], &["rd.overlay=\"LABEL=my disk\""]].concat());
        let written = fs::read_to_string("/boot/firmware/cmdline.txt").unwrap();
        assert_eq!(written, "console=tty1 root=LABEL=root rootwait rd.overlay=\"LABEL=my disk\"\n");
        assert_eq!(mount_at("/boot/firmware").unwrap(), before, "as it was mounted");
        assert!(fs::write("/boot/firmware/x", "").is_err());
        assert!(fs::exists("/etc/dracut.conf.d/50-overlayroot-rs.conf").unwrap());

        stage.overlayctl(&[&["disable"], &to[..]].concat());
        assert_eq!(fs::read_to_string("/boot/firmware/cmdline.txt").unwrap(), LINE);
        assert!(!fs::exists("/etc/dracut.conf.d/50-overlayroot-rs.conf").unwrap());
        assert_eq!(mount_at("/boot/firmware").unwrap(), before, "as it was mounted");

        // a failure leaves file and mount as they were, too
        run("mount", &["-o", "remount,rw", "/boot/firmware"]);
        fs::create_dir("/boot/firmware/cmdline.txt.new").unwrap();
        run("mount", &["-o", "remount,ro", "/boot/firmware"]);
        let output = stage.command("overlayctl").args(["enable", "--boot-loader", "cmdline.txt"]).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{}", said(&output));
        assert_eq!(fs::read_to_string("/boot/firmware/cmdline.txt").unwrap(), LINE);
        assert!(!fs::exists("/etc/dracut.conf.d/50-overlayroot-rs.conf").unwrap());
        assert_eq!(mount_at("/boot/firmware").unwrap(), before, "as it was mounted");
    });
}

#[test]
fn under_an_overlay_only_what_lies_outside_is_written() {
    on_stage("outside", |stage| {
        stage.mount_root("rw");
        for dir in ["/sysroot/etc/default/grub.d", "/sysroot/boot/firmware", "/sysroot/boot/grub"] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write("/sysroot/etc/default/grub", "GRUB_CMDLINE_LINUX=\"rd.overlay\"\n").unwrap();
        fs::write("/sysroot/boot/grub/grub.cfg", "linux /vmlinuz rd.overlay\n").unwrap();
        stage.mount_root("ro");
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");

        for verb in [&["disable"][..], &["disable", "-n"], &["enable", "rd.overlay=LABEL=x"]] {
            let output = stage.overlayctl_inside(&[verb, &["--boot-loader", "grub.d"]].concat());
            let text = said(&output);
            assert_eq!(output.status.code(), Some(1), "{verb:?}: {text}");
            assert!(text.contains("lies in the overlay that runs now") && text.contains("rd.overlay=0"), "{text}");
        }
        assert!(!fs::exists("/run/overlayfs/etc/default").unwrap(), "something went into the upper");

        let disk = stage.disk("firmware.img", 8, &["-t", "ext4"]);
        run("mount", &[&disk.node, "/sysroot/boot/firmware"]);
        fs::write("/sysroot/boot/firmware/cmdline.txt", LINE).unwrap();
        fs::write("/sysroot/boot/firmware/config.txt", "").unwrap();
        let output = stage.overlayctl_inside(&["enable", "--boot-loader", "cmdline.txt"]);
        let text = said(&output);
        assert!(output.status.success() && text.contains("50-overlayroot-rs.conf stays as it is"), "{text}");
        let written = fs::read_to_string("/sysroot/boot/firmware/cmdline.txt").unwrap();
        assert_eq!(written, "console=tty1 root=LABEL=root rootwait rd.overlay=tmpfs\n");
        assert!(!fs::exists("/run/overlayfs/etc/dracut.conf.d").unwrap(), "something went into the upper");
    });
}
