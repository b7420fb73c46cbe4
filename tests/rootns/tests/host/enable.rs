// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl enable` and `disable` where the file lies on a mount that is read-only, and under an overlay.
use overlayroot_rootns::{mount_at, on_stage, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Output;

const LINE: &str = "console=tty1 root=LABEL=root rootwait\n";

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Lists an image that has the module, and nothing else that matters.
const LSINITRD: &str = "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9 0 a b c d e f g h i j k; do echo \"-rw-r--r-- 1 root root 0 Jan 1 1970 usr/$i\"; done\n\
for f in bin/overlay-assemble overlay.ko ext4.ko; do echo \"-rwxr-xr-x 1 root root 0 Jan 1 1970 usr/$f\"; done\n";

fn lists_an_image(program: &str) {
    fs::write(program, LSINITRD).unwrap();
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The arguments of env(1) for overlayctl with that.
fn with_an_image<'a>(args: &[&'a str]) -> Vec<&'a str> {
    fs::create_dir_all("/run/stub").unwrap();
    lists_an_image("/run/stub/lsinitrd");
    [&["PATH=/run/stub:/usr/sbin:/usr/bin:/sbin:/bin", "/overlayctl"], args].concat()
}

#[test]
fn a_read_only_partition_is_written_and_read_only_again() {
    on_stage("firmware", |stage| {
        let disk = stage.disk("firmware.img", 8, &["-t", "ext4"]);
        fs::create_dir_all("/boot/firmware").unwrap();
        run("mount", &["-o", "nosuid,noatime", &disk.node, "/boot/firmware"]);
        fs::write("/boot/firmware/cmdline.txt", LINE).unwrap();
        fs::write("/boot/firmware/config.txt", "initramfs overlay followkernel\n").unwrap();
        fs::write("/boot/firmware/overlay", "").unwrap();
        let _upper = stage.disk("upper.img", 8, &["-t", "ext4", "-L", "my disk"]);
        run("mount", &["-o", "remount,ro", "/boot/firmware"]);
        let before = mount_at("/boot/firmware").unwrap();
        assert!(before.super_read_only() && before.options.contains("nosuid"), "{before:?}");

        let to = ["--boot-loader", "cmdline.txt"];
        let dry = run("env", &with_an_image(&[&["enable", "-n"], &to[..]].concat()));
        assert!(dry.contains("\n+console=tty1 root=LABEL=root rootwait rd.overlay=tmpfs\n"), "{dry}");
        assert_eq!(fs::read_to_string("/boot/firmware/cmdline.txt").unwrap(), LINE);

        let on = run("env", &with_an_image(&[&["enable"], &to[..], &["rd.overlay=\"LABEL=my disk\""]].concat()));
        assert!(on.contains("\nenabled; next boot: overlay, upper on "), "{on}");
        let written = fs::read_to_string("/boot/firmware/cmdline.txt").unwrap();
        assert_eq!(written, "console=tty1 root=LABEL=root rootwait rd.overlay=\"LABEL=my disk\"\n");
        assert_eq!(mount_at("/boot/firmware").unwrap(), before, "as it was mounted");
        assert!(fs::write("/boot/firmware/x", "").is_err());
        assert!(fs::exists("/etc/dracut.conf.d/50-overlayroot-rs.conf").unwrap());

        let off = run("env", &with_an_image(&[&["disable"], &to[..]].concat()));
        assert!(off.contains("\ndisabled; next boot: plain root"), "{off}");
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

        let output = stage.overlayctl_inside(&["enable", "rd.overlay=LABEL=x", "--boot-loader", "grub.d"]);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("is in the overlay; the boot loader would not see it"), "{text}");
        let text = said(&stage.overlayctl_inside(&["disable", "-n", "--boot-loader", "grub.d"]));
        assert!(text.contains("the lower is edited") && text.contains("-GRUB_CMDLINE_LINUX=\"rd.overlay\""), "{text}");
        assert!(!fs::exists("/run/overlayfs/etc/default").unwrap(), "something went into the upper");

        let disk = stage.disk("firmware.img", 8, &["-t", "ext4"]);
        run("mount", &[&disk.node, "/sysroot/boot/firmware"]);
        fs::write("/sysroot/boot/firmware/cmdline.txt", LINE).unwrap();
        fs::write("/sysroot/boot/firmware/config.txt", "initramfs overlay followkernel\n").unwrap();
        fs::write("/sysroot/boot/firmware/overlay", "").unwrap();
        let output = stage.overlayctl_inside(&["enable", "--boot-loader", "cmdline.txt"]);
        let text = said(&output);
        // what is in the image can't be listed here
        assert!(output.status.code() == Some(1) && text.contains("NOT KNOWN to be enabled"), "{text}");
        assert!(text.contains("50-overlayroot-rs.conf is in the overlay and was not changed"), "{text}");
        let written = fs::read_to_string("/sysroot/boot/firmware/cmdline.txt").unwrap();
        assert_eq!(written, "console=tty1 root=LABEL=root rootwait rd.overlay=tmpfs\n");
        assert!(!fs::exists("/run/overlayfs/etc/dracut.conf.d").unwrap(), "something went into the upper");
    });
}

