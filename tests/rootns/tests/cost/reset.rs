// SPDX-License-Identifier: GPL-2.0-or-later
//! What a reset of a large upper costs the boot, on this machine's own kernel.
use overlayroot_rootns::cost::{boot, fill, us};
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{on_stage, run};
use std::fs;
use std::path::Path;

const TRASH: &str = "/run/initramfs/overlayroot/upper/.overlayroot/trash";

#[test]
fn a_reset_takes_as_long_for_a_big_upper() {
    let _alone = crate::alone();
    on_stage("big", |stage| {
        let disk = stage.disk("upper.img", 128, &["-t", "ext4", "-m", "0", "-N", "60000"]);
        // The least of three: the machine may be busy with something else.
        let mut least = [u64::MAX; 2];
        for _ in 0..3 {
            for (kind, step) in ["reset", "reset-once"].into_iter().enumerate() {
                boot(stage, &disk, "");
                fill("/sysroot/many", 20_000);
                let more = if step == "reset" { "rd.overlay.reset" } else { "" };
                if more.is_empty() {
                    stage.overlayctl(&["reset"]);
                }
                // Measured is the reset, not what the system before it had not written yet.
                run("sync", &[]);
                stage.reboot();
                let record = boot(stage, &disk, more);
                assert_eq!(record["effective"]["reset"], true);
                assert!(!Path::new("/sysroot/many").exists());
                assert!(Path::new(&format!("{TRASH}/upper.0/many/0/0")).exists());
                least[kind] = least[kind].min(us(&record, step));
                assert!(stage.overlayctl(&["trash", "empty"]).contains("removed from"));
                assert_eq!(fs::read_dir(TRASH).unwrap().count(), 0);
                stage.reboot();
            }
        }
        assert!(least.iter().all(|us| *us < 50_000), "{least:?} us");
    });
}

#[test]
fn half_a_million_files_cost_a_boot_less_than_50_ms() {
    let _alone = crate::alone();
    on_stage("huge", |stage| {
        let disk = stage.disk("upper.img", 512, &["-t", "ext4", "-m", "0", "-N", "600000"]);
        boot(stage, &disk, "");
        fill("/sysroot/many", 500_000);
        run("sync", &[]);
        let mut least = u64::MAX;
        for _ in 0..3 {
            stage.reboot();
            let record = boot(stage, &disk, "rd.overlay.reset");
            assert!(!Path::new("/sysroot/many").exists());
            least = least.min(us(&record, "reset"));
            println!("reset of 500,000 files: {} us", us(&record, "reset"));
            stage.reboot();
            // The same files are the upper again, for another look at the clock.
            run("mount", &[&disk.node, "/mnt"]);
            fs::remove_dir_all("/mnt/overlay").unwrap();
            fs::rename("/mnt/.overlayroot/trash/upper.0", "/mnt/overlay").unwrap();
            fs::remove_dir_all("/mnt/.overlayroot/trash").unwrap();
            unmount("/mnt");
        }
        assert!(least < 50_000, "{least} us");
    });
}
