// SPDX-License-Identifier: GPL-2.0-or-later
//! The hook of Debian's raspi-firmware, run in the plain root and in the overlay. What runs here does as that hook
//! does. `RASPI_FIRMWARE_HOOK=FILE` has a real one run, as its package has it in /etc/kernel/postinst.d.
use overlayroot_rootns::programs::programs;
use overlayroot_rootns::{Stage, on_stage, run};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// What matters of it: the settings are sourced, the newest kernel and image copied, both texts written anew.
const HOOK: &str = r#"#!/bin/sh
set -e
exec < /dev/null >&2
eval set -- "$DEB_MAINT_PARAMS"
[ "$1" = configure ] || exit 0
ROOTPART=
. /etc/default/raspi-firmware
[ -n "$ROOTPART" ] || ROOTPART=$(findmnt --noheading --first-only --nofsroot --output=source /)
newest() { ls "/boot/$1"-* | sort -V | tail -n 1; }
kernel=$(newest vmlinuz)
image=$(newest initrd.img)
cp "$kernel" "$image" /boot/firmware/
printf 'kernel=%s\ninitramfs %s\n' "${kernel##*/}" "${image##*/}" > /boot/firmware/config.txt
further=
[ ! -f /etc/default/raspi-extra-cmdline ] || further=$(cat /etc/default/raspi-extra-cmdline)
echo "console=tty0 root=$ROOTPART rw rootwait $further" > /boot/firmware/cmdline.txt
"#;

const AT: &str = "/sysroot/etc/kernel/postinst.d/z50-raspi-firmware";
const LINE: &str = "/sysroot/boot/firmware/cmdline.txt";
const SETTINGS: &str = "/sysroot/etc/default/raspi-firmware";
const FURTHER: &str = "/sysroot/etc/default/raspi-extra-cmdline";

fn program(path: &str, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A kernel, and its image.
fn kernel(release: &str) {
    fs::write(format!("/sysroot/boot/vmlinuz-{release}"), release).unwrap();
    fs::write(format!("/sysroot/boot/initrd.img-{release}"), release).unwrap();
}

/// Runs it as its package does, in what is the root then.
fn hook(stage: &Stage) -> Output {
    // the binds
    stage.overlayctl_inside(&["is-enabled"]);
    fs::create_dir_all("/run/stub").unwrap();
    program("/run/stub/dpkg", "#!/bin/sh\necho arm64\n");
    let path = "PATH=/run/stub:/usr/sbin:/usr/bin:/sbin:/bin";
    let inside = ["/sysroot", "env", path, "DEB_MAINT_PARAMS=configure", "/etc/kernel/postinst.d/z50-raspi-firmware"];
    Command::new("chroot").args(inside).output().unwrap()
}

/// Every file of the partition that the Pi reads.
fn firmware() -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir("/sysroot/boot/firmware").unwrap().flatten().filter(|entry| entry.path().is_file());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

fn line() -> String {
    fs::read_to_string(LINE).unwrap().lines().next().unwrap_or_default().trim_end().to_owned()
}

#[test]
fn the_line_keeps_what_was_enabled_and_the_overlay_is_no_root() {
    let real = std::env::var("RASPI_FIRMWARE_HOOK").ok().map(|path| fs::read_to_string(path).unwrap());
    on_stage("raspi", move |stage| {
        stage.mount_root("rw");
        for dir in ["/sysroot/etc/kernel/postinst.d", "/sysroot/etc/default", "/sysroot/boot/firmware"] {
            fs::create_dir_all(dir).unwrap();
        }
        program(AT, real.as_deref().unwrap_or(HOOK));
        fs::write(SETTINGS, "#CMA=64M\n").unwrap();
        kernel("6.12");
        let card = stage.disk("firmware.img", 8, &["-t", "ext4"]);
        run("mount", &[&card.node, "/sysroot/boot/firmware"]);
        let output = hook(stage);
        assert!(output.status.success(), "{}", said(&output));
        let root = format!("root={}", stage.root.node);
        assert!(line().contains(&root), "{}", line());
        let before = firmware();

        // what is in the image can't be listed here
        let text = said(&stage.overlayctl_inside(&["enable", "--force", "rd.overlay=tmpfs:size=20M"]));
        assert!(text.contains("boot loader: raspi-firmware"), "{text}");
        assert!(line().ends_with(" rd.overlay=tmpfs:size=20M"), "{}", line());
        let enabled = line();
        let output = hook(stage);
        assert!(output.status.success(), "{}", said(&output));
        assert!(line().ends_with(" rd.overlay=tmpfs:size=20M") && line().contains(&root), "{} {enabled}", line());

        stage.reboot();
        assert_eq!(stage.assemble("rd.overlay=tmpfs:size=20M")["outcome"], "applied");
        run("mount", &[&card.node, "/sysroot/boot/firmware"]);
        kernel("6.13");
        let enabled = firmware();
        let output = hook(stage);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.lines().count() == 1 && text.contains("refused by overlayroot-rs: / is an overlay"), "{text}");
        assert_eq!(firmware(), enabled, "the hook wrote in the overlay");

        // what it wrote before it was refused is put right
        stage.reboot();
        stage.mount_root("rw");
        run("mount", &[&card.node, "/sysroot/boot/firmware"]);
        fs::write(LINE, line().replace(&root, "root=LiveOS_rootfs")).unwrap();
        let text = said(&stage.overlayctl_inside(&["is-enabled"]));
        assert!(!text.starts_with("enabled") && !text.starts_with("disabled"), "{text}");
        let text = said(&stage.overlayctl_inside(&["disable"]));
        assert!(line().contains(&root) && !line().contains("rd.overlay"), "{text}{}", line());
        assert_eq!(fs::read_to_string(SETTINGS).unwrap(), "#CMA=64M\n");
        assert!(!fs::exists(FURTHER).unwrap(), "{text}");
        let output = hook(stage);
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(firmware()["cmdline.txt"], before["cmdline.txt"]);
    });
}

#[test]
fn it_runs_where_the_lower_is_the_root() {
    on_stage("raspishell", |stage| {
        programs(stage, &["sh", "findmnt"]);
        stage.mount_root("rw");
        for dir in ["/sysroot/etc/kernel/postinst.d", "/sysroot/etc/default", "/sysroot/boot/firmware"] {
            fs::create_dir_all(dir).unwrap();
        }
        program(AT, HOOK);
        fs::write(LINE, "root=LABEL=x\n").unwrap();
        fs::write("/sysroot/boot/firmware/config.txt", "").unwrap();
        let text = said(&stage.overlayctl_inside(&["enable", "--force"]));
        assert!(fs::exists(SETTINGS).unwrap() && fs::exists(FURTHER).unwrap(), "{text}");
        stage.reboot();
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        let card = stage.disk("firmware.img", 8, &["-t", "ext4"]);
        run("mount", &[&card.node, "/sysroot/boot/firmware"]);
        fs::write("/sysroot/boot/firmware/card", "").unwrap();

        // what the hook does before it writes
        let script = ". /etc/default/raspi-firmware; [ -e /boot/firmware/card ] && echo it runs";
        let text = said(&stage.overlayctl_inside(&["shell", "--", "/bin/sh", "-c", script]));
        assert!(text.contains("it runs") && !text.contains("refused"), "{text}");
        let output = Command::new("chroot").args(["/sysroot", "/bin/sh", "-c", script]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    });
}
