// SPDX-License-Identifier: GPL-2.0-or-later
//! From the request to the next boot's record, for each kind of upper.

use overlayroot_core::layout::paths::{BACKING_KEPT, ROOT_KEPT};
use overlayroot_rootns::{Stage, mount_at, on_stage, on_stage_with, run};
use serde_json::Value;
use std::fs;

/// What became of the request.
fn result() -> Value {
    overlayroot_rootns::schema::holds("commit", &fs::read_to_string("/run/overlayroot/commit.json").unwrap())
}

/// One boot that is to end well.
fn boot(stage: &Stage, cmdline: &str) -> Value {
    let record = stage.assemble(cmdline);
    assert_eq!(record["outcome"], "applied", "{record:#}");
    record
}

/// Changes of every sort, and what they come to.
fn change() {
    fs::write("/sysroot/etc/added", "new").unwrap();
    fs::write("/sysroot/etc/hostname", "changed\n").unwrap();
    fs::remove_file("/sysroot/etc/fstab").unwrap();
    fs::create_dir_all("/sysroot/srv/deep/er").unwrap();
    fs::write("/sysroot/srv/deep/er/file", vec![b'x'; 100_000]).unwrap();
}

/// Whether the lower has them by itself.
fn is_in_lower() -> bool {
    let read = |path: &str| fs::read_to_string(format!("/run/rootfsbase{path}")).unwrap_or_default();
    read("/etc/added") == "new"
        && read("/etc/hostname") == "changed\n"
        && !fs::exists("/run/rootfsbase/etc/fstab").unwrap()
        && read("/srv/deep/er/file").len() == 100_000
}

fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Asked for, done at the next boot, and nothing to do at the one after it.
fn committed(stage: &Stage, cmdline: &str, how: &str) {
    boot(stage, cmdline);
    change();
    let said = stage.overlayctl_inside(&["commit", "-n"]);
    assert!(said.status.success(), "{said:?}");
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(
        said.contains("A /etc/added") && said.contains("M /etc/hostname") && said.contains("D /etc/fstab"),
        "{said}"
    );
    assert!(said.contains(how), "{said}");
    stage.overlayctl(&["commit"]);
    assert!(stage.overlayctl(&["commit", "--status"]).contains("at the next boot: commit all changes into the lower"));
    assert!(!is_in_lower(), "nothing is moved before the next boot");
    stage.reboot();
    let record = boot(stage, cmdline);
    let done = result();
    assert_eq!((&done["state"], &done["stays_count"]), (&"done".into(), &0.into()), "{done:#}");
    assert_eq!(done["bytes"].as_u64().unwrap() == 0, how.starts_with("renamed"), "{done:#}");
    assert!(record["notes"].to_string().contains("moved into the lower"), "{record:#}");
    let status = stage.overlayctl_inside(&["status", "--json"]);
    let status = overlayroot_rootns::schema::holds("status", &String::from_utf8_lossy(&status.stdout));
    assert_eq!(status["commit"], done);
    assert!(is_in_lower());
    // The root is the same; the upper has nothing but what hides it.
    assert_eq!(fs::read_to_string("/sysroot/etc/hostname").unwrap(), "changed\n");
    let left = names(record["effective"]["store"]["upper"].as_str().unwrap());
    assert!(left.iter().all(|name| ["var", "overlay"].contains(&name.as_str())), "{left:?}");
    let lower = mount_at("/run/rootfsbase").unwrap();
    assert!(lower.read_only(), "{lower:?}");
    assert!(stage.overlayctl(&["commit", "--status"]).contains("at the next boot: nothing is asked for"));
    assert!(stage.overlayctl(&["stale"]).contains("the upper matches the current lower"));
    overlayroot_rootns::schema::holds("record", &fs::read_to_string("/run/overlayroot/state.json").unwrap());
    stage.reboot();
    let record = boot(stage, cmdline);
    assert!(!fs::exists("/run/overlayroot/commit.json").unwrap() && record["stale"].is_null(), "{record:#}");
}

#[test]
fn a_directory_of_the_root() {
    on_stage("dir", |stage| {
        committed(stage, "rd.overlay=dir:/var/upper", "renamed in the same file system");
    });
}

