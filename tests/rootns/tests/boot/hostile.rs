// SPDX-License-Identifier: GPL-2.0-or-later
//! File systems on which others could put anything under any name that is read or made: the real steps run over
//! cases that are made up in each run. Nothing outside changes, and each ends in time and with little memory.
use overlayroot_rootns::hostile::{Chance, KINDS, Outside, cases, ended};
use overlayroot_rootns::http::{Reply, Server, private_network};
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{Disk, Stage, mount_at, on_stage_with, run};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Names on an upper's device.
const UPPER: [&str; 29] = [
    ".overlayroot",
    ".overlayroot/overlay.json",
    ".overlayroot/overlay.json.new",
    ".overlayroot/overlay.1.json",
    ".overlayroot/reset.json",
    ".overlayroot/reset.json.new",
    ".overlayroot/trash",
    ".overlayroot/trash/upper.0",
    ".overlayroot/trash/deep.0",
    ".overlayroot/overlayroot-rs.nameless",
    ".overlayroot/keep",
    ".overlayroot/keep/files",
    ".overlayroot/keep/files/etc",
    ".overlayroot/keep/files/etc/machine-id",
    ".overlayroot/keep/files/etc/.machine-id.overlayroot-rs.new",
    ".overlayroot/keep/files/etc/ssh",
    ".overlayroot/keep/files/etc/ssh/ssh_host_key",
    ".overlayroot/keep/files/etc/ssh/.ssh_host_key.overlayroot-rs.new",
    ".overlayroot/keep/srv-data.dir",
    ".overlayroot/keep/srv-data.dir.new",
    "overlay",
    "overlay.1",
    "overlay/etc",
    "overlay/etc/hostname",
    "overlay/etc/.hostname.overlayroot-rs",
    "overlay/etc/machine-id",
    "overlay/etc/ssh",
    "ovlwork",
    "ovlwork/populate",
];
/// Those that are made: each of these kinds at all of them, before chance has its turn, which would seldom meet one.
const MADE: [&str; 6] = [
    ".overlayroot/overlay.json.new",
    ".overlayroot/reset.json.new",
    ".overlayroot/keep/files/etc/.machine-id.overlayroot-rs.new",
    ".overlayroot/keep/files/etc/ssh/.ssh_host_key.overlayroot-rs.new",
    ".overlayroot/keep/srv-data.dir.new",
    "overlay/etc/.hostname.overlayroot-rs",
];
const SURE: [&str; 4] = ["link to a file", "link to nothing", "link to a disk", "pipe"];
/// Names on the device of a loop file, and in an image's cache.
const HOLDER: [&str; 4] = ["deep", "deep/upper.img", "deep/upper.img.new", "deep/er"];
const CACHE: [&str; 7] = [
    ".overlayroot",
    ".overlayroot/images",
    ".overlayroot/images/SUM.img",
    ".overlayroot/images/SUM.part",
    ".overlayroot/images/other.img",
    ".overlayroot/images/other.part",
    ".overlayroot/images/SUM.part.new",
];

/// A new file system on the disk with some of the names taken; what was put there, in words.
fn furnish(chance: &mut Chance, disk: &Disk, outside: &Outside, names: &[&str], marker: Option<&str>) -> String {
    run("mke2fs", &["-q", "-F", "-t", "ext4", "-m", "0", &disk.node]);
    run("mount", &[&disk.node, "/mnt"]);
    if let Some(marker) = marker {
        fs::create_dir("/mnt/.overlayroot").unwrap();
        fs::create_dir("/mnt/overlay").unwrap();
        fs::write("/mnt/.overlayroot/reset.json", marker).unwrap();
    }
    let mut case = format!("{marker:?}");
    for _ in 0..=chance.below(4) {
        let (name, kind) = (chance.of(names), chance.of(&KINDS));
        outside.put(kind, &format!("/mnt/{name}"));
        case.push_str(&format!(", {name}: {kind}"));
    }
    unmount("/mnt");
    case
}

/// The same with this kind at every name that is made.
fn everywhere(disk: &Disk, outside: &Outside, kind: &str) -> String {
    run("mke2fs", &["-q", "-F", "-t", "ext4", "-m", "0", &disk.node]);
    run("mount", &[&disk.node, "/mnt"]);
    MADE.iter().for_each(|name| outside.put(kind, &format!("/mnt/{name}")));
    unmount("/mnt");
    format!("{kind} everywhere")
}

/// The booted system's own steps.
fn afterwards(stage: &Stage, case: &str) {
    if mount_at("/sysroot").is_none_or(|root| root.fstype != "overlay") {
        return;
    }
    let script = "#!/bin/sh\nexec timeout -k 1 90 prlimit --cpu=20 --as=268435456 /run/overlayctl \"$@\"\n";
    // Also makes what chroot needs.
    drop(stage.overlayctl_inside(&["--version"]));
    for verb in [&["status"][..], &["keep"], &["trash", "empty"], &["uppers", "list"], &["reset"]] {
        fs::write("/run/bounded", script).unwrap();
        fs::set_permissions("/run/bounded", fs::Permissions::from_mode(0o755)).unwrap();
        let output = Command::new("chroot").args(["/sysroot", "/run/bounded"]).args(verb).output().unwrap();
        ended(&output, &format!("{case}: {verb:?}"));
    }
}

