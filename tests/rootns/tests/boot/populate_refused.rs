// SPDX-License-Identifier: GPL-2.0-or-later
//! Archives that are not what they should be: nothing of them is in the upper, and the policy holds.
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::tar::{Made, made, pax, tar};
use overlayroot_rootns::{Stage, mount_at, on_stage_with, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// Boots with an archive that is refused, on a device: the text, and why.
fn refused(stage: &Stage, archive: &[u8], options: &str) -> (String, String) {
    stage.mount_root("rw");
    fs::write("/sysroot/usr/n.tar", archive).unwrap();
    let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
    let record = stage.assemble(&format!("rd.overlay={} rd.overlay.populate=/usr/n.tar{options}", disk.node));
    assert_eq!(
        (&record["outcome"], &record["effective"]["upper"], &record["populate"]["state"]),
        (&"degraded".into(), &"tmpfs".into(), &"failed".into()),
        "{record:#}"
    );
    assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
    assert_eq!(fs::read_dir("/run/initramfs/overlay/overlayfs").unwrap().count(), 0, "something is in the upper");
    run("mount", &[&disk.node, "/mnt"]);
    let left = run("find", &["/mnt/overlay", "/mnt/ovlwork"]);
    assert_eq!(left, "/mnt/overlay\n/mnt/ovlwork\n", "something is on the device");
    unmount("/mnt");
    stage.reboot();
    drop(disk);
    let reason = record["reasons"].as_array().unwrap().iter().find(|reason| reason["code"] == "populate").unwrap();
    (reason["text"].as_str().unwrap().to_owned(), record["populate"]["why"].as_str().unwrap().to_owned())
}

fn good() -> Made {
    made(b'0', "etc/good").body("good")
}

#[test]
fn what_leads_out_steers_or_hides() {
    let x = |kind, name: &str| made(kind, name);
    let cases: Vec<(Vec<Made>, &str)> = vec![
        (vec![good(), x(b'0', "/etc/absolute")], "a name is absolute: /etc/absolute"),
        (vec![good(), x(b'0', "etc/../../x")], "a name leads out of the archive's root"),
        (vec![x(b'0', "..")], "leads out"),
        (vec![pax("path", b"etc/a\0b"), x(b'0', "etc/a")], "has a NUL in it"),
        (vec![pax("path", b""), x(b'0', "etc/a")], "leads out"),
        (vec![x(b'2', "etc/l").to("/run"), x(b'0', "etc/l/x")], "etc/l/x would be written through etc/l"),
        (vec![x(b'2', "l").to("etc"), x(b'5', "l/d")], "written through l"),
        (vec![x(b'2', "etc/l").to("../../x")], "etc/l is a link out of the root: ../../x"),
        (vec![x(b'2', "etc/l").to("/../x")], "link out of the root"),
        (vec![x(b'2', "etc/l").to("")], "link to nothing"),
        (vec![x(b'1', "etc/h").to("../x")], "the target of a hard link leads out"),
        (vec![x(b'1', "etc/h").to("/etc/passwd")], "the target of a hard link is absolute"),
        (vec![x(b'1', "etc/h").to("etc/hostname")], "which is not in it before"),
        (vec![x(b'2', "l").to("etc"), x(b'1', "etc/h").to("l/fstab")], "which is not in it before"),
        (vec![good(), x(b'1', "etc/h").to("etc/good").body("more")], "is not a file and has a size"),
        (vec![x(b'3', "dev/null").device(1, 3)], "only the option devices allows"),
        (vec![x(b'6', "etc/pipe")], "only the option devices allows"),
        (vec![good(), x(b'5', "etc/good")], "etc/good is in it twice, as different things"),
        (vec![x(b'5', "etc/d"), x(b'0', "etc/d")], "twice, as different things"),
        (vec![good(), x(b'1', "etc/h").to("etc/good"), x(b'2', "etc/h").to("x")], "twice, as different things"),
        (vec![pax("SCHILY.xattr.trusted.overlay.redirect", "/etc"), x(b'5', "etc")], "steers the overlay"),
        (vec![pax("SCHILY.xattr.trusted.overlay.opaque", "y"), x(b'5', "etc")], "steers the overlay"),
        (vec![pax("SCHILY.xattr.trusted.overlayroot.populate", "x"), x(b'5', "etc")], "steers the overlay"),
        (vec![pax("SCHILY.xattr.system.nfs4_acl", "x"), x(b'0', "etc/a")], "not supported"),
        (vec![pax("SCHILY.acl.access", "user::rw-"), x(b'0', "etc/a")], "--acls"),
        (vec![pax("GNU.sparse.major", "1"), x(b'0', "etc/a")], "--sparse"),
        (vec![x(b'S', "etc/a")], "--sparse"),
        (vec![x(b'M', "etc/a")], "is of kind 'M'"),
        (vec![pax("uid", "4294967295"), x(b'0', "etc/a")], "out of range"),
        (vec![x(b'g', "g").body("13 path=/etc\n"), x(b'0', "etc/a")], "global header"),
        (vec![x(b'0', "bin/x")], "bin is a symbolic link in the root"),
        (vec![x(b'5', "bin")], "bin is a symbolic link in the root"),
        (vec![x(b'5', "etc/fstab")], "etc/fstab is a file in the root"),
        (vec![x(b'0', "etc")], "etc is a directory in the root"),
        (vec![x(b'2', "etc").to("/tmp")], "etc is a directory in the root"),
        (vec![x(b'2', ".").to("/tmp")], "its root is not a directory"),
    ];
    on_stage_with("hostile", "ext4", 64, move |stage| {
        stage.mount_root("rw");
        run("ln", &["-s", "usr/bin", "/sysroot/bin"]);
        for (number, (entries, want)) in cases.into_iter().enumerate() {
            let (text, why) = refused(stage, &tar(&entries), "");
            assert!(text.contains(want) && why == "archive", "{number}: {why}: {text}");
        }
        // Whiteouts are refused also where devices are taken.
        for kind in [b'3', b'4'] {
            let (text, _) = refused(stage, &tar(&[made(kind, "etc/hostname")]), ",devices");
            assert!(text.contains("a device 0:0, by which an overlay hides"), "{text}");
        }
    });
}

#[test]
fn what_can_not_be_read() {
    on_stage_with("damaged", "ext4", 64, |stage| {
        let whole = tar(&[good(), made(b'0', "etc/big").body(vec![7; 100_000])]);
        let squeezed = |program: &str| {
            fs::write("/tmp/n.tar", &whole).unwrap();
            run("sh", &["-c", &format!("{program} -c < /tmp/n.tar > /tmp/n.out")]);
            fs::read("/tmp/n.out").unwrap()
        };
        let (gzip, zstd) = (squeezed("gzip"), squeezed("zstd -q --check"));
        let flipped = |bytes: &[u8], at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 0x10;
            bytes
        };
        let cases: Vec<(Vec<u8>, &str)> = vec![
            (Vec::new(), "neither tar nor gzip nor zstd"),
            (b"<!DOCTYPE html><html>".to_vec(), "it begins with '<!DOCTYPE html><html>'"),
            (b"\xfd7zXZ\0xxx".to_vec(), "xz is not supported"),
            (whole[..50_000].to_vec(), "ends early"),
            (whole[..1024].to_vec(), "ends early"),
            (whole[..700].to_vec(), "ends early"),
            (flipped(&whole, 100), "neither tar"),
            (flipped(&whole, 1024 + 100), "checksum is wrong"),
            (gzip[..gzip.len() / 2].to_vec(), ""),
            (gzip[..gzip.len() - 4].to_vec(), ""),
            (flipped(&gzip, gzip.len() - 6), ""),
            (zstd[..zstd.len() / 2].to_vec(), ""),
            (zstd[..zstd.len() - 2].to_vec(), ""),
            (flipped(&zstd, zstd.len() - 1), "checksum is wrong"),
            ([zstd.as_slice(), b"garbage"].concat(), ""),
        ];
        for (number, (bytes, want)) in cases.into_iter().enumerate() {
            let (text, why) = refused(stage, &bytes, "");
            assert!(text.contains(want) && why == "archive", "{number}: {why}: {text}");
        }
    });
}

