// SPDX-License-Identifier: GPL-2.0-or-later
//! A new upper begins with an archive: everything of it, and from archives that GNU tar made.
use overlayroot_rootns::archive::{pack, sha256, state};
use overlayroot_rootns::{on_stage_with, run};
use rustix::fs::XattrFlags;
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