#[test]
fn uppers_and_keep_stores() {
    on_stage_with("hostile-upper", "ext4", 24, |stage| {
        let (mut chance, outside) = (Chance::new(), Outside::new(stage));
        let disk = stage.disk("upper.img", 16, &[]);
        stage.mount_root("rw");
        fs::create_dir_all("/sysroot/srv/data").unwrap();
        fs::create_dir_all("/sysroot/etc/ssh").unwrap();
        fs::write("/sysroot/srv/data/file", "x").unwrap();
        stage.mount_root("ro");
        let before = stage.root.bytes();
        let markers = ["{\"keep\": false}", "{\"keep\": true}", "{\"restore\": \"overlay.1\"}"];
        for number in 0..cases(15) {
            let marker = markers.get(chance.below(6)).copied();
            let case = match SURE.get(number) {
                Some(kind) => everywhere(&disk, &outside, kind),
                None => furnish(&mut chance, &disk, &outside, &UPPER, marker),
            };
            let more = chance.of(&["", "rd.overlay.reset", "rd.overlay.stale=park", "rd.overlay.readonly"]);
            let case = format!("{number}: {more} {case}");
            let line = format!(
                "rd.overlay={} {more} rd.overlay.path=machine-id rd.overlay.path=ssh-host-keys rd.overlay.hostname=n \
                 rd.overlay.path=persist:/srv/data",
                disk.node
            );
            let output = stage.tool("bounded-overlay-assemble", line.as_bytes(), &["--by", "hook"]);
            ended(&output, &case);
            outside.unchanged(&case);
            afterwards(stage, &case);
            outside.unchanged(&case);
            stage.reboot();
        }
        assert!(before == stage.root.bytes(), "the root was written");
    });
}

#[test]
fn holders_of_loop_files() {
    on_stage_with("hostile-holder", "ext4", 24, |stage| {
        let (mut chance, outside) = (Chance::new(), Outside::new(stage));
        let disk = stage.disk("data.img", 48, &[]);
        for number in 0..cases(10) {
            let case = furnish(&mut chance, &disk, &outside, &HOLDER, None);
            let case = format!("{number}: {case}");
            let line = format!("rd.overlay=loop:/deep/upper.img,dev={},size=16M", disk.node);
            let output = stage.tool("bounded-overlay-assemble", line.as_bytes(), &["--by", "hook"]);
            ended(&output, &case);
            outside.unchanged(&case);
            stage.reboot();
        }
    });
}

#[test]
fn caches_of_images() {
    on_stage_with("hostile-cache", "ext4", 24, |stage| {
        private_network();
        let (mut chance, outside) = (Chance::new(), Outside::new(stage));
        let (server, disk) = (Server::start(), stage.disk("cache.img", 24, &[]));
        let image: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let sum: String = Sha256::digest(&image).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        let url = server.at("/root.squashfs", Reply::Body(image.clone()));
        fs::write("/next", "#!/bin/sh\nprintf %s \"$1\" > /tmp/given\n").unwrap();
        fs::set_permissions("/next", fs::Permissions::from_mode(0o755)).unwrap();
        let names = CACHE.map(|name| name.replace("SUM", &sum));
        let names = names.each_ref().map(String::as_str);
        for number in 0..cases(12) {
            let case = furnish(&mut chance, &disk, &outside, &names, None);
            let case = format!("{number}: {case}");
            let line = format!("root=live:{url} rd.overlay.image.cache={} rd.overlay.image.sha256={sum}", disk.node);
            let netroot = format!("overlayimage:{url}");
            let args = ["--next", "/next", "--seconds", "3,2", "eth0", &netroot, "/sysroot"];
            let output = stage.tool("bounded-overlayimageroot", line.as_bytes(), &args);
            ended(&output, &case);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{case}: the image boots from the server at the least: {said}");
            let given = fs::read(fs::read_to_string("/tmp/given").unwrap()).unwrap();
            assert!(given == image, "{case}: another image");
            outside.unchanged(&case);
            stage.reboot();
            let _ = fs::remove_dir_all("/tmp/overlay-image");
        }
    });
}

/// Who can write the directory of an image puts a link in the place of its name when the tool begins.
#[test]
fn an_image_is_written_to_no_other_file() {
    on_stage_with("hostile-image", "ext4", 24, |_| {
        for directory in ["/tree/usr", "/tree/proc", "/own", "/open"] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write("/tree/usr/file", "content\n").unwrap();
        fs::set_permissions("/open", fs::Permissions::from_mode(0o777)).unwrap();
        for (program, out) in [("mksquashfs", "/open/a.squashfs"), ("mkfs.erofs", "/open/a.erofs")] {
            let real = run("sh", &["-c", &format!("command -v {program}")]);
            fs::write("/victim", "root's own\n").unwrap();
            let swap = format!("[ -e {out}.new ] && mv {out}.new /aside && ln -s /victim {out}.new");
            fs::write(format!("/own/{program}"), format!("#!/bin/sh\n{swap}\nexec {} \"$@\"\n", real.trim())).unwrap();
            fs::set_permissions(format!("/own/{program}"), fs::Permissions::from_mode(0o755)).unwrap();
            let path = format!("/own:{}", std::env::var("PATH").unwrap());
            let output = Command::new("/overlayctl").args(["image", "build", "/tree", out]).env("PATH", path).output();
            let said = String::from_utf8_lossy(&output.unwrap().stderr).into_owned();
            assert_eq!(fs::read_to_string("/victim").unwrap_or_default(), "root's own\n", "{program}: {said}");
            assert!(fs::metadata("/aside").is_ok_and(|made| made.len() > 1000), "{program}: {said}");
            assert!(said.contains("was exchanged") && fs::metadata(out).is_err(), "{program}: {said}");
            fs::remove_file("/aside").unwrap();
        }
    });
}
