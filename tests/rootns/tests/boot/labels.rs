// SPDX-License-Identifier: GPL-2.0-or-later
//! Labels of SELinux for what the initramfs makes: an attribute like any other before a policy is loaded. What it can't
//! know is listed, and handed to restorecon.
use overlayroot_rootns::{Stage, on_stage, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

const LABEL: &str = "security.selinux";
const ROOT: &str = "system_u:object_r:root_t:s0";
const OTHER: &str = "system_u:object_r:var_t:s0";

/// Of a link or device itself.
fn label(path: &str) -> Option<String> {
    let mut value = [0; 64];
    let len = rustix::fs::lgetxattr(path, LABEL, &mut value).ok()?;
    Some(String::from_utf8_lossy(&value[..len]).trim_end_matches('\0').to_owned())
}

fn set_label(path: &str, text: &str) {
    let text = format!("{text}\0");
    rustix::fs::lsetxattr(path, LABEL, text.as_bytes(), rustix::fs::XattrFlags::empty()).unwrap();
}

/// A root that is labelled, and has neither a name nor an identity.
fn furnish(stage: &Stage) {
    stage.mount_root("rw");
    fs::remove_file("/sysroot/etc/hostname").unwrap();
    fs::create_dir_all("/sysroot/var/scratch/deep").unwrap();
    fs::write("/sysroot/var/scratch/deep/file", "x").unwrap();
    set_label("/sysroot", ROOT);
    for path in ["etc", "etc/fstab", "usr", "var", "var/scratch", "var/scratch/deep", "var/scratch/deep/file"] {
        set_label(&format!("/sysroot/{path}"), OTHER);
    }
    stage.mount_root("ro");
}

const PATHS: &str = "rd.overlay.hostname=n7 rd.overlay.path=volatile:/var/scratch,copy rd.overlay.path=machine-id \
                     rd.overlay.path=persist:/opt/a/b/";

fn made(record: &Value) -> Value {
    assert_eq!(record["outcome"], "applied", "{record:#}");
    record["made"].clone()
}

#[test]
fn what_is_made_is_listed_whatever_the_upper_is() {
    on_stage("labels-made", |stage| {
        furnish(stage);
        let (upper, keep) = (stage.disk("upper.img", 24, &["-t", "ext4"]), stage.disk("keep.img", 24, &["-t", "ext4"]));
        let all = json!([
            {"path": "/etc/hostname"}, {"path": "/etc/machine-id"}, {"path": "/opt"}, {"path": "/opt/a"},
            {"path": "/opt/a/b"}, {"path": "/var/scratch", "whole": true},
        ]);
        for spec in ["tmpfs", &upper.node, "dir:/up"] {
            let line = format!("rd.overlay={spec} rd.overlay.path.dev={} {PATHS}", keep.node);
            // What one boot does not label is on the next one's list.
            for _ in 0..2 {
                assert_eq!(made(&stage.assemble(&line)), all, "{spec}");
                assert_eq!(label("/sysroot/etc").as_deref(), Some(OTHER), "{spec}");
                stage.reboot();
            }
        }
        // And what is labelled is not, but for what is written anew and what forgets.
        let line = format!("rd.overlay={} rd.overlay.path.dev={} {PATHS}", upper.node, keep.node);
        stage.assemble(&line);
        for path in ["etc/machine-id", "opt", "opt/a", "opt/a/b"] {
            set_label(&format!("/sysroot/{path}"), "system_u:object_r:mine_t:s0");
        }
        stage.reboot();
        let left = json!([{"path": "/etc/hostname"}, {"path": "/var/scratch", "whole": true}]);
        assert_eq!(made(&stage.assemble(&line)), left);
        assert_eq!(label("/sysroot/opt/a/b").as_deref(), Some("system_u:object_r:mine_t:s0"));
    });
}

#[test]
fn a_root_without_labels_has_none_to_give() {
    on_stage("labels-none", |stage| {
        let upper = stage.disk("upper.img", 24, &["-t", "ext4"]);
        let record = stage.assemble(&format!("rd.overlay={} rd.overlay.path=persist:/opt/a/", upper.node));
        assert_eq!(made(&record), Value::Null);
        assert_eq!(label("/run/initramfs/overlayroot/upper/ovlwork"), None);
    });
}

/// Ubuntu's names are seen in the merged root.
#[test]
fn the_way_to_mount_points_in_the_root_counts() {
    on_stage("labels-ubuntu", |stage| {
        furnish(stage);
        let upper = stage.disk("upper.img", 24, &["-t", "ext4"]);
        let record = stage.assemble(&format!("overlayroot=device:dev={}", upper.node));
        let paths = made(&record)
            .as_array()
            .unwrap()
            .iter()
            .map(|made| made["path"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>();
        assert_eq!(paths, ["/media"], "what is mounted there is not the root's");
    });
}

#[test]
fn what_lies_beside_the_root_has_the_uppers_label() {
    on_stage("labels-beside", |stage| {
        furnish(stage);
        let device = stage.disk("upper.img", 24, &["-t", "ext4"]);
        let holds = |at: &str, names: &[&str]| {
            for name in names {
                assert_eq!(label(&format!("{at}/{name}")).as_deref(), Some(ROOT), "{at}/{name}");
            }
        };
        let ours = ["overlay", "ovlwork", "ovlwork/work", ".overlayroot", ".overlayroot/overlay.json"];
        stage.assemble(&format!("rd.overlay={} rd.overlay.path=persist:/var/scratch", device.node));
        holds("/run/initramfs/overlayroot/upper", &ours);
        holds("/run/initramfs/overlayroot/upper/.overlayroot", &["keep"]);
        // The kernel makes its own anew at each boot; others, as of an earlier version, get what they lack.
        rustix::fs::removexattr("/run/initramfs/overlayroot/upper/ovlwork", LABEL).unwrap();
        stage.reboot();
        stage.assemble(&format!("rd.overlay={} rd.overlay.path=persist:/var/scratch", device.node));
        holds("/run/initramfs/overlayroot/upper", &ours);
        // What is kept has what the root had there.
        assert_eq!(label("/sysroot/var/scratch/deep/file").as_deref(), Some(OTHER));
        stage.reboot();
        assert_eq!(made(&stage.assemble("rd.overlay=dir:/srv/up")), json!([{"path": "/srv"}]));
        holds("/run/initramfs/overlayroot/root/srv/up", &ours);
        holds("/run/initramfs/overlayroot/root", &["srv", "srv/up"]);
        // The whiteout over the upper's place.
        assert!(fs::symlink_metadata("/sysroot/srv/up").is_err());
        holds("/run/overlayfs", &["srv/up"]);
    });
}

/// With a directory for selinuxfs, and a restorecon that tells what it was asked for.
#[test]
fn the_list_is_handed_to_restorecon() {
    on_stage("labels-restorecon", |stage| {
        furnish(stage);
        let (upper, keep) = (stage.disk("upper.img", 24, &["-t", "ext4"]), stage.disk("keep.img", 24, &["-t", "ext4"]));
        run("mount", &["-t", "tmpfs", "selinux", "/sys/fs"]);
        run("sh", &["-c", "mkdir /sys/fs/selinux && echo 1 >/sys/fs/selinux/enforce"]);
        let asked = |stage: &Stage, spec: &str| -> BTreeSet<String> {
            let line = format!("rd.overlay={spec} rd.overlay.path.dev={} {PATHS}", keep.node);
            assert_eq!(stage.assemble(&line)["outcome"], "applied");
            stage.overlayctl_inside(&["--version"]);
            // Written by another process: what a thread starts meanwhile would have it open, ETXTBSY.
            run(
                "sh",
                &[
                    "-c",
                    "mkdir -p /run/fake; cat >/run/fake/restorecon <<'EOF'\n#!/bin/sh\necho \"$*\" >/run/fake/how\ntr '\\0' '\\n' >/run/fake/asked\nEOF\nchmod +x /run/fake/restorecon",
                ],
            );
            let path = format!("/run/fake:{}", std::env::var("PATH").unwrap_or_default());
            let output =
                Command::new("chroot").args(["/sysroot", "/run/overlayctl", "label"]).env("PATH", path).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(fs::read_to_string("/run/fake/how").unwrap(), "-F -0 -f -\n");
            let asked = fs::read_to_string("/run/fake/asked").unwrap();
            stage.reboot();
            asked.lines().map(str::to_owned).collect()
        };
        let list = |all: &[&str]| all.iter().map(|path| (*path).to_owned()).collect::<BTreeSet<_>>();
        let made = list(&[
            "/etc/hostname",
            "/etc/machine-id",
            "/opt",
            "/opt/a",
            "/opt/a/b",
            "/var/scratch",
            "/var/scratch/deep",
            "/var/scratch/deep/file",
        ]);
        assert_eq!(asked(stage, &upper.node), made);
        assert_eq!(asked(stage, "dir:/up"), made);
        let in_ram = asked(stage, "tmpfs");
        assert!(in_ram.is_superset(&made) && in_ram.is_superset(&list(&["/", "/etc"])), "{in_ram:#?}");
        assert!(!in_ram.contains("/etc/fstab"), "the lower's: {in_ram:#?}");
    });
}
