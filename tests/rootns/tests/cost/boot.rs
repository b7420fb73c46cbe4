// SPDX-License-Identifier: GPL-2.0-or-later
//! What a boot costs that keeps nothing: system calls, and what is read from the disk of the root.
use overlayroot_rootns::cost::{bytes_read, calls, counted, opened};
use overlayroot_rootns::{mount_at, on_stage_with, run};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Of a whole boot with an upper in RAM, from execve(2) to exit(2).
const MOST_CALLS: usize = 250;
/// From the disk of the root, which was just mounted.
const MOST_BYTES: u64 = 64 << 10;
const HOOK: [&str; 2] = ["--by", "hook"];

#[test]
fn an_upper_in_ram_costs_few_calls_and_reads_little() {
    let _alone = crate::alone();
    on_stage_with("cost-ram", "ext4", 256, |stage| {
        for more in ["", " rd.overlay.reset rd.overlay.stale=park"] {
            stage.reboot();
            let before = bytes_read(&stage.root);
            let calls = calls(stage, &format!("rd.overlay{more}"), &HOOK);
            let bytes = bytes_read(&stage.root) - before;
            assert_eq!(mount_at("/sysroot").unwrap().fstype, "overlay");
            let all = calls.join("\n");
            println!("an upper in RAM: {} system calls, {} KiB of the root's disk", counted(&calls), bytes >> 10);
            assert!(counted(&calls) <= MOST_CALLS, "{} calls:\n{all}", counted(&calls));
            assert!(bytes <= MOST_BYTES, "{bytes} bytes:\n{all}");
        }
    });
}

#[test]
fn an_upper_that_stays_takes_little_of_the_roots_disk_for_its_uuid() {
    let _alone = crate::alone();
    on_stage_with("cost-kept", "ext4", 256, |stage| {
        let disk = stage.disk("upper.img", 16, &["-t", "ext4"]);
        let before = bytes_read(&stage.root);
        let calls = calls(stage, &format!("rd.overlay={}", disk.node), &HOOK);
        let bytes = bytes_read(&stage.root) - before;
        println!("an upper on a device: {} system calls, {} KiB of the root's disk", counted(&calls), bytes >> 10);
        assert!(fs::read_to_string("/run/overlayroot/state.json").unwrap().contains("\"upper\": \"device\""));
        assert!(bytes <= MOST_BYTES, "{bytes} bytes:\n{}", calls.join("\n"));
    });
}

#[test]
fn a_boot_without_an_overlay_looks_at_nothing() {
    let _alone = crate::alone();
    on_stage_with("cost-off", "ext4", 24, |stage| {
        fs::write("/modprobe", "#!/bin/sh\n: >/tmp/loaded\n").unwrap();
        fs::set_permissions("/modprobe", fs::Permissions::from_mode(0o755)).unwrap();
        let said = "/proc/cmdline";
        let early = calls(stage, "quiet", &["--stand-down"]);
        assert_eq!(opened(&early, "/proc"), [said], "{early:#?}");
        let calls = calls(stage, "quiet", &HOOK);
        println!("without an overlay: {} system calls", counted(&calls));
        // The first and the last are for the record.
        let files = ["/proc/uptime", "/proc/thread-self/mountinfo", said, "/proc/sys/kernel/random/boot_id"];
        assert_eq!(opened(&calls, "/proc"), files, "{calls:#?}");
        for calls in [&early, &calls] {
            assert_eq!(opened(calls, "/sys/"), [] as [&str; 0]);
            // to have its three descriptors
            assert_eq!(opened(calls, "/dev"), ["/dev/null"]);
        }
        assert!(!fs::exists("/tmp/loaded").unwrap());
        assert_eq!(mount_at("/sysroot").unwrap().fstype, "ext4");
    });
}

#[test]
fn overlayfs_is_loaded_while_udev_works_and_nothing_waits_for_it() {
    let _alone = crate::alone();
    on_stage_with("cost-early", "ext4", 24, |stage| {
        const TOOK: &str = "/tmp/loaded";
        fs::write("/modprobe", format!("#!/bin/sh\nsleep 3\necho \"$@\" >{TOOK}\n")).unwrap();
        fs::set_permissions("/modprobe", fs::Permissions::from_mode(0o755)).unwrap();
        let stand_down = |cmdline: &str| {
            let started = Instant::now();
            let output = stage.tool("overlay-assemble", cmdline.as_bytes(), &["--stand-down"]);
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            started.elapsed()
        };
        // As if overlayfs were a module that nobody has loaded.
        fs::write("/tmp/filesystems", "nodev\tsysfs\n\text4\n").unwrap();
        run("mount", &["--bind", "/tmp/filesystems", "/proc/filesystems"]);
        stand_down("quiet");
        stand_down("rd.overlay=0");
        sleep(Duration::from_secs(4));
        assert!(!fs::exists(TOOK).unwrap());
        let took = stand_down("rd.overlay=LABEL=x");
        assert!(took < Duration::from_secs(3) && !fs::exists(TOOK).unwrap(), "{took:?}");
        let begun = Instant::now();
        while fs::read_to_string(TOOK).unwrap_or_default() != "-q overlay\n" {
            assert!(begun.elapsed() < Duration::from_secs(60), "not loaded");
            sleep(Duration::from_millis(50));
        }
        // Nobody minds where there is no modprobe, or it fails.
        for broken in ["#!/no/such/shell\n", "#!/bin/false\n"] {
            fs::write("/modprobe", broken).unwrap();
            stand_down("rd.overlay");
        }
        run("umount", &["/proc/filesystems"]);
        fs::remove_file(TOOK).unwrap();
        fs::write("/modprobe", format!("#!/bin/sh\n: >{TOOK}\n")).unwrap();
        let has = fs::read_to_string("/proc/filesystems").unwrap().contains("overlay");
        stand_down("rd.overlay");
        sleep(Duration::from_secs(1));
        assert!(!has || !fs::exists(TOOK).unwrap(), "it is there");
    });
}