#[test]
fn sums_and_room() {
    on_stage_with("sums", "ext4", 64, |stage| {
        let whole = tar(&[good()]);
        fs::write("/tmp/n.tar", &whole).unwrap();
        let sum = run("sha256sum", &["/tmp/n.tar"]).split(' ').next().unwrap().to_owned();
        let wrong = sum.replace(|c: char| c.is_ascii_digit(), "a");
        let (text, why) = refused(stage, &whole, &format!(",sha256={wrong}"));
        assert!(text.contains(&sum) && text.contains(&wrong) && why == "sha256", "{text}");
        // 40 MiB of zeros in some KiB, for 16 MiB; and one that only says that it is large.
        fs::write("/tmp/n.tar", tar(&[made(b'0', "etc/bomb").body(vec![0; 40 << 20])])).unwrap();
        for program in ["gzip", "zstd -q"] {
            run("sh", &["-c", &format!("{program} -c < /tmp/n.tar > /tmp/n.out")]);
            let (text, why) = refused(stage, &fs::read("/tmp/n.out").unwrap(), "");
            assert!(why == "no-room" && text.contains("etc/bomb has 40960 KiB"), "{text}");
        }
        let (text, why) = refused(stage, &tar(&[good(), made(b'0', "etc/x").says(1 << 32)]), "");
        assert!(why == "no-room" && text.contains("etc/x has 4194304 KiB"), "{text}");
        // So many files that the inodes do not suffice.
        let many: Vec<Made> = (0..9000).map(|number| made(b'0', format!("etc/{number}"))).collect();
        assert_eq!(refused(stage, &tar(&many), "").1, "no-room");
    });
}

