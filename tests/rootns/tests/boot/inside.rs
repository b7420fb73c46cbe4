// SPDX-License-Identifier: GPL-2.0-or-later
//! What `overlay-assemble` tells the dracut module where `/` is an overlay already.
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{Disk, on_stage, run};
use std::process::{Command, Output};

/// Words that it prints, and whether it ended well.
fn told(output: Output) -> (bool, Vec<String>) {
    let said = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), said.split_whitespace().map(str::to_owned).collect())
}

/// A squashfs holds no upper, so no other device of this machine has the module asked for.
#[test]
fn an_image_made_inside_finds_what_lies_below() {
    on_stage("inside", |stage| {
        run("mksquashfs", &["/sysroot", "/images/lower.squashfs", "-quiet", "-no-progress"]);
        unmount("/sysroot");
        let node = run("losetup", &["--find", "--show", "/images/lower.squashfs"]).trim().to_owned();
        let disk = Disk { node, image: "/images/lower.squashfs".into() };
        run("mount", &["-t", "squashfs", "-o", "ro", &disk.node, "/sysroot"]);

        let plain = |what: &str| told(Command::new("/overlay-assemble").arg(what).output().unwrap());
        assert!(!plain("--running").0, "no overlay runs");
        assert!(!plain("--file-systems").1.contains(&"squashfs".to_owned()));

        assert_eq!(stage.assemble("rd.overlay")["outcome"], "applied");
        stage.overlayctl_inside(&["--version"]);
        run("cp", &["/overlay-assemble", "/run/overlay-assemble"]);
        let inside = |what: &str| {
            told(Command::new("chroot").args(["/sysroot", "/run/overlay-assemble", what]).output().unwrap())
        };
        assert!(inside("--running").0, "an overlay runs");
        let (_, modules) = inside("--file-systems");
        assert!(modules.contains(&"squashfs".to_owned()), "{modules:?}");
        for at in ["/sysroot", "/run/rootfsbase"] {
            run("umount", &["-R", "-l", at]);
        }
    });
}
