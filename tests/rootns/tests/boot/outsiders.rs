// SPDX-License-Identifier: GPL-2.0-or-later
//! An ordinary user tries everything beside the merged root: nothing there can be written, and neither setuid nor
//! device files count, for each kind of upper. In the merged root they do.
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::outsider::{user, user_with_namespaces};
use overlayroot_rootns::{Stage, mount_at, mounts, on_stage, on_stage_with, run, subvol};
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What there is to abuse, in a directory of whatever layer.
fn bait(at: &str) {
    fs::create_dir_all(at).unwrap();
    let program = format!("{at}/setuid");
    fs::copy("/usr/bin/id", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o4755)).unwrap();
    run("mknod", &["-m", "666", &format!("{at}/null"), "c", "1", "3"]);
    fs::write(format!("{at}/open"), "").unwrap();
    fs::set_permissions(format!("{at}/open"), fs::Permissions::from_mode(0o666)).unwrap();
    for (name, mode) in [("sticky", 0o1777), ("wide", 0o777)] {
        let dir = format!("{at}/{name}");
        fs::create_dir(&dir).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(format!("{dir}/roots"), "root's").unwrap();
        fs::write(format!("{dir}/mine"), "the user's").unwrap();
        std::os::unix::fs::chown(format!("{dir}/mine"), Some(65534), Some(65534)).unwrap();
    }
}

fn prepare(stage: &Stage) {
    // As on every system; the stage's is open to all.
    fs::set_permissions("/run", fs::Permissions::from_mode(0o755)).unwrap();
    stage.mount_root("rw");
    bait("/sysroot/var/lower");
    stage.mount_root("ro");
}

/// The mounts of this boot beside the merged root, and what is bound into it from there.
fn beside(before: &HashSet<String>) -> Vec<String> {
    let merged = |at: &str| at.starts_with("/sysroot") && !at.starts_with("/sysroot/media/root-r");
    let new = mounts().into_iter().map(|mount| mount.at).filter(|at| !before.contains(at) && !merged(at));
    let mut new: Vec<String> = new.collect();
    new.sort();
    new.dedup();
    new
}

/// Nobody but root gets to this place: it, or a directory on the way to it, is closed.
fn closed(at: &str) -> bool {
    let mode = |way: &Path| fs::metadata(way).unwrap().permissions().mode() & 0o077;
    Path::new(at).ancestors().any(|way| mode(way) == 0)
}

fn nobody_gets_in(before: &HashSet<String>) {
    let places = beside(before);
    assert!(places.iter().any(|at| at.contains("root-ro") || at == "/run/rootfsbase"), "{places:?}");
    // All that is wrong is told at once: each of these keeps out by itself.
    let mut faults = Vec::new();
    for at in &places {
        let mount = mount_at(at).unwrap();
        let has = |word: &str| mount.options.split(',').any(|option| option == word);
        if !has("nosuid") || !has("nodev") {
            faults.push(format!("setuid or devices count: {mount:?}"));
        }
        if !mount.read_only() && !closed(at) {
            faults.push(format!("writable and open: {mount:?}"));
        }
    }
    assert!(!fs::exists("/run/initramfs/overlayroot").unwrap() || closed("/run/initramfs/overlayroot"));
    let mut all = places.clone();
    all.push("/run".to_owned());
    let tried =
        [("an ordinary user gets in", user(&all)), ("a namespace gives it back", user_with_namespaces(&places))];
    faults.extend(tried.iter().filter(|(_, got)| !got.is_empty()).map(|(what, got)| format!("{what}: {got}")));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// In the merged root everything works as on a plain one.
fn merged_root_works() {
    for layer in ["lower", "upper"] {
        let at = format!("/sysroot/var/{layer}");
        let got = user(std::slice::from_ref(&at));
        for want in [
            "setuid: setuid counts",
            "null: a device is opened",
            "open: a file is opened for writing",
            "wide: a file is made",
            "sticky: a link is made",
        ] {
            assert!(got.contains(&format!("{at}/{want}")), "{want}: {got}");
        }
    }
}

/// Uppers that others left: one that is kept, and one in the trash.
fn leave_others(record: &serde_json::Value) {
    let text = |name: &str| record["effective"]["store"][name].as_str().map(str::to_owned);
    if let (Some(upper), Some(trash)) = (text("upper"), text("trash")) {
        let kept = match text("subvolume") {
            Some(subvolume) => format!("{subvolume}.1/upper"),
            None => format!("{upper}.1"),
        };
        bait(&format!("{kept}/var"));
        bait(&format!("{trash}/1/var"));
    }
}

/// Boots, and tries.
fn tried(stage: &Stage, cmdline: &str) -> serde_json::Value {
    prepare(stage);
    let before: HashSet<String> = mounts().into_iter().map(|mount| mount.at).collect();
    let record = stage.assemble(cmdline);
    assert_eq!(record["outcome"], "applied", "{record:#}");
    bait("/sysroot/var/upper");
    leave_others(&record);
    nobody_gets_in(&before);
    merged_root_works();
    record
}

#[test]
fn tmpfs() {
    on_stage("out-tmpfs", |stage| {
        tried(stage, "rd.overlay");
        assert_eq!(fs::metadata("/run/initramfs/overlay").unwrap().permissions().mode() & 0o7777, 0o700);
    });
}

#[test]
fn device() {
    on_stage("out-device", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        tried(stage, &format!("rd.overlay={}", disk.node));
        // What dracut-ng's users look at is there, by its names, and root reads it.
        assert_eq!(fs::read_link("/run/overlayfs").unwrap().to_str(), Some("/run/overlayfs-backing/overlay"));
        assert_eq!(mount_at("/run/overlayfs-backing").unwrap().source, disk.node);
        assert!(fs::exists("/run/overlayfs/var/upper/setuid").unwrap());
        assert!(fs::write("/run/overlayfs-backing/x", "").is_err(), "root is to write at the private place");
        fs::write("/run/initramfs/overlayroot/upper/x", "").unwrap();
    });
}