#[test]
fn the_policy_decides() {
    on_stage_with("policy", "ext4", 64, |stage| {
        stage.mount_root("rw");
        fs::write("/sysroot/usr/n.tar", tar(&[good(), made(b'0', "/x")])).unwrap();
        for (policy, outcome, root) in [
            ("tmpfs", "degraded", "overlay"),
            ("ro", "degraded", "ro"),
            ("none", "degraded", "plain"),
            ("halt", "failed", "none"),
        ] {
            let line = format!("rd.overlay rd.overlay.fallback={policy} rd.overlay.populate=/usr/n.tar");
            let output = stage.tool("overlay-assemble", line.as_bytes(), &[]);
            let record: Value = serde_json::from_slice(&fs::read("/run/overlayroot/state.json").unwrap()).unwrap();
            assert_eq!(
                (record["outcome"].as_str(), record["effective"]["root"].as_str()),
                (Some(outcome), Some(root)),
                "{record:#}"
            );
            assert_eq!((output.status.success(), &record["populate"]["why"]), (policy != "halt", &"archive".into()));
            assert!(!fs::exists("/sysroot/etc/good").unwrap());
            stage.reboot();
            stage.mount_root("rw");
        }
        for (value, want) in [
            ("/usr/none.tar", "No such file"),
            ("/etc", "is not a plain file"),
            ("/dev/../etc", "not the plain path"),
            ("htp://s/x", "'htp' is none of"),
        ] {
            let record = stage.assemble(&format!("rd.overlay rd.overlay.populate={value}"));
            let said = format!("{}{}", record["reasons"], record["issues"]);
            assert!(said.contains(want), "{said}");
            assert_eq!(
                (&record["outcome"], &record["effective"]["root"], &record["populate"]["state"]),
                (&"degraded".into(), &"overlay".into(), &"failed".into()),
                "{record:#}"
            );
            stage.reboot();
        }
    });
}

