// SPDX-License-Identifier: GPL-2.0-or-later
//! A new upper begins with an archive: everything of it, once, and from archives that GNU tar made.
#![allow(missing_docs)]
use overlayroot_rootns::{Disk, Stage, mount_at, on_stage_made, on_stage_with, run};
use rustix::fs::XattrFlags;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};

const CAPABILITY: &[u8] = b"\x01\0\0\x02\x0a\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn xattr(path: &str, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let len = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(len);
    Some(value)
}

fn set(path: &str, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty()).unwrap();
}

fn mode(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// A tree with one of everything, below /tmp/tree.
fn tree() {
    fs::create_dir_all("/tmp/tree/etc/ssh").unwrap();
    fs::create_dir_all("/tmp/tree/opt/new/deep").unwrap();
    fs::write("/tmp/tree/etc/ssh/key", "secret").unwrap();
    chown("/tmp/tree/etc/ssh/key", Some(100), Some(998)).unwrap();
    mode("/tmp/tree/etc/ssh/key", 0o640);
    fs::write("/tmp/tree/opt/new/tool", "#!/bin/sh\n").unwrap();
    mode("/tmp/tree/opt/new/tool", 0o4755);
    set("/tmp/tree/opt/new/tool", "user.note", b"two\nlines\0");
    fs::write("/tmp/tree/opt/new/cap", "x").unwrap();
    set("/tmp/tree/opt/new/cap", "security.capability", CAPABILITY);
    set("/tmp/tree/opt/new/cap", "security.selinux", b"system_u:object_r:bin_t:s0\0");
    fs::hard_link("/tmp/tree/opt/new/tool", "/tmp/tree/opt/new/deep/same").unwrap();
    std::os::unix::fs::symlink("/usr/share/zone", "/tmp/tree/etc/localtime").unwrap();
    std::os::unix::fs::symlink("../new/tool", "/tmp/tree/opt/new/rel").unwrap();
    fs::write(format!("/tmp/tree/opt/new/{}", "long".repeat(40)), "long").unwrap();
    run("mkfifo", &["/tmp/tree/opt/new/pipe"]);
    run("mknod", &["/tmp/tree/opt/new/node", "c", "1", "3"]);
    mode("/tmp/tree/opt/new/deep", 0o1770);
    run(
        "touch",
        &[
            "-d",
            "2001-02-03 04:05:06.789012345",
            "/tmp/tree/opt/new/tool",
            "/tmp/tree/opt/new/deep",
            "/tmp/tree/etc/ssh",
        ],
    );
    // What whoever packs it has: it must not become that of the merged root.
    mode("/tmp/tree", 0o700);
    chown("/tmp/tree", Some(1000), Some(1000)).unwrap();
}

const TAR: &str = "tar --xattrs --xattrs-include=* --numeric-owner -C /tmp/tree";

fn pack(command: &str) {
    run("sh", &["-c", command]);
}

/// The state of `populate` in a record.
fn state(record: &Value) -> (&str, &str) {
    (record["outcome"].as_str().unwrap(), record["populate"]["state"].as_str().unwrap_or("none"))
}

fn sha256(path: &str) -> String {
    run("sha256sum", &[path]).split(' ').next().unwrap().to_owned()
}

fn all_of_it(upper: &str) {
    let at = |name: &str| format!("{upper}/{name}");
    let key = fs::metadata(at("etc/ssh/key")).unwrap();
    assert_eq!((key.mode() & 0o7777, key.uid(), key.gid()), (0o640, 100, 998));
    let tool = fs::metadata(at("opt/new/tool")).unwrap();
    assert_eq!((tool.mode() & 0o7777, tool.nlink(), tool.mtime()), (0o4755, 2, 981_173_106));
    assert_eq!(fs::metadata(at("opt/new/deep/same")).unwrap().ino(), tool.ino());
    assert_eq!(fs::metadata(at("opt/new/deep")).unwrap().mtime(), 981_173_106);
    assert_eq!(fs::metadata(at("etc/ssh")).unwrap().mtime(), 981_173_106);
    assert_eq!(fs::metadata(at("opt/new/deep")).unwrap().mode() & 0o7777, 0o1770);
    assert_eq!(xattr(&at("opt/new/cap"), "security.capability").as_deref(), Some(CAPABILITY));
    assert_eq!(xattr(&at("opt/new/cap"), "security.selinux").as_deref(), Some(&b"system_u:object_r:bin_t:s0\0"[..]));
    assert_eq!(fs::read_link(at("etc/localtime")).unwrap().to_str(), Some("/usr/share/zone"));
    assert_eq!(fs::read_link(at("opt/new/rel")).unwrap().to_str(), Some("../new/tool"));
    assert_eq!(fs::read_to_string(at(&format!("opt/new/{}", "long".repeat(40)))).unwrap(), "long");
    assert!(fs::metadata(at("opt/new/pipe")).unwrap().file_type().is_fifo());
    assert_eq!(fs::metadata(at("opt/new/node")).unwrap().rdev(), nix::sys::stat::makedev(1, 3));
}

#[test]
fn everything_survives_in_every_form() {
    for (number, (format, end)) in [
        ("--format=pax -cf", ""),
        ("--format=pax -czf", ""),
        ("--format=pax --zstd -cf", ""),
        ("--format=pax -cf", " && cd /sysroot/usr && split -n 2 n.tar p. && (zstd -qc p.aa; zstd -qc p.ab) > n.tar"),
        ("--format=pax -cf", " && cd /sysroot/usr && split -n 2 n.tar p. && (gzip -c p.aa; gzip -c p.ab) > n.tar"),
    ]
    .into_iter()
    .enumerate()
    {
        on_stage_with(&format!("form{number}"), "ext4", 64, move |stage| {
            tree();
            stage.mount_root("rw");
            mode("/sysroot/etc", 0o751);
            pack(&format!("{TAR} {format} /sysroot/usr/n.tar .{end}"));
            let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
            let record = stage.assemble(&format!("rd.overlay={} rd.overlay.populate=/usr/n.tar,devices", disk.node));
            assert_eq!(state(&record), ("applied", "done"), "{record:#}");
            assert_eq!(record["populate"]["sha256"], sha256("/run/rootfsbase/usr/n.tar").as_str());
            all_of_it("/sysroot");
            assert_eq!(xattr("/sysroot/opt/new/tool", "user.note").as_deref(), Some(&b"two\nlines\0"[..]));
            let (got, want) = (fs::metadata("/sysroot").unwrap(), fs::metadata("/run/rootfsbase").unwrap());
            assert_eq!(
                (got.mode(), got.uid(), got.gid()),
                (want.mode(), want.uid(), want.gid()),
                "the root's own entry"
            );
            assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "lower\n");
            assert_eq!(fs::read_dir("/run/overlayfs-backing/ovlwork").unwrap().count(), 1, "something was left behind");
            let old: Vec<_> =
                fs::read_dir("/run/overlayfs-backing/.overlayroot").unwrap().flatten().map(|e| e.file_name()).collect();
            assert_eq!(old, ["overlay.json"]);
        });
    }
}

