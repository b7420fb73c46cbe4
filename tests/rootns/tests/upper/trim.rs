// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl trim`: what is removed from a kept upper is given back to the device that it lies on, which fstrim by
//! fstab does not do. Loop devices punch holes into their files for it.
use overlayroot_linux::sys::loopdev::{Calls, attach};
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{Disk, Stage, on_stage_with, run};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const BIG: u64 = 24 << 20;

/// A loop device that somebody had without discards keeps that for whoever has it next: one that has them.
fn with_discards(disk: &mut Disk) {
    run("losetup", &["-d", &disk.node]);
    disk.node = attach(disk.image.to_str().unwrap(), false, true, Calls::Newest).unwrap();
}

fn allocated(path: impl AsRef<Path>) -> u64 {
    run("sync", &[]);
    fs::metadata(path).unwrap().blocks() * 512
}

/// Writes through the overlay and removes it: the file behind the disk keeps the blocks.
fn leave_blocks(image: &Path) -> u64 {
    fs::write("/sysroot/big", vec![1; usize::try_from(BIG).unwrap()]).unwrap();
    File::open("/sysroot/big").unwrap().sync_all().unwrap();
    fs::remove_file("/sysroot/big").unwrap();
    let left = allocated(image);
    assert!(left > BIG, "{left}");
    left
}

/// What it prints, where it succeeds.
fn trim(stage: &Stage) -> String {
    let output = stage.overlayctl_inside(&["trim"]);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn the_device_of_an_upper_gets_its_blocks_back() {
    on_stage_with("trimdev", "ext4", 32, |stage| {
        let label = format!("t{}", stage.tag);
        let mut disk = stage.disk("upper.img", 64, &["-t", "ext4", "-L", &label]);
        with_discards(&mut disk);
        let record = stage.assemble(&format!("rd.overlay=LABEL={label}"));
        assert_eq!(record["effective"]["upper"], "device", "{record:#}");
        let before = leave_blocks(&disk.image);
        let said = trim(stage);
        assert!(said.starts_with("/run/initramfs/overlayroot/upper: "), "{said}");
        assert!(allocated(&disk.image) + BIG / 2 < before, "{said}");
    });
}

#[test]
fn the_root_of_a_directory_upper_too_and_a_loop_file_keeps_its_room() {
    on_stage_with("trimdir", "ext4", 96, |stage| {
        unmount("/sysroot");
        with_discards(&mut stage.root);
        stage.mount_root("ro");
        stage.assemble("rd.overlay=dir:/upper");
        let before = leave_blocks(&stage.root.image);
        let said = trim(stage);
        assert!(said.starts_with("/run/initramfs/overlayroot/root: ") && said.lines().count() == 1, "{said}");
        assert!(allocated(&stage.root.image) + BIG / 2 < before, "{said}");
        stage.reboot();
        // The loop device takes none: all of the file stays reserved.
        let record = stage.assemble("rd.overlay=loop:/upper.img,size=48M");
        assert_eq!(record["effective"]["upper"], "loop", "{record:#}");
        fs::write("/sysroot/big", vec![1; 16 << 20]).unwrap();
        fs::remove_file("/sysroot/big").unwrap();
        let said = trim(stage);
        assert!(!said.contains("overlayroot/upper: "), "{said}");
        assert!(allocated("/run/initramfs/overlayroot/root/upper.img") >= 48 << 20, "{said}");
    });
}

#[test]
fn nothing_is_trimmed_where_nothing_is_kept() {
    on_stage_with("trimram", "ext4", 32, |stage| {
        stage.assemble("rd.overlay");
        assert_eq!(trim(stage), "");
        stage.reboot();
        stage.assemble("rd.overlay=0");
        stage.mount_root("rw");
        assert_eq!(trim(stage), "");
    });
}