/// Kills a whole boot while it unpacks; what it was when it ended.
fn cut(stage: &Stage, cmdline: &str, watched: &str, much: usize) -> usize {
    fs::write("/tmp/cmdline", cmdline).unwrap();
    run("mount", &["--bind", "/tmp/cmdline", "/proc/cmdline"]);
    let mut boot = stage.command("overlay-assemble").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let count = || fs::read_dir(watched).map_or(0, Iterator::count);
    for _ in 0..20_000 {
        if count() >= much || boot.try_wait().unwrap().is_some() {
            break;
        }
        sleep(Duration::from_micros(500));
    }
    // The boot first, so that it does not go on with what its child ended in.
    boot.kill().unwrap();
    let child = Command::new("pgrep").args(["-P", &boot.id().to_string()]).output().unwrap();
    boot.wait().unwrap();
    for pid in String::from_utf8_lossy(&child.stdout).split_whitespace().chain(orphans().iter().map(String::as_str)) {
        let _ = Command::new("kill").args(["-9", pid]).status();
    }
    let reached = count();
    unmount("/proc/cmdline");
    reached
}

/// Processes of this stage's overlay-populate: others run beside it in other tests.
fn orphans() -> Vec<String> {
    let here = fs::metadata("/").unwrap();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let pids =
        entries.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.parse::<u32>().is_ok());
    let ours = |pid: &String| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let root = fs::metadata(Path::new("/proc").join(pid).join("root/."));
        name.trim() == "overlay-populat" && root.is_ok_and(|root| (root.dev(), root.ino()) == (here.dev(), here.ino()))
    };
    pids.filter(ours).collect()
}

#[test]
fn a_boot_that_is_killed_half_way_leaves_nothing_and_the_next_does_it() {
    on_stage_with("cut", "ext4", 128, |stage| {
        stage.mount_root("rw");
        let many: Vec<Made> = (0..6000).map(|number| made(b'0', format!("etc/many/{number}")).body("x")).collect();
        fs::write("/sysroot/usr/n.tar", tar(&many)).unwrap();
        let disk = stage.disk("upper.img", 64, &["-t", "ext4", "-N", "30000"]);
        let cmdline = format!("rd.overlay={} rd.overlay.populate=/usr/n.tar", disk.node);
        let mut halves = 0;
        // a test that is not given the processor in time cuts too late: then once more
        for much in [1, 500, 3000].into_iter().cycle().take(12) {
            if halves >= 2 {
                break;
            }
            let reached = cut(stage, &cmdline, "/run/overlayfs-backing/ovlwork/populate/etc/many", much);
            halves += usize::from((1..6000).contains(&reached));
            let half = fs::read_dir("/run/overlayfs-backing/overlay").unwrap().count();
            assert_eq!(half, 0, "a half upper after {reached} files");
            stage.reboot();
        }
        assert!(halves >= 2, "the cuts came too late");
        let record = stage.assemble(&cmdline);
        assert_eq!(
            (&record["outcome"], &record["populate"]["state"]),
            (&"applied".into(), &"done".into()),
            "{record:#}"
        );
        assert_eq!(fs::read_dir("/sysroot/etc/many").unwrap().count(), 6000);
        assert_eq!(fs::read_dir("/run/overlayfs-backing/ovlwork").unwrap().count(), 1);
        stage.reboot();
        assert_eq!(stage.assemble(&cmdline)["populate"]["state"], "kept");
    });
}

#[test]
fn a_half_that_nobody_asks_to_finish_goes_away() {
    on_stage_with("cut-off", "ext4", 128, |stage| {
        stage.mount_root("rw");
        let many: Vec<Made> = (0..6000).map(|number| made(b'0', format!("etc/many/{number}")).body("x")).collect();
        fs::write("/sysroot/usr/n.tar", tar(&many)).unwrap();
        let disk = stage.disk("upper.img", 64, &["-t", "ext4", "-N", "30000"]);
        let reached = cut(
            stage,
            &format!("rd.overlay={} rd.overlay.populate=/usr/n.tar", disk.node),
            "/run/overlayfs-backing/ovlwork/populate/etc/many",
            100,
        );
        assert!((1..6000).contains(&reached), "{reached}");
        stage.reboot();
        let record = stage.assemble(&format!("rd.overlay={}", disk.node));
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert!(!fs::exists("/sysroot/etc/many").unwrap());
        assert!(!fs::exists("/run/overlayfs-backing/ovlwork/populate").unwrap());
    });
}