#[test]
fn a_device() {
    on_stage("device", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        committed(stage, &cmdline, " to copy, ");
        // The file system under the lower is read-only again, as a whole.
        assert!(mount_at("/run/rootfsbase").unwrap().super_read_only());
    });
}

#[test]
fn a_loop_file() {
    on_stage_with("loop", "ext4", 96, |stage| {
        committed(stage, "rd.overlay=loop:/var/upper.img,size=32M", " to copy, ");
    });
}

#[test]
fn a_subvolume() {
    on_stage_with("subvol", "btrfs", 160, |stage| {
        committed(stage, "rd.overlay=subvol:overlay", "copied by reference");
    });
}

#[test]
fn some_paths_and_a_request_that_is_cancelled() {
    on_stage("some", |stage| {
        boot(stage, "rd.overlay=dir:/var/upper");
        change();
        stage.overlayctl(&["commit", "/etc", "--exclude", "/etc/added"]);
        stage.overlayctl(&["commit", "--cancel"]);
        assert!(stage.overlayctl(&["commit", "--cancel"]).contains("nothing to cancel"));
        stage.overlayctl(&["commit", "/etc", "--exclude", "/etc/added"]);
        stage.reboot();
        boot(stage, "rd.overlay=dir:/var/upper");
        assert_eq!(result()["state"], "done");
        let lower = "/run/rootfsbase";
        assert_eq!(fs::read_to_string(format!("{lower}/etc/hostname")).unwrap(), "changed\n");
        for stays in ["etc/added", "srv"] {
            assert!(!fs::exists(format!("{lower}/{stays}")).unwrap(), "{stays}");
            assert!(fs::exists(format!("/sysroot/{stays}")).unwrap(), "{stays}");
        }
    });
}

/// Refused at the boot, with the reason in the record, and the request waits.
fn refused(stage: &Stage, cmdline: &str, why: &str) {
    let record = stage.assemble(cmdline);
    assert_eq!(record["outcome"], "degraded", "{record:#}");
    let reason = &record["reasons"][0];
    assert!(reason["code"] == "commit" && reason["text"].as_str().unwrap().contains(why), "{record:#}");
    assert_eq!(record["effective"]["root"], "overlay");
}

