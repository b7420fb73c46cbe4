// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl resize` on the upper in use: what the kernel has afterwards. ext4 grows with CAP_SYS_RESOURCE only,
//! which containers lack: boot case `watch/watch-loop` has it, and `watch/resize-quota` has quotas.
use nix::sys::statvfs::statvfs;
use overlayroot_rootns::{Stage, on_stage, on_stage_with, schema};
use serde_json::Value;
use std::fs;

const MIB: u64 = 1 << 20;
const TMPFS: &str = "/run/initramfs/overlay";

fn bytes(at: &str) -> u64 {
    let stat = statvfs(at).unwrap();
    stat.blocks() * stat.fragment_size()
}

/// Exit status, and all that was printed.
fn resize(stage: &Stage, args: &[&str]) -> (i32, String) {
    let output = stage.overlayctl_inside(&[&["resize"], args].concat());
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code().unwrap(), said)
}

fn done(stage: &Stage, args: &[&str]) -> String {
    let (code, said) = resize(stage, args);
    assert_eq!(code, 0, "{args:?}: {said}");
    said
}

fn refused(stage: &Stage, args: &[&str], why: &str) {
    let (code, said) = resize(stage, args);
    assert!(code == 1 && said.contains(why), "{args:?}: {code} {said}");
}

fn status(stage: &Stage) -> Value {
    let output = stage.overlayctl_inside(&["status", "--json"]);
    schema::holds("status", &String::from_utf8_lossy(&output.stdout))
}

/// The file that a resize leaves; the same is in the status.
fn resized(stage: &Stage) -> Value {
    let file = schema::holds("resized", &fs::read_to_string("/run/overlayroot/resized.json").unwrap());
    assert_eq!(file, status(stage)["resized"]);
    file
}

#[test]
fn a_tmpfs_grows_shrinks_and_keeps_what_is_in_it() {
    on_stage("rstmpfs", |stage| {
        stage.assemble("rd.overlay=tmpfs:size=32M,nr_inodes=2000");
        fs::write("/sysroot/big", vec![1; 20 << 20]).unwrap();
        assert_eq!(status(stage)["resized"], Value::Null);
        let said = done(stage, &["--dry-run", "64M"]);
        assert!(said.contains("/run/initramfs/overlay with size=67108864"), "{said}");
        assert_eq!(bytes(TMPFS), 32 * MIB);
        done(stage, &["64M"]);
        assert_eq!(bytes(TMPFS), 64 * MIB);
        done(stage, &["+16M"]);
        assert_eq!(bytes(TMPFS), 80 * MIB);
        refused(stage, &["16M"], "less than the");
        done(stage, &["24M"]);
        assert_eq!((bytes(TMPFS), fs::read("/sysroot/big").unwrap()), (24 * MIB, vec![1; 20 << 20]));
        // Nothing else of the mount changes.
        let mount = overlayroot_rootns::mount_at(TMPFS).unwrap();
        assert!(mount.super_options.contains("mode=700") && mount.super_options.contains("nr_inodes=2000"));
        let left = resized(stage);
        assert_eq!((left["bytes_before"].as_u64(), left["bytes"].as_u64()), (Some(32 * MIB), Some(24 * MIB)));
        let live = status(stage);
        assert_eq!(live["live"]["upper"]["bytes"].as_u64(), Some(24 * MIB));
        // 20 of 24: a warning by the default thresholds.
        assert_eq!(
            (live["level"].as_str(), live["live"]["upper"]["level"].as_str()),
            (Some("warning"), Some("warning"))
        );
    });
}