#[test]
fn dir() {
    on_stage_with("out-dir", "ext4", 64, |stage| {
        tried(stage, "rd.overlay=dir:/var/lib/upper");
    });
}

#[test]
fn loop_file() {
    on_stage_with("out-loop", "ext4", 96, |stage| {
        tried(stage, "rd.overlay=loop:/upper.img,size=32M");
    });
}

#[test]
fn loop_file_on_a_device() {
    on_stage("out-loopdev", |stage| {
        let disk = stage.disk("data.img", 96, &["-t", "ext4"]);
        let cmdline = format!("rd.overlay=loop:/upper.img,dev={},size=32M", disk.node);
        run("mount", &[&disk.node, "/mnt"]);
        bait("/mnt/others");
        unmount("/mnt");
        tried(stage, &cmdline);
    });
}

#[test]
fn subvolume() {
    on_stage_with("out-subvol", "btrfs", 256, |stage| {
        subvol::fedora(stage);
        tried(stage, "rd.overlay=subvol:overlay");
    });
}

#[test]
fn a_read_only_layer() {
    on_stage("out-readonly", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        prepare(stage);
        stage.assemble(&format!("rd.overlay={}", disk.node));
        bait("/sysroot/var/layer");
        stage.reboot();
        fs::set_permissions("/run", fs::Permissions::from_mode(0o755)).unwrap();
        let before: HashSet<String> = mounts().into_iter().map(|mount| mount.at).collect();
        let record = stage.assemble(&format!("rd.overlay={} rd.overlay.readonly", disk.node));
        assert_eq!(record["outcome"], "applied", "{record:#}");
        bait("/sysroot/var/upper");
        nobody_gets_in(&before);
        merged_root_works();
    });
}

#[test]
fn ubuntus_names() {
    on_stage("out-ubuntu", |stage| {
        tried(stage, "overlayroot=tmpfs");
    });
    on_stage("out-ubuntudev", |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        let record = tried(stage, &format!("overlayroot=device:dev={}", disk.node));
        assert_eq!(record["effective"]["upper_fs"], "/media/root-rw");
        let root = mount_at("/sysroot").unwrap();
        assert_eq!(root.super_option("upperdir").as_deref(), Some("/media/root-rw/overlay"));
        assert!(fs::exists("/sysroot/media/root-rw/overlay/var/upper/setuid").unwrap());
    });
}

#[test]
fn what_is_kept_of_single_paths() {
    on_stage_with("out-paths", "ext4", 64, |stage| {
        let disk = stage.disk("keep.img", 32, &["-t", "ext4"]);
        let cmdline = format!(
            "rd.overlay rd.overlay.path=persist:/home,dev={} rd.overlay.path=bind:/srv rd.overlay.path=volatile:/opt",
            disk.node
        );
        stage.mount_root("rw");
        for path in ["home", "srv", "opt"] {
            fs::create_dir(format!("/sysroot/{path}")).unwrap();
        }
        let record = tried(stage, &cmdline);
        assert!(record["reasons"].as_array().unwrap().is_empty(), "{record:#}");
        // They are a part of the merged root, where setuid and devices count.
        for path in ["home", "srv", "opt"] {
            let at = format!("/sysroot/{path}/x");
            bait(&at);
            let got = user(std::slice::from_ref(&at));
            assert!(got.contains("setuid: setuid counts") && got.contains("null: a device is opened"), "{path}: {got}");
        }
    });
}

#[test]
fn a_plan_that_is_taken_back_leaves_the_root_its_flags() {
    on_stage("out-undo", |stage| {
        prepare(stage);
        let before = mount_at("/sysroot").unwrap().options;
        // The overlay is mounted after the root was exchanged: no room for its work directory.
        let record = stage.assemble("rd.overlay=tmpfs:nr_inodes=4 rd.overlay.fallback=none");
        assert_eq!(record["effective"]["root"], "plain", "{record:#}");
        assert!(record["steps"].as_array().unwrap().iter().any(|step| step["step"] == "unmount-root"), "{record:#}");
        assert_eq!(mount_at("/sysroot").unwrap().options, before);
        let got = user(&["/sysroot/var/lower".to_owned()]);
        assert!(got.contains("setuid: setuid counts"), "{got}");
    });
}
