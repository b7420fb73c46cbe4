// SPDX-License-Identifier: GPL-2.0-or-later
//! Single paths with a policy of their own, with real mounts and real file systems.
use overlayroot_rootns::{Stage, mount_at, mounts, on_stage, on_stage_with, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Writes into the root's own disk before a boot.
fn furnish(stage: &Stage, make: impl Fn()) {
    stage.mount_root("rw");
    make();
    stage.mount_root("ro");
}

fn outcomes(record: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let paths = record["effective"]["paths"].as_array().cloned().unwrap_or_default();
    paths.iter().map(|path| (text(&path["path"]), text(&path["outcome"]))).collect()
}

fn codes(record: &Value) -> Vec<String> {
    record["reasons"].as_array().unwrap().iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect()
}

fn keep(stage: &Stage) -> String {
    let output = stage.overlayctl_inside(&["keep"]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn files_and_identity_outlive_an_upper_in_ram() {
    on_stage("kept-files", |stage| {
        let disk = stage.disk("keep.img", 16, &["-t", "ext4"]);
        furnish(stage, || {
            fs::create_dir("/sysroot/etc/ssh").unwrap();
            fs::set_permissions("/sysroot/etc/ssh", fs::Permissions::from_mode(0o751)).unwrap();
            fs::write("/sysroot/etc/machine-id", "uninitialized\n").unwrap();
        });
        let line = format!(
            "rd.overlay rd.overlay.path=ssh-host-keys rd.overlay.path=machine-id rd.overlay.path.dev={}",
            disk.node
        );
        let record = stage.assemble(&line);
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let id = read("/sysroot/etc/machine-id");
        assert!(id.len() == 33 && id != "uninitialized\n", "{id}");
        assert_eq!(
            read("/run/initramfs/overlayroot/keep/0/.overlayroot/keep/files/etc/machine-id"),
            id,
            "kept at once"
        );
        assert_eq!(read("/run/rootfsbase/etc/machine-id"), "uninitialized\n");
        fs::write("/sysroot/etc/ssh/ssh_host_x_key", "secret").unwrap();
        fs::set_permissions("/sysroot/etc/ssh/ssh_host_x_key", fs::Permissions::from_mode(0o600)).unwrap();
        chown("/sysroot/etc/ssh/ssh_host_x_key", Some(3), Some(4)).unwrap();
        assert_eq!(keep(stage), "saved /etc/ssh/ssh_host_x_key\n");
        assert_eq!(keep(stage), "", "nothing has changed");
        for link in ["multi-user.target.wants/overlayroot-rs-keep", "sysinit.target.wants/overlayroot-rs-keep-late"] {
            assert!(fs::symlink_metadata(format!("/run/systemd/system/{link}.service")).is_ok(), "{link}");
        }
        let mode = |path: &str| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode("/run/initramfs/overlayroot/keep/0/.overlayroot/keep"), 0o700);

        stage.reboot();
        assert_eq!(stage.assemble(&line)["outcome"], "applied");
        assert_eq!(read("/sysroot/etc/machine-id"), id);
        let key = fs::metadata("/sysroot/etc/ssh/ssh_host_x_key").unwrap();
        assert_eq!((key.mode() & 0o7777, key.uid(), key.gid()), (0o600, 3, 4));
        assert_eq!(mode("/sysroot/etc/ssh"), 0o751);
        // Replaced as programs do it, and one deleted.
        fs::write("/sysroot/etc/ssh/ssh_host_y", "y").unwrap();
        fs::write("/sysroot/etc/ssh/new", "other").unwrap();
        fs::rename("/sysroot/etc/ssh/new", "/sysroot/etc/ssh/ssh_host_x_key").unwrap();
        keep(stage);
        fs::remove_file("/sysroot/etc/ssh/ssh_host_y").unwrap();
        assert!(keep(stage).contains("removed /etc/ssh/ssh_host_y"));

        stage.reboot();
        stage.assemble(&line);
        assert_eq!(read("/sysroot/etc/ssh/ssh_host_x_key"), "other");
        assert!(!Path::new("/sysroot/etc/ssh/ssh_host_y").exists());
    });
}

/// An upper in RAM has of both files the inode alone.
#[test]
fn a_file_that_has_its_content_in_the_lower_is_kept_with_it() {
    on_stage("kept-shared", |stage| {
        let disk = stage.disk("keep.img", 16, &["-t", "ext4"]);
        furnish(stage, || {
            fs::write("/sysroot/etc/app.conf", "the lower's").unwrap();
            fs::write("/sysroot/etc/other.conf", "the other's").unwrap();
        });
        let line = format!("rd.overlay rd.overlay.path=persist:/etc/app.conf rd.overlay.path.dev={}", disk.node);
        assert_eq!(stage.assemble(&line)["outcome"], "applied");
        let kept = "/run/initramfs/overlayroot/keep/0/.overlayroot/keep/files/etc/app.conf";
        let is_kept = |text: &str| {
            assert_eq!(fs::metadata("/run/overlayfs/etc/app.conf").unwrap().blocks(), 0);
            assert_eq!(keep(stage), "saved /etc/app.conf\n");
            let file = fs::metadata(kept).unwrap();
            assert_eq!((read(kept).as_str(), file.mode() & 0o7777, file.uid()), (text, 0o600, 3));
        };
        for (name, text) in [("app.conf", "the lower's"), ("other.conf", "the other's")] {
            let path = format!("/sysroot/etc/{name}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            chown(&path, Some(3), None).unwrap();
            fs::rename(&path, "/sysroot/etc/app.conf").unwrap();
            is_kept(text);
        }
        stage.reboot();
        assert_eq!(stage.assemble(&line)["outcome"], "applied");
        assert_eq!(read("/sysroot/etc/app.conf"), "the other's");
    });
}

#[test]
fn a_directory_is_kept_across_a_reset_with_all_that_it_has() {
    on_stage("kept-directory", |stage| {
        let disk = stage.disk("upper.img", 24, &["-t", "ext4"]);
        furnish(stage, || {
            fs::create_dir_all("/sysroot/srv/data/deep").unwrap();
            fs::write("/sysroot/srv/data/deep/file", "lower's").unwrap();
            fs::hard_link("/sysroot/srv/data/deep/file", "/sysroot/srv/data/same").unwrap();
            chown("/sysroot/srv/data", Some(5), Some(6)).unwrap();
            fs::set_permissions("/sysroot/srv/data", fs::Permissions::from_mode(0o2770)).unwrap();
        });
        let line =
            format!("rd.overlay={} rd.overlay.path=persist:/srv/data rd.overlay.path=persist:/var/lib/app/", disk.node);
        let record = stage.assemble(&line);
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let store = "/run/overlayfs-backing/.overlayroot/keep/srv-data.dir";
        let (top, file) = (fs::metadata("/sysroot/srv/data").unwrap(), fs::metadata("/sysroot/srv/data/same").unwrap());
        assert_eq!((top.mode() & 0o7777, top.uid(), top.gid(), file.nlink()), (0o2770, 5, 6, 2));
        assert_eq!(top.ino(), fs::metadata(store).unwrap().ino(), "mounted from the store");
        assert_eq!(mount_at("/sysroot/var/lib/app").unwrap().fstype, "ext4");
        fs::write("/sysroot/srv/data/new", "stays").unwrap();
        fs::write("/sysroot/srv/other", "goes").unwrap();
        fs::write("/sysroot/var/lib/app/state", "stays").unwrap();
        // A cut while the next one was made.
        fs::create_dir_all("/run/initramfs/overlayroot/upper/.overlayroot/keep/opt-x.dir.new/half").unwrap();

        stage.reboot();
        let record = stage.assemble(&format!("{line} rd.overlay.reset rd.overlay.path=persist:/opt/x/"));
        assert_eq!(
            (&record["outcome"], &record["effective"]["reset"]),
            (&"applied".into(), &true.into()),
            "{record:#}"
        );
        assert_eq!(
            (read("/sysroot/srv/data/new"), read("/sysroot/var/lib/app/state")),
            ("stays".into(), "stays".into())
        );
        assert!(!Path::new("/sysroot/srv/other").exists() && !Path::new("/sysroot/opt/x/half").exists());
        assert_eq!(fs::read_dir("/sysroot/opt/x").unwrap().count(), 0);
        let hidden = Path::new("/sysroot/.overlayroot").exists();
        assert!(!hidden);
    });
}

#[test]
fn a_dir_upper_keeps_beside_itself() {
    on_stage_with("kept-dir-upper", "xfs", 320, |stage| {
        furnish(stage, || fs::create_dir_all("/sysroot/home/me").unwrap());
        let line = "rd.overlay=dir:/upper rd.overlay.path=home";
        assert_eq!(stage.assemble(line)["outcome"], "applied");
        fs::write("/sysroot/home/me/file", "stays").unwrap();
        stage.reboot();
        assert_eq!(stage.assemble(&format!("{line} rd.overlay.reset"))["outcome"], "applied");
        assert_eq!(read("/sysroot/home/me/file"), "stays");
        assert_eq!(mount_at("/sysroot/home").unwrap().root, "/upper/.overlayroot/keep/home.dir");
    });
}

#[test]
fn volatile_bind_and_readonly() {
    on_stage("path-kinds", |stage| {
        furnish(stage, || {
            for dir in ["var/scratch", "srv/site", "opt"] {
                fs::create_dir_all(format!("/sysroot/{dir}")).unwrap();
            }
            fs::write("/sysroot/var/scratch/old", "").unwrap();
            fs::write("/sysroot/opt/file", "lower's").unwrap();
            chown("/sysroot/var/scratch", Some(7), Some(8)).unwrap();
        });
        let line = "rd.overlay rd.overlay.path=volatile:/var/scratch,size=4M rd.overlay.path=volatile:/var/none,mode=1777 \
                    rd.overlay.path=bind:/srv rd.overlay.path=readonly:/opt rd.overlay.path=readonly:/etc/hostname";
        let record = stage.assemble(line);
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let scratch = mount_at("/sysroot/var/scratch").unwrap();
        assert!(scratch.fstype == "tmpfs" && scratch.super_options.contains("size=4096k"), "{scratch:?}");
        let at = fs::metadata("/sysroot/var/scratch").unwrap();
        assert_eq!((at.uid(), at.gid(), fs::read_dir("/sysroot/var/scratch").unwrap().count()), (7, 8, 0));
        assert_eq!(fs::metadata("/sysroot/var/none").unwrap().mode() & 0o7777, 0o1777);
        fs::write("/sysroot/srv/site/page", "new").unwrap();
        assert_eq!(read("/run/rootfsbase/srv/site/page"), "new");
        assert!(fs::write("/run/rootfsbase/x", "").is_err(), "the lower's own mount stays read-only");
        for path in ["/sysroot/opt/file", "/sysroot/etc/hostname"] {
            let error = fs::write(path, "").unwrap_err();
            assert_eq!(error.raw_os_error(), Some(30), "{path}");
        }
        fs::write("/sysroot/etc/other", "").unwrap();
        assert!(!Path::new("/run/initramfs/overlayroot/keep/filling/old").exists());
        assert!(mount_at("/run/initramfs/overlayroot/keep/filling").is_none());
        stage.reboot();
        stage.mount_root("ro");
        assert_eq!(read("/sysroot/srv/site/page"), "new");
        assert!(!Path::new("/sysroot/etc/other").exists());
    });
}

#[test]
fn what_fails_is_told_and_the_rest_stands() {
    on_stage("path-failures", |stage| {
        let small = stage.disk("keep.img", 1, &["-t", "ext4", "-m", "0"]);
        furnish(stage, || {
            fs::create_dir_all("/sysroot/srv/big").unwrap();
            fs::write("/sysroot/srv/big/file", vec![1; 4 << 20]).unwrap();
            fs::create_dir("/sysroot/var").unwrap();
            symlink("/srv", "/sysroot/var/link").unwrap();
        });
        let line = format!(
            "rd.overlay rd.overlay.path=persist:/srv/big rd.overlay.path=persist:/var/link/x/ rd.overlay.path=journal \
             rd.overlay.path.dev={}",
            small.node
        );
        let record = stage.assemble(&line);
        assert_eq!(record["outcome"], "degraded", "{record:#}");
        let ends = outcomes(&record);
        let end = |path: &str| ends.iter().find(|(p, _)| p == path).map(|(_, end)| end.clone()).unwrap();
        assert_eq!(
            (end("/srv/big").as_str(), end("/var/link/x").as_str(), end("/var/log/journal").as_str()),
            ("failed", "failed", "done")
        );
        assert!(
            codes(&record).contains(&"path-persist".to_owned()) && codes(&record).contains(&"path-place".to_owned())
        );
        // What did not fit leaves nothing, and the path is the overlay's.
        assert_eq!(fs::metadata("/sysroot/srv/big/file").unwrap().len(), 4 << 20);
        let left = "/run/initramfs/overlayroot/keep/0/.overlayroot/keep";
        let names: Vec<_> = fs::read_dir(left).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["var-log-journal.dir"]);

        // The device is broken: nothing is kept in RAM in its place, and saving refuses.
        stage.reboot();
        run("dd", &["if=/dev/zero", &format!("of={}", small.node), "bs=1k", "count=40", "seek=2", "conv=notrunc"]);
        let record = stage.assemble(&format!("rd.overlay rd.overlay.path=ssh-host-keys,dev={}", small.node));
        assert_eq!(record["outcome"], "degraded", "{record:#}");
        assert_eq!(outcomes(&record), [("/etc/ssh/ssh_host_*".to_owned(), "failed".to_owned())]);
        assert!(mount_at("/sysroot").unwrap().fstype == "overlay");
        let output = stage.overlayctl_inside(&["keep"]);
        assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("is not kept"));
    });
}

#[test]
fn an_overlay_that_fails_takes_its_paths_back_and_the_next_has_them() {
    on_stage("path-undo", |stage| {
        let disk = stage.disk("keep.img", 16, &["-t", "ext4"]);
        furnish(stage, || fs::create_dir_all("/sysroot/srv").unwrap());
        // Enough for upper and work, not for what the kernel makes in the latter.
        let line =
            format!("rd.overlay=tmpfs:nr_inodes=4 rd.overlay.path=bind:/srv rd.overlay.path=home,dev={}", disk.node);
        let record = stage.assemble(&line);
        assert_eq!(
            (&record["outcome"], &record["effective"]["root"]),
            (&"degraded".into(), &"overlay".into()),
            "{record:#}"
        );
        let undone = |name: &str| {
            record["steps"].as_array().unwrap().iter().any(|step| step["step"] == name && step["result"] == "undone")
        };
        assert!(undone("path-device") && undone("path-root"), "{record:#}");
        assert_eq!(outcomes(&record).iter().filter(|(_, end)| end == "done").count(), 2, "{record:#}");
        for at in [
            "/run/initramfs/overlayroot/keep/0",
            "/run/initramfs/overlayroot/keep/root",
            "/sysroot/home",
            "/sysroot/srv",
        ] {
            assert_eq!(mounts().iter().filter(|mount| mount.at == at).count(), 1, "{at}");
        }
    });
}
