// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl image build` with the real mksquashfs and mkfs.erofs, mounted again and compared.
#![allow(missing_docs)]

mod small_root;

use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{on_stage, run};
use rustix::fs::{XattrFlags, setxattr};
use serde_json::Value;
use small_root::{EPOCH, ODD, OLD, clamped, plant, same, tree};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output};
use std::time::Duration;

/// What an image holds, as the kernel shows it.
fn mounted(image: &str) -> BTreeMap<String, String> {
    run("mount", &["-o", "loop,ro", image, "/mnt"]);
    let found = tree("/mnt");
    unmount("/mnt");
    found
}

fn build(args: &[&str]) -> Value {
    let text = run("/overlayctl", &[&["image", "build", "--json"], args].concat());
    overlayroot_rootns::schema::holds("image-build", &text)
}

/// Builds with the epoch set.
fn build_at(epoch: i64, args: &[&str]) -> String {
    run("env", &[&[&*format!("SOURCE_DATE_EPOCH={epoch}"), "/overlayctl", "image", "build"], args].concat())
}

/// Which status, and why: 1 is refused as things are, 3 is an attempt that failed.
fn ends(want: i32, args: &[&str], path: &str, why: &str) {
    let output = Command::new("/overlayctl").args(["image", "build"]).args(args).env("PATH", path).output().unwrap();
    assert!(output.status.code() == Some(want) && said(&output).contains(why), "{args:?}: {}", said(&output));
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn left(dir: &str) -> Vec<String> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn no_view_left() {
    assert!(!left("/run").iter().any(|name| name.starts_with("overlayroot-loop")), "{:?}", left("/run"));
}

#[test]
fn an_image_holds_the_tree_and_what_is_beside_it_fits() {
    on_stage("imagetree", |_| {
        plant("/images/r", false);
        let mut want = tree("/images/r");
        want.retain(|path, _| !path.starts_with(ODD));
        // What is mounted below is not in it.
        run("mount", &["-t", "proc", "proc", "/images/r/proc"]);
        for (name, how) in
            [("a.squashfs", "zstd"), ("b.sqfs", "xz"), ("c.sqfs", "gzip"), ("d.sqfs", "lz4"), ("e.erofs", "lz4")]
        {
            let out = format!("/images/{name}");
            let odd = format!("/{ODD}/");
            let told = build(&["/images/r", &out, "--compression", how, "--exclude", &odd, "--url", "http://srv/i"]);
            same(&mounted(&out), &want);
            assert_eq!(
                run("sh", &["-c", &format!("cd /images && sha256sum -c {name}.sha256")]),
                format!("{name}: OK\n")
            );
            let sum = told["sha256"].as_str().unwrap();
            assert!(
                run("sha256sum", &[&out]).starts_with(sum) && told["notes"] == Value::Array(Vec::new()),
                "{told:#}"
            );
            for suffix in ["pxelinux.cfg", "ipxe", "grub.cfg"] {
                let text = fs::read_to_string(format!("{out}.{suffix}")).unwrap();
                assert!(text.contains(told["arguments"].as_str().unwrap()) && text.contains(sum), "{text}");
                assert!(text.contains(&format!("root=live:http://srv/i/{name} ")), "{text}");
            }
        }
        no_view_left();
        assert_eq!(left("/images").iter().filter(|name| name.ends_with(".new")).count(), 0);
    });
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    on_stage("imagesame", |_| {
        plant("/images/one", false);
        std::thread::sleep(Duration::from_millis(1100));
        plant("/tmp/two", true);
        for kind in ["squashfs", "erofs"] {
            let (one, two) = (format!("/images/one.{kind}"), format!("/tmp/two.{kind}"));
            build_at(EPOCH, &["/images/one", &one]);
            std::thread::sleep(Duration::from_millis(1100));
            build_at(EPOCH, &["/tmp/two", &two]);
            run("cmp", &[&one, &two]);
            run("mount", &["-o", "loop,ro", &two, "/mnt"]);
            let time = |name: &str| fs::metadata(format!("/mnt/{name}")).unwrap().mtime();
            assert_eq!((time("usr/file3"), time("usr/file4"), time("etc")), (OLD, EPOCH, OLD));
            unmount("/mnt");
        }
        // The stored lower's identity follows what is in it.
        let uuid = || run("blkid", &["-p", "-o", "value", "-s", "UUID", "/tmp/two.erofs"]);
        let before = uuid();
        fs::write("/tmp/two/etc/passwd", "another").unwrap();
        build_at(EPOCH, &["/tmp/two", "/tmp/two.erofs", "--force"]);
        assert!(!before.trim().is_empty() && uuid() != before, "{before}");
        let mut command = Command::new("/overlayctl");
        let output =
            command.args(["image", "build", "/tmp/two", "/tmp/x.erofs"]).env("SOURCE_DATE_EPOCH", "today").output();
        let said = said(&output.unwrap());
        assert!(said.contains("SOURCE_DATE_EPOCH=\"today\""), "{said}");
    });
}

#[test]
fn merged_is_what_one_sees_and_lower_what_was_before() {
    on_stage("imagemerged", |stage| {
        stage.mount_root("rw");
        plant("/sysroot", false);
        stage.mount_root("ro");
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        // A whiteout, an opaque directory, a copied-up file, a new one.
        fs::remove_file("/sysroot/etc/passwd").unwrap();
        fs::remove_dir_all(format!("/sysroot/{ODD}")).unwrap();
        fs::create_dir(format!("/sysroot/{ODD}")).unwrap();
        run("chmod", &["700", "/sysroot/usr/file5"]);
        fs::write("/sysroot/etc/new", "upper").unwrap();
        fs::write("/sysroot/tmp/.gone", "of the boot").unwrap();
        let output = stage.overlayctl_inside(&["image", "build", "merged", "/etc/m.squashfs", "--json"]);
        let text = said(&output);
        assert!(output.status.success() && !text.contains(['\r', '\x1b']), "{text:?}");
        let (one, force) = ("SOURCE_DATE_EPOCH=1700000000", "--force");
        let inside = |args: &[&str]| {
            run("chroot", &[&["/sysroot", "env", one, "/run/overlayctl", "image", "build"], args].concat())
        };
        let first = inside(&["merged", "/etc/m.squashfs", force]);
        assert_eq!(inside(&["merged", "/etc/m.squashfs", force]), first, "an image of itself");
        for name in ["m.squashfs", "m.erofs"] {
            inside(&["merged", &format!("/run/{name}"), force]);
            let got = mounted(&format!("/run/{name}"));
            run("mount", &["--bind", "/sysroot", "/mnt"]);
            let mut want = tree("/mnt");
            unmount("/mnt");
            let of_the_boot =
                |path: &str| ["dev/", "proc/", "run/", "sys/", "tmp/"].iter().any(|dir| path.starts_with(dir));
            // Nor has mkfs.erofs ever taken a lost+found.
            let lost = |path: &str| name == "m.erofs" && path == "lost+found";
            want.retain(|path, _| !of_the_boot(path) && !lost(path));
            same(&got, &clamped(want));
            assert!(!got.contains_key("etc/passwd") && got.contains_key("tmp") && got.contains_key("etc/m.squashfs"));
            assert!(got["etc/new"].contains("(5, ") && got["usr/file5"].starts_with("100700"), "{got:#?}");
            assert_eq!(got["etc/a"].split(' ').nth(3), Some("2"), "a hard link of the lower");
        }
        inside(&["lower", "/run/l.squashfs"]);
        same(&mounted("/run/l.squashfs"), &clamped(tree("/run/rootfsbase")));
    });
}

/// Of these an upper in RAM has the inode alone.
#[test]
fn what_the_upper_leaves_in_the_lower_is_in_the_image() {
    on_stage("imageshared", |stage| {
        stage.mount_root("rw");
        plant("/sysroot", false);
        stage.mount_root("ro");
        let mut want = tree("/sysroot");
        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        run("chmod", &["700", "/sysroot/usr/file5"]);
        run("chown", &["5:6", "/sysroot/usr/file6", "/sysroot/usr/sparse"]);
        setxattr("/sysroot/usr/file7", "trusted.new", b"four", XattrFlags::empty()).unwrap();
        fs::create_dir("/sysroot/new").unwrap();
        fs::rename("/sysroot/usr/file8", "/sysroot/new/file").unwrap();
        fs::rename(format!("/sysroot/{ODD}"), "/sysroot/new/directory").unwrap();
        run("chmod", &["600", "/sysroot/new/directory/in it"]);
        let edit = |text: &mut String, from: &str, to: &str| *text = text.replacen(from, to, 1);
        edit(want.get_mut("usr/file5").unwrap(), "100644", "100700");
        edit(want.get_mut("usr/file6").unwrap(), "0:0", "5:6");
        edit(want.get_mut("usr/sparse").unwrap(), "0:0", "5:6");
        want.get_mut("usr/file7").unwrap().push_str(&format!(" trusted.new={:?}", b"four"));
        for (from, to) in [("usr/file8", "new/file"), (&format!("{ODD}/in it"), "new/directory/in it")] {
            let mut text = want.remove(from).unwrap();
            edit(&mut text, &format!("1 {from}"), &format!("1 {to}"));
            want.insert(to.to_owned(), text);
        }
        edit(want.get_mut("new/directory/in it").unwrap(), "100644", "100600");
        let directory = want.remove(ODD).unwrap();
        want.insert("new/directory".to_owned(), directory);
        for name in ["m.squashfs", "m.erofs"] {
            let output = stage.overlayctl_inside(&["image", "build", "merged", &format!("/run/{name}")]);
            assert!(output.status.success(), "{}", said(&output));
            let got = mounted(&format!("/run/{name}"));
            // Times of directories tell of the names in them; further ones were made to mount on.
            let apart = ["dev", "etc", "proc", "run", "sys", "tmp", "usr", "bin", "sbin", "lib", "lib64", "new"];
            let kept = |path: &str| !apart.contains(&path) && path != "lost+found";
            let of = |tree: &BTreeMap<String, String>| {
                tree.iter().filter(|(path, _)| kept(path)).map(|(path, text)| (path.clone(), text.clone())).collect()
            };
            let (got, want): (BTreeMap<_, _>, BTreeMap<_, _>) = (of(&got), of(&want));
            same(&got, &want);
        }
    });
}

#[test]
fn what_goes_wrong_leaves_nothing() {
    on_stage("imagewrong", |_| {
        plant("/images/r", false);
        fs::create_dir("/tmp/out").unwrap();
        let out = ["/tmp/out/i.squashfs", "/tmp/out/i.erofs"];
        ends(3, &["/images/r", out[0]], "/nowhere", "install the package squashfs-tools");
        ends(3, &["/images/r", out[1]], "/nowhere", "install the package erofs-utils");
        fs::create_dir("/tmp/old").unwrap();
        fs::write("/tmp/old/mksquashfs", "#!/bin/sh\necho mksquashfs version 4.4 '(2019/08/29)'\n").unwrap();
        run("chmod", &["755", "/tmp/old/mksquashfs"]);
        ends(3, &["/images/r", out[0]], "/tmp/old:/usr/bin", "4.5 or newer");
        ends(1, &["lower", out[0]], "/usr/bin", "no record of this boot");
        ends(3, &["/images/none", out[0]], "/usr/bin", "/images/none");
        // Never an empty file in place of one that can't be read: lo has no speed.
        ends(3, &["/sys/devices/virtual/net/lo", out[0]], "/usr/bin", "Failed to read file ROOT/");
        ends(3, &["/sys/devices/virtual/net/lo", out[1]], "/usr/bin:/usr/sbin", "mkfs.erofs ended with 1");
        assert_eq!(left("/tmp/out"), Vec::<String>::new());
        // That of a build that runs beside this one.
        fs::write("/tmp/out/i.erofs.new", "half").unwrap();
        ends(1, &["/images/r", out[1]], "/usr/bin:/usr/sbin", "i.erofs.new exists");
        assert_eq!(fs::read_to_string("/tmp/out/i.erofs.new").unwrap(), "half");
        fs::remove_file("/tmp/out/i.erofs.new").unwrap();
        fs::write(out[0], "precious").unwrap();
        ends(1, &["/images/r", out[0]], "/usr/bin", "--force");
        assert_eq!((fs::read_to_string(out[0]).unwrap().as_str(), left("/tmp/out").len()), ("precious", 1));
        let dry = build(&["/images/r", out[0], "--force", "--dry-run"]);
        assert!(dry["command"][0] == "mksquashfs" && dry.get("sha256").is_none(), "{dry:#}");
        assert_eq!(fs::read_to_string(out[0]).unwrap(), "precious");

        run("dd", &["if=/dev/urandom", "of=/images/r/usr/noise", "bs=1M", "count=8", "status=none"]);
        run("mount", &["-t", "tmpfs", "-o", "size=4M", "small", "/mnt"]);
        ends(3, &["/images/r", "/mnt/i.squashfs"], "/usr/bin", "No space left");
        ends(3, &["/images/r", "/mnt/i.erofs"], "/usr/bin:/usr/sbin", "No space left");
        assert_eq!(left("/mnt"), Vec::<String>::new());

        // a shell that began the tests in the background has the signal ignored, and that is inherited
        let mut build = Command::new("env");
        build.args(["--default-signal=INT", "/overlayctl", "image", "build", "--force", "--compression", "xz"]);
        let mut build = build.args(["/images/r", out[0]]).spawn().unwrap();
        while fs::metadata("/tmp/out/i.squashfs.new").map_or(0, |metadata| metadata.len()) == 0 {
            assert!(build.try_wait().unwrap().is_none(), "it ended before it could be interrupted");
            std::thread::sleep(Duration::from_millis(20));
        }
        run("kill", &["-INT", &build.id().to_string()]);
        assert_eq!(build.wait().unwrap().code(), Some(130));
        assert_eq!(
            (left("/tmp/out"), fs::read_to_string(out[0]).unwrap().as_str()),
            (vec!["i.squashfs".to_owned()], "precious")
        );
        no_view_left();
    });
}