#[test]
fn a_lower_that_has_changed_is_not_written_and_force_writes_it() {
    on_stage("moved", |stage| {
        let disk = stage.disk("upper.img", 32, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        let release = |text: &str| {
            stage.mount_root("rw");
            fs::write("/sysroot/etc/os-release", text).unwrap();
            stage.mount_root("ro");
        };
        release("ID=one\n");
        boot(stage, &cmdline);
        change();
        stage.overlayctl(&["commit"]);
        stage.reboot();
        release("ID=other\n");
        refused(stage, &cmdline, "the lower has changed since the upper was created");
        assert!(!is_in_lower());
        let again = std::process::Command::new("/overlayctl").arg("commit").output().unwrap();
        assert_eq!(again.status.code(), Some(1), "{again:?}");
        stage.overlayctl(&["commit", "--force"]);
        stage.reboot();
        boot(stage, &cmdline);
        assert!(is_in_lower());
    });
}

#[test]
fn what_does_not_fit_is_not_begun() {
    on_stage("room", |stage| {
        let disk = stage.disk("upper.img", 64, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay={}", disk.node);
        boot(stage, &cmdline);
        fs::write("/sysroot/etc/large", vec![1; 40 << 20]).unwrap();
        let asked = std::process::Command::new("/overlayctl").arg("commit").output().unwrap();
        let said = String::from_utf8_lossy(&asked.stderr).into_owned();
        assert!(asked.status.code() == Some(1) && said.contains("are needed"), "{said}");
        // Also where it was asked for by hand.
        fs::write(format!("{BACKING_KEPT}/.overlayroot/overlay.commit.json"), "{}").unwrap();
        let doctor = stage.overlayctl_inside(&["doctor", "--cmdline", &cmdline]);
        let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
        assert!(doctor.contains("commit all changes") && doctor.contains("and can't: the lower has"), "{doctor}");
        stage.reboot();
        refused(stage, &cmdline, "free, and");
    });
}

#[test]
fn an_initramfs_without_the_program_and_a_request_that_is_none() {
    on_stage("none", |stage| {
        boot(stage, "rd.overlay=dir:/var/upper");
        change();
        stage.overlayctl(&["commit"]);
        fs::rename("/overlay-commit", "/gone").unwrap();
        stage.reboot();
        refused(stage, "rd.overlay=dir:/var/upper", "overlay-commit is not in this initramfs");
        fs::rename("/gone", "/overlay-commit").unwrap();
        fs::write(format!("{ROOT_KEPT}/var/upper/.overlayroot/overlay.commit.json"), "nonsense").unwrap();
        stage.reboot();
        refused(stage, "rd.overlay=dir:/var/upper", "is not valid");
        assert!(stage.overlayctl(&["commit", "--status"]).contains("is not valid and will be refused"));
    });
}

#[test]
fn a_reset_cancels_it() {
    on_stage("reset", |stage| {
        boot(stage, "rd.overlay=dir:/var/upper");
        change();
        stage.overlayctl(&["commit"]);
        stage.overlayctl(&["reset", "--keep"]);
        stage.reboot();
        let record = boot(stage, "rd.overlay=dir:/var/upper");
        assert!(!fs::exists("/run/overlayroot/commit.json").unwrap() && !is_in_lower(), "{record:#}");
        assert!(stage.overlayctl(&["commit", "--status"]).contains("at the next boot: nothing is asked for"));
    });
}

/// On btrfs a request may be on the disk without the upper that was made just before it.
#[test]
fn a_power_cut_that_took_the_upper_and_left_the_request() {
    on_stage("took", |stage| {
        for asked in [&["commit"][..], &["revert", "/etc/hostname"]] {
            boot(stage, "rd.overlay=dir:/var/upper");
            fs::write("/sysroot/etc/hostname", "changed\n").unwrap();
            stage.overlayctl(asked);
            fs::remove_dir_all(format!("{ROOT_KEPT}/var/upper/overlay")).unwrap();
            stage.reboot();
            boot(stage, "rd.overlay=dir:/var/upper");
            let done = result();
            assert_eq!((&done["state"], &done["entries"]), (&"done".into(), &0.into()), "{done:#}");
            assert!(stage.overlayctl(&["commit", "--status"]).contains("at the next boot: nothing is asked for"));
            stage.reboot();
        }
    });
}

/// The program removes the fingerprint before it changes anything, and ends in the middle: what the boot read before is
/// not what is stored then, else the next one would refuse the rest.
#[test]
fn a_program_that_is_killed_makes_no_upper_stale() {
    on_stage("killed", |stage| {
        stage.mount_root("rw");
        fs::create_dir_all("/sysroot/var/lib/dpkg").unwrap();
        fs::write("/sysroot/var/lib/dpkg/status", "one").unwrap();
        run("touch", &["-d", "2020-01-01", "/sysroot/var/lib/dpkg/status"]);
        stage.mount_root("ro");
        boot(stage, "rd.overlay=dir:/var/upper");
        change();
        stage.overlayctl(&["commit"]);
        fs::rename("/overlay-commit", "/gone").unwrap();
        let kept = format!("{ROOT_KEPT}/var/upper/.overlayroot/overlay.json");
        let script = format!("#!/bin/sh\nrm {kept}\ntouch {ROOT_KEPT}/var/lib/dpkg/status\nkill -9 $$\n");
        fs::write("/overlay-commit", script).unwrap();
        run("chmod", &["755", "/overlay-commit"]);
        stage.reboot();
        let record = stage.assemble("rd.overlay=dir:/var/upper");
        assert_eq!((&record["outcome"], &record["reasons"][0]["code"]), (&"degraded".into(), &"commit".into()));
        fs::rename("/gone", "/overlay-commit").unwrap();
        stage.reboot();
        let record = boot(stage, "rd.overlay=dir:/var/upper");
        assert!(record["stale"].is_null() && result()["state"] == "done", "{record:#}");
        assert!(is_in_lower());
    });
}