/// The boot loader's next line and the running one, far apart: every verb answers for the next.
#[test]
fn every_verb_answers_for_the_next_boot_and_not_for_this() {
    on_stage("nextline", |stage| {
        let menu = |line: &str| {
            fs::create_dir_all("/boot/extlinux").unwrap();
            let text =
                format!("label l0\n\tlinux /boot/vmlinuz\n\tinitrd /boot/initrd.img\n\tappend root=x ro {line}\n");
            fs::write("/boot/extlinux/extlinux.conf", text).unwrap();
        };
        fs::create_dir_all("/boot").unwrap();
        fs::write("/boot/initrd.img", "").unwrap();
        lists_an_image("/lsinitrd");
        let ask = |now: &str, args: &[&str]| {
            let output = stage.tool("overlayctl", now.as_bytes(), args);
            (output.status.code().unwrap(), said(&output))
        };
        let gone = format!("LABEL=gone{}", stage.tag);
        let halts = format!("rd.overlay={gone} rd.overlay.fallback=halt");
        for (now, next, word, text, plan, doctor) in [
            ("rd.overlay", "quiet", "disabled", "plain root, no overlay", 0, 0),
            ("quiet", "rd.overlay=tmpfs:size=9M", "enabled", "overlay, upper in RAM (size=9M", 0, 0),
            ("rd.overlay=tmpfs:size=9M", &halts, "degraded", "NOT as asked for: LABEL=gone", 1, 2),
            ("quiet", "rd.overlya=tmpfs", "degraded", "NOT as asked for: the configuration has mistakes: ", 1, 2),
        ] {
            menu(next);
            let case = format!("now {now}, next {next}");
            assert_eq!(ask(now, &["is-enabled"]), (i32::from(word != "enabled"), format!("{word}\n")), "{case}");
            let (code, told) = ask(now, &["plan"]);
            assert!(code == plan && told.starts_with(&format!("next boot: {text}")), "{case}: {code}: {told}");
            let (_, told) = ask(now, &["status"]);
            let line = told.lines().find_map(|line| line.trim_start().strip_prefix("next boot")).unwrap_or_default();
            assert!(line.trim_start().starts_with(text), "{case}: {told}");
            let (code, told) = ask(now, &["doctor"]);
            let bad = told.lines().filter(|line| line.starts_with("PROBLEM")).collect::<Vec<_>>().join("\n");
            assert_eq!(bad.is_empty(), doctor == 0, "{case}: {told}");
            assert!(doctor == 0 || code == 2, "{case}: {code}");
            assert_eq!(bad.contains("ends in the emergency shell"), next == halts, "{case}: {told}");
        }

        // What doctor calls a problem is refused before anything is written.
        menu("quiet");
        let before = fs::read_to_string("/boot/extlinux/extlinux.conf").unwrap();
        let asked = ["enable", &format!("rd.overlay={gone}"), "rd.overlay.fallback=halt"];
        for _ in 0..2 {
            let (code, told) = ask("rd.overlay", &asked);
            assert!(code == 1 && told.contains("PROBLEM: the boot ends in the emergency shell: "), "{code}: {told}");
            assert!(told.contains("nothing was changed; ") && told.contains("--force enables it anyway"), "{told}");
            assert_eq!(fs::read_to_string("/boot/extlinux/extlinux.conf").unwrap(), before);
        }
        let (code, told) = ask("rd.overlay", &[&asked[..], &["--force"]].concat());
        assert!(code == 1 && told.contains("NOT enabled; next boot: NOT as asked for: "), "{code}: {told}");
        assert!(fs::read_to_string("/boot/extlinux/extlinux.conf").unwrap().contains(&halts));
    });
}
