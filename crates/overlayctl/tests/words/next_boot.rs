// SPDX-License-Identifier: GPL-2.0-or-later
//! What the verbs say of the next boot, over one tree.

use crate::schema;
use std::fs;
use std::process::Command;

/// An initramfs, as this lsinitrd lists and prints it.
const LSINITRD: &str = r#"#!/bin/sh
if [ "$1" = -f ]; then echo 'rd.overlay=tmpfs'; exit; fi
i=0; while [ $i -lt 30 ]; do echo "-rw-r--r-- 1 root root 0 Jan 1 1970 usr/lib/file$i"; i=$((i+1)); done
grep -q module "$1" && echo '-rwxr-xr-x 1 root root 9 Jan 1 1970 usr/bin/overlay-assemble'
grep -q conf "$1" && echo '-rw-r--r-- 1 root root 9 Jan 1 1970 etc/overlayroot-rs.conf'
exit 0
"#;

/// One tree, one answer: of is-enabled, enable and disable, by their words and exit statuses.
#[test]
fn the_next_boot_has_one_answer() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("bin")).unwrap();
    fs::write(at("bin/lsinitrd"), LSINITRD).unwrap();
    fs::set_permissions(at("bin/lsinitrd"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir_all(at("root/boot/extlinux")).unwrap();
    let menu = |line: &str| {
        let text = format!("label l0\n\tlinux /boot/vmlinuz\n\tinitrd /boot/initrd.img\n\tappend root=x ro {line}\n");
        fs::write(at("root/boot/extlinux/extlinux.conf"), text).unwrap();
    };
    let image = |holds: &str| fs::write(at("root/boot/initrd.img"), holds).unwrap();
    let run = |args: &[&str]| {
        let path = format!("{}:/usr/bin:/bin", at("bin").display());
        let root = ["--root", dir.path().join("root").to_str().unwrap()].map(str::to_owned);
        let output =
            Command::new(env!("CARGO_BIN_EXE_overlayctl")).args(args).args(root).env("PATH", path).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    for (line, holds, word) in [
        ("quiet", "module", "disabled"),
        ("rd.overlay", "module", "enabled"),
        ("rd.overlay", "nothing", "disabled"),
        ("quiet", "module conf", "enabled"),
        ("rd.overlay=0", "module conf", "disabled"),
        ("overlayroot=tmpfs", "module", "enabled"),
        ("rd.live.overlay.overlayfs", "module", "enabled"),
    ] {
        menu(line);
        image(holds);
        assert_eq!(run(&["is-enabled"]), (i32::from(word != "enabled"), format!("{word}\n")), "{line}, {holds}");
        let found = schema::holds("next-boot", &run(&["is-enabled", "--json"]).1);
        assert_eq!((&found["state"], &found["module"]), (&word.into(), &holds.contains("module").into()), "{line}");
        let (code, said) = run(&["disable"]);
        let stays = line.contains("overlayroot") || line.contains("live") || holds.contains("conf");
        assert_eq!(code, i32::from(stays), "{line}, {holds}: {said}");
        let last = said.lines().find(|line| line.contains("next boot:")).unwrap();
        assert!(last.starts_with(if stays { "NOT disabled" } else { "disabled; next boot: plain root" }), "{said}");
        assert!(!stays || said.contains("to do: "), "{said}");
        assert_eq!(run(&["is-enabled"]).1, if stays { "enabled\n" } else { "disabled\n" }, "{line}, {holds}");
    }
    // The module is not in the image: said each time, not only when a file changes.
    menu("quiet");
    image("nothing");
    for _ in 0..2 {
        let said = run(&["enable"]).1;
        assert!(said.contains("NOT enabled") && said.contains("lacks the dracut module overlayroot-rs"), "{said}");
    }
    image("module");
    assert!(run(&["enable"]).1.contains("\nenabled") && run(&["is-enabled"]).0 == 0);
    fs::remove_file(at("root/boot/initrd.img")).unwrap();
    assert_eq!(run(&["is-enabled"]), (1, "unknown\n".to_owned()));
    assert!(run(&["enable"]).1.contains("NOT KNOWN"));
    fs::remove_file(at("root/boot/extlinux/extlinux.conf")).unwrap();
    assert_eq!(run(&["is-enabled"]), (1, "unknown\n".to_owned()));
}