#[test]
fn gnus_and_old_forms_are_read_too() {
    for format in ["gnu", "oldgnu", "ustar", "v7"] {
        on_stage_with(&format!("fmt{format}"), "ext4", 64, move |stage| {
            fs::create_dir_all("/tmp/tree/etc/dir").unwrap();
            let long = if matches!(format, "gnu" | "oldgnu") { "n".repeat(180) } else { "n".repeat(60) };
            fs::write(format!("/tmp/tree/etc/dir/{long}"), "x").unwrap();
            fs::hard_link(format!("/tmp/tree/etc/dir/{long}"), "/tmp/tree/etc/zz").unwrap();
            std::os::unix::fs::symlink("dir", "/tmp/tree/etc/link").unwrap();
            stage.mount_root("rw");
            pack(&format!("tar --format={format} -C /tmp/tree -cf /sysroot/usr/n.tar etc"));
            let record = stage.assemble("rd.overlay rd.overlay.populate=/usr/n.tar");
            assert_eq!(state(&record), ("applied", "done"), "{record:#}");
            assert_eq!(fs::read_to_string(format!("/sysroot/etc/dir/{long}")).unwrap(), "x");
            assert_eq!(fs::metadata("/sysroot/etc/zz").unwrap().nlink(), 2);
            assert!(fs::metadata("/sysroot/etc/link").unwrap().is_dir());
        });
    }
}

#[test]
fn what_is_not_listed_is_as_in_the_lower() {
    on_stage_with("parents", "ext4", 64, |stage| {
        stage.mount_root("rw");
        fs::create_dir_all("/sysroot/srv/a").unwrap();
        mode("/sysroot/srv/a", 0o2750);
        chown("/sysroot/srv/a", Some(7), Some(8)).unwrap();
        set("/sysroot/srv/a", "security.selinux", b"system_u:object_r:var_t:s0\0");
        set("/sysroot/srv/a", "user.x", b"y");
        fs::write("/sysroot/srv/a/old", "old").unwrap();
        set("/sysroot/srv/a/old", "security.selinux", b"system_u:object_r:old_t:s0\0");
        run("touch", &["-d", "@1000000", "/sysroot/srv/a"]);
        fs::create_dir_all("/tmp/tree/srv/a/b").unwrap();
        for name in ["srv/a/b/file", "srv/a/old"] {
            fs::write(format!("/tmp/tree/{name}"), "new").unwrap();
        }
        // The directories themselves are not in it.
        pack("tar -C /tmp/tree -cf /sysroot/usr/n.tar srv/a/b/file srv/a/old");
        let record = stage.assemble("rd.overlay rd.overlay.populate=/usr/n.tar");
        assert_eq!(state(&record), ("applied", "done"), "{record:#}");
        let a = fs::metadata("/sysroot/srv/a").unwrap();
        assert_eq!((a.mode() & 0o7777, a.uid(), a.gid(), a.mtime()), (0o2750, 7, 8, 1_000_000));
        let label =
            |path: &str| xattr(path, "security.selinux").map(|value| String::from_utf8_lossy(&value).into_owned());
        assert!(label("/sysroot/srv/a").unwrap().contains("var_t"));
        // One that the lower has keeps its label, one that it has not gets that of where it lies.
        assert!(label("/sysroot/srv/a/old").unwrap().contains("old_t"));
        assert!(label("/sysroot/srv/a/b").unwrap().contains("var_t"));
        assert!(label("/sysroot/srv/a/b/file").unwrap().contains("var_t"));
        assert_eq!(fs::metadata("/sysroot/srv/a/b").unwrap().mode() & 0o7777, 0o755);
        assert_eq!(fs::read_to_string("/sysroot/srv/a/old").unwrap(), "new");
    });
}

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
