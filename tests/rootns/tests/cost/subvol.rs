// SPDX-License-Identifier: GPL-2.0-or-later
//! What an upper in a subvolume costs: a large file copied up, a large upper reset.
use overlayroot_rootns::cost::{fill, us};
use overlayroot_rootns::subvol::{TOP, boot, fedora};
use overlayroot_rootns::{on_stage_with, run};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::Instant;

#[test]
fn a_reset_takes_as_long_for_a_big_upper() {
    let _alone = crate::alone();
    on_stage_with("subbig", "btrfs", 512, |stage| {
        fedora(stage);
        let cmdline = "rd.overlay=subvol:overlay";
        // The least of three: the machine may be busy with something else.
        let mut least = u64::MAX;
        for _ in 0..3 {
            boot(stage, cmdline);
            fill("/sysroot/many", 20_000);
            run("sync", &[]);
            stage.reboot();
            let record = boot(stage, &format!("{cmdline} rd.overlay.reset"));
            assert!(!fs::exists("/sysroot/many").unwrap());
            least = least.min(us(&record, "reset"));
            let started = Instant::now();
            assert!(stage.overlayctl(&["trash", "empty"]).starts_with("1 files"));
            println!("reset {} us, trash {:.1} ms", us(&record, "reset"), started.elapsed().as_secs_f64() * 1e3);
            stage.reboot();
        }
        assert!(least < 50_000, "{least} us");
    });
}

fn used() -> u64 {
    run("sync", &["-f", TOP]);
    let usage = run("btrfs", &["filesystem", "usage", "-b", TOP]);
    let line = usage.lines().find_map(|line| line.trim().strip_prefix("Used:")).unwrap();
    line.trim().parse().unwrap()
}

#[test]
fn a_gibibyte_is_copied_up_by_reference() {
    let _alone = crate::alone();
    on_stage_with("subref", "btrfs", 2600, |stage| {
        fedora(stage);
        stage.mount_root("rw");
        run("dd", &["if=/dev/urandom", "of=/sysroot/big", "bs=1M", "count=1024", "conv=fsync", "status=none"]);
        stage.mount_root("ro");
        boot(stage, "rd.overlay=subvol:overlay");
        let before = used();
        let started = Instant::now();
        let mut file = OpenOptions::new().append(true).open("/sysroot/big").unwrap();
        file.write_all(b"tail").unwrap();
        file.sync_all().unwrap();
        let took = started.elapsed();
        let grown = used().saturating_sub(before);
        println!("1 GiB appended to in {:.1} ms, {} KiB more in use", took.as_secs_f64() * 1e3, grown >> 10);
        assert!(took.as_millis() < 500, "{took:?}");
        assert!(grown < 4 << 20, "{grown} bytes more in use");
        let extents = run("filefrag", &["-v", "/run/overlayfs/big"]);
        let lines: Vec<&str> = extents.lines().filter(|line| line.contains("..")).collect();
        let shared = lines.iter().filter(|line| line.contains("shared")).count();
        println!("{shared} of {} extents are shared", lines.len());
        assert!(shared > 0 && shared + 1 >= lines.len(), "{extents}");
        let (lower, upper) = (fs::metadata("/run/rootfsbase/big").unwrap(), fs::metadata("/sysroot/big").unwrap());
        assert_eq!((lower.len(), upper.len()), (1 << 30, (1 << 30) + 4));
    });
}