#[test]
fn inodes_percentages_and_more_than_there_is() {
    on_stage("rsinodes", |stage| {
        stage.assemble("rd.overlay=tmpfs:size=32M,nr_inodes=2000");
        done(stage, &["--inodes", "+500"]);
        assert_eq!((statvfs(TMPFS).unwrap().files(), bytes(TMPFS)), (2500, 32 * MIB));
        let left = resized(stage);
        assert_eq!((left["inodes"].as_u64(), left["bytes"].as_u64()), (Some(2500), Some(0)));
        done(stage, &["64M", "--inodes", "4k"]);
        assert_eq!((statvfs(TMPFS).unwrap().files(), bytes(TMPFS)), (4096, 64 * MIB));
        refused(stage, &["--inodes", "3"], "in use");
        let text = fs::read_to_string("/proc/meminfo").unwrap();
        let memory = overlayroot_core::parse::meminfo::Memory::parse(&text);
        done(stage, &["10%"]);
        assert_eq!(bytes(TMPFS), memory.ram / 10 / 4096 * 4096);
        let beyond = format!("{}", memory.ram + memory.swap + MIB);
        refused(stage, &[&beyond], "the system would run out of memory");
        assert_eq!(bytes(TMPFS), memory.ram / 10 / 4096 * 4096);
        let said = done(stage, &["--force", &beyond]);
        assert!(said.contains("larger than RAM and swap") && bytes(TMPFS) > memory.ram, "{said}");
        for bad in ["", "0", "-1G", "x", "+50%"] {
            assert_eq!(resize(stage, &[bad]).0, 64, "{bad}");
        }
        assert_eq!(resize(stage, &[]).0, 64);
    });
}

#[test]
fn what_has_no_size_of_its_own_is_refused_with_what_to_do() {
    on_stage_with("rsother", "ext4", 64, |stage| {
        stage.assemble("rd.overlay=tmpfs:size=0");
        refused(stage, &["1G"], "rd.overlay=tmpfs:size=SIZE");
        stage.reboot();
        stage.assemble("rd.overlay=dir:/var/upper");
        refused(stage, &["1G"], "not held to a size");
        refused(stage, &["--inodes", "5000"], "in RAM only");
        stage.reboot();
        let disk = stage.disk("upper.img", 40, &["-t", "ext4", "-L", &format!("u{}", stage.tag)]);
        let record = stage.assemble(&format!("rd.overlay={}", disk.node));
        assert_eq!(record["effective"]["upper"], "device", "{record:#}");
        refused(stage, &["1G"], "resize2fs");
        stage.reboot();
        stage.assemble("rd.overlay=0");
        stage.mount_root("rw");
        refused(stage, &["1G"], "not managed by overlayroot-rs");
    });
}

#[test]
fn a_loop_file_grows_under_the_running_root() {
    on_stage_with("rsloop", "ext4", 900, |stage| {
        let record = stage.assemble("rd.overlay=loop:/var/upper.img,size=300M,fs=xfs,reserve=50M");
        assert_eq!(record["effective"]["upper"], "loop", "{record:#}");
        let file = "/run/initramfs/overlayroot/root/var/upper.img";
        let before = bytes("/run/overlayfs-backing");
        fs::write("/sysroot/kept", "kept").unwrap();
        let said = done(stage, &["-n", "400M"]);
        assert!(said.contains("grow-loop-file") && said.contains("grow-fs"), "{said}");
        assert_eq!(fs::metadata(file).unwrap().len(), 300 * MIB);
        done(stage, &["+100M"]);
        let metadata = fs::metadata(file).unwrap();
        assert_eq!(metadata.len(), 400 * MIB);
        assert!(std::os::unix::fs::MetadataExt::blocks(&metadata) * 512 >= 400 * MIB, "sparse");
        assert!(bytes("/run/overlayfs-backing") > before + 80 * MIB);
        assert_eq!(fs::read_to_string("/sysroot/kept").unwrap(), "kept");
        refused(stage, &["300M"], "not made smaller");
        refused(stage, &["8G"], "stay in reserve");
        assert_eq!(fs::metadata(file).unwrap().len(), 400 * MIB);
        assert_eq!(status(stage)["resized"]["lasts"], true);
    });
}
