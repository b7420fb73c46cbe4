// SPDX-License-Identifier: GPL-2.0-or-later
//! The loop file by hand: overlay-loop and `overlayctl loop`, on real file systems.
use overlayroot_linux::sys::loopdev::of_file;
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{Stage, mount_at, on_stage_with, run};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Output;

const FILE: &str = "/sysroot/var/upper.img";

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What overlay-loop prints where it succeeds.
fn tool(stage: &Stage, args: &[&str]) -> String {
    let output = stage.tool("overlay-loop", b"", args);
    assert!(output.status.success(), "{args:?}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn fails(stage: &Stage, args: &[&str], why: &str) {
    let output = stage.tool("overlay-loop", b"", args);
    assert!(output.status.code() == Some(1) && said(&output).contains(why), "{args:?}: {}", said(&output));
}

/// Nothing of ours is left behind.
fn clean(file: &str) {
    assert_eq!(of_file(file).unwrap(), Vec::<String>::new());
    let left = run("find", &["/run", "-path", "*overlayroot-loop*"]);
    assert!(left.is_empty(), "left behind: {left}");
}

fn whole(file: &str, mib: u64) {
    let metadata = fs::metadata(file).unwrap();
    assert_eq!((metadata.len(), metadata.mode() & 0o777), (mib << 20, 0o600));
    assert!(metadata.blocks() * 512 >= mib << 20, "sparse: {} blocks", metadata.blocks());
}

/// Bytes of the file system in the file, mounted for a look.
fn bytes_in(stage: &Stage, file: &str) -> u64 {
    let node = tool(stage, &["attach", file]);
    run("mount", &["-o", "ro", node.trim(), "/mnt"]);
    let stat = nix::sys::statvfs::statvfs("/mnt").unwrap();
    unmount("/mnt");
    tool(stage, &["detach", node.trim()]);
    stat.blocks() * stat.fragment_size()
}

#[test]
fn a_file_made_by_hand_is_taken_by_the_boot() {
    for (fstype, mib, fs_in_it, size) in
        [("ext4", 128, "ext4", 32), ("xfs", 700, "xfs", 300), ("btrfs", 400, "btrfs", 130)]
    {
        on_stage_with(&format!("hand{fstype}"), fstype, mib, move |stage| {
            stage.mount_root("rw");
            tool(stage, &["create", &format!("{FILE},size={size}M,fs={fs_in_it}")]);
            whole(FILE, size);
            let report = tool(stage, &["check", FILE]);
            assert!(report.contains("finished") && report.contains("all of it reserved"), "{report}");
            assert_eq!(report.contains("sound"), fs_in_it == "ext4", "{report}");
            clean(FILE);
            let before = stage.root.bytes();
            fails(stage, &["create", FILE], "exists");
            assert!(before == stage.root.bytes(), "an existing file was touched");
            stage.mount_root("ro");
            let record = stage.assemble("rd.overlay=loop:/var/upper.img,size=1G rd.overlay.fallback=halt");
            assert_eq!(record["outcome"], "applied", "{record:#}");
        });
    }
}

#[test]
fn attached_once_and_detached_by_either_name() {
    on_stage_with("attach", "ext4", 96, |stage| {
        stage.mount_root("rw");
        tool(stage, &["create", &format!("{FILE},size=16M")]);
        // By another name of the same file the kernel's path does not help.
        fs::hard_link(FILE, "/sysroot/other").unwrap();
        let node = tool(stage, &["attach", FILE]).trim().to_owned();
        assert_eq!(of_file("/sysroot/other").unwrap().join(" "), node);
        fails(stage, &["attach", "/sysroot/other"], &node);
        assert!(tool(stage, &["check", FILE]).contains("in use"));
        tool(stage, &["detach", "/sysroot/other"]);
        clean(FILE);
        fails(stage, &["detach", FILE], "no loop device");
        let node = tool(stage, &["attach", &format!("{FILE},discard")]).trim().to_owned();
        run("mount", &[&node, "/mnt"]);
        let output = stage.tool("overlay-loop", b"", &["detach", &node]);
        assert!(output.status.success() && said(&output).contains("is mounted on /mnt"), "{}", said(&output));
        unmount("/mnt");
        clean(FILE);
    });
}

#[test]
fn grown_mounted_and_unmounted() {
    for fs_in_it in ["xfs", "btrfs"] {
        on_stage_with(&format!("grow{fs_in_it}"), "ext4", 900, move |stage| {
            stage.mount_root("rw");
            tool(stage, &["create", &format!("{FILE},size=300M,fs={fs_in_it}")]);
            let first = bytes_in(stage, FILE);
            let said = tool(stage, &["grow", "--verbose", &format!("{FILE},size=400M")]);
            assert!(said.contains("grow-loop-file") && said.contains("grow-fs"), "{said}");
            whole(FILE, 400);
            let second = bytes_in(stage, FILE);
            assert!(second > first + (80 << 20), "{first} to {second}");
            let node = tool(stage, &["attach", FILE]).trim().to_owned();
            fails(stage, &["grow", &format!("{FILE},size=500M")], "detach it first");
            run("mount", &[&node, "/mnt"]);
            fs::write("/mnt/kept", "kept").unwrap();
            tool(stage, &["grow", &format!("{FILE},size=500M")]);
            let stat = nix::sys::statvfs::statvfs("/mnt").unwrap();
            assert!(stat.blocks() * stat.fragment_size() > second + (80 << 20));
            assert_eq!(fs::read_to_string("/mnt/kept").unwrap(), "kept");
            unmount("/mnt");
            tool(stage, &["detach", &node]);
            fails(stage, &["grow", &format!("{FILE},size=400M")], "can't be shrunk");
            fails(stage, &["grow", &format!("{FILE},size=2G")], "above the reserve");
            whole(FILE, 500);
            clean(FILE);
        });
    }
}

#[test]
fn what_fails_leaves_no_device_behind() {
    on_stage_with("growext", "ext4", 96, |stage| {
        stage.mount_root("rw");
        tool(stage, &["create", &format!("{FILE},size=16M")]);
        // ext4 asks for CAP_SYS_RESOURCE, which containers lack: it may fail, and must be clean after it.
        let grown = stage.tool("overlay-loop", b"", &["grow", &format!("{FILE},size=32M")]);
        if grown.status.success() {
            assert!(bytes_in(stage, FILE) > 20 << 20);
        } else {
            assert!(said(&grown).contains("growing the ext4"), "{}", said(&grown));
        }
        whole(FILE, 32);
        clean(FILE);
        tool(stage, &["check", FILE]);
        let file = fs::OpenOptions::new().write(true).open(FILE).unwrap();
        file.write_all_at(&[0xff; 2 << 20], 4096).unwrap();
        fails(stage, &["check", FILE], "NOT SOUND");
        fails(stage, &["grow", &format!("{FILE},size=40M")], "e2fsck gave up");
        clean(FILE);
        file.write_all_at(&[0; 8 << 10], 0).unwrap();
        fails(stage, &["check", FILE], "unknown");
        fails(stage, &["grow", &format!("{FILE},size=40M")], "can't be grown");
    });
}

#[test]
fn what_is_cut_short_is_not_made_longer() {
    for (fs_in_it, why) in [("ext4", "e2fsck"), ("xfs", "mounting"), ("btrfs", "mounting")] {
        on_stage_with(&format!("cut{fs_in_it}"), "ext4", 900, move |stage| {
            stage.mount_root("rw");
            tool(stage, &["create", &format!("{FILE},size=300M,fs={fs_in_it}")]);
            let file = fs::OpenOptions::new().write(true).open(FILE).unwrap();
            file.set_len(299 << 20).unwrap();
            // e2fsck sees it, or the kernel does when it is mounted
            fails(stage, &["grow", &format!("{FILE},size=400M")], why);
            assert_eq!(file.metadata().unwrap().len(), 299 << 20);
            clean(FILE);
        });
    }
}

#[test]
fn half_made_and_missing() {
    on_stage_with("halfhand", "ext4", 96, |stage| {
        stage.mount_root("rw");
        fails(stage, &["check", FILE], "missing");
        fs::create_dir_all("/sysroot/var").unwrap();
        fs::write(format!("{FILE}.new"), vec![7; 60 << 20]).unwrap();
        fails(stage, &["check", FILE], "half-made");
        tool(stage, &["create", &format!("{FILE},size=40M")]);
        assert!(!fs::exists(format!("{FILE}.new")).unwrap());
        whole(FILE, 40);
        let sparse = "/sysroot/sparse";
        run("cp", &["--sparse=always", FILE, sparse]);
        assert!(tool(stage, &["check", sparse]).contains("sparse: only"));
        fails(stage, &["check", "/sysroot/etc"], "a directory");
        fails(stage, &["create", "/sysroot/more,size=80M"], "to give");
        assert!(!fs::exists("/sysroot/more.new").unwrap());
    });
}

#[test]
fn a_dry_run_writes_nothing() {
    on_stage_with("dryhand", "ext4", 96, |stage| {
        stage.mount_root("rw");
        tool(stage, &["create", "/sysroot/f,size=16M"]);
        stage.mount_root("ro");
        let before = stage.root.bytes();
        let said = tool(stage, &["--dry-run", "create", &format!("{FILE},size=16M")]);
        assert_eq!(said, format!("make-loop-file     {FILE}, 16M reserved, ext4\n"));
        let said = tool(stage, &["-n", "grow", "/sysroot/f,size=32M"]);
        let steps: Vec<&str> = said.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(steps, ["attach", "check", "mount-device", "grow-loop-file", "grow-fs"]);
        assert!(tool(stage, &["-n", "attach", "/sysroot/f"]).starts_with("attach "));
        clean("/sysroot/f");
        assert!(before == stage.root.bytes(), "the root was written");
        fails(stage, &["create", &format!("{FILE},size=16M")], "Read-only file system");
        // In the initramfs this is RAM.
        fails(stage, &["create", "/var/upper.img,size=16M"], "which can't hold an upper");
        for bad in [&["create"][..], &["make", "/f"], &["create", "f"], &["grow", "/f"], &["check", "/f", "/g"]] {
            assert_eq!(stage.tool("overlay-loop", b"", bad).status.code(), Some(64), "{bad:?}");
        }
    });
}

#[test]
fn a_file_system_without_fallocate() {
    on_stage_with("holes", "ext4", 24, |stage| {
        let old = stage.disk("old.img", 900, &["-t", "ext4", "-O", "^extent,^64bit"]);
        run("mount", &[&old.node, "/mnt"]);
        for (file, size, fs_in_it) in [("/mnt/e", 40, "ext4"), ("/mnt/x", 300, "xfs")] {
            tool(stage, &["create", &format!("{file},size={size}M,fs={fs_in_it}")]);
            whole(file, size);
            tool(stage, &["check", file]);
        }
        run("xfs_repair", &["-n", "-f", "/mnt/x"]);
        fs::create_dir("/tmp/m").unwrap();
        let node = tool(stage, &["attach", "/mnt/x"]).trim().to_owned();
        run("mount", &[&node, "/tmp/m"]);
        fs::write("/tmp/m/kept", vec![5; 1 << 20]).unwrap();
        tool(stage, &["grow", "/mnt/x,size=340M"]);
        unmount("/tmp/m");
        tool(stage, &["detach", &node]);
        whole("/mnt/x", 340);
        run("xfs_repair", &["-n", "-f", "/mnt/x"]);
        unmount("/mnt");
    });
}

#[test]
fn overlayctl_on_a_plain_host() {
    on_stage_with("ctlplain", "ext4", 96, |stage| {
        stage.mount_root("rw");
        let output = stage.overlayctl_inside(&["loop", "create", "/var/upper.img,size=16M"]);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "rd.overlay=loop:/var/upper.img\n", "{}", said(&output));
        assert!(said(&output).contains("reserving\nmaking the file system\nsyncing\n"), "{}", said(&output));
        whole(FILE, 16);
        let output = stage.overlayctl_inside(&["loop", "check", "--json", "/var/upper.img"]);
        let report = overlayroot_rootns::schema::holds("loop-check", &String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success() && report["sound"] == true && report["e2fsck"]["clean"] == true, "{report}");
        assert_eq!((&report["state"], &report["bytes"]), (&"finished".into(), &(16 << 20).into()));
        let output = stage.overlayctl_inside(&["loop", "check", "/var/none"]);
        assert_eq!(output.status.code(), Some(1));
        let output = stage.overlayctl_inside(&["loop", "create", "/usr/upper.img,size=16M"]);
        assert!(said(&output).contains("of its own"), "{}", said(&output));
        assert_eq!(output.status.code(), Some(1));
        clean(FILE);
    });
}

#[test]
fn overlayctl_over_an_upper_on_the_root() {
    on_stage_with("ctlkept", "ext4", 900, |stage| {
        let record = stage.assemble("rd.overlay=loop:/var/upper.img,size=300M,fs=xfs");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        let output = stage.overlayctl_inside(&["loop", "create", "/srv/next.img,size=16M"]);
        assert!(output.status.success(), "{}", said(&output));
        whole("/run/initramfs/overlayroot/root/srv/next.img", 16);
        // The file that is in use, hidden from the merged root.
        let output = stage.overlayctl_inside(&["loop", "create", "/var/upper.img"]);
        assert!(output.status.code() == Some(1) && said(&output).contains("upper.img exists"), "{}", said(&output));
        let bytes = || nix::sys::statvfs::statvfs("/run/overlayfs-backing").unwrap().blocks();
        let before = bytes();
        let output = stage.overlayctl_inside(&["loop", "grow", "/var/upper.img,size=400M"]);
        assert!(output.status.success(), "{}", said(&output));
        assert!(bytes() > before * 5 / 4, "{before} to {}", bytes());
        let output = stage.overlayctl_inside(&["loop", "check", "/var/upper.img"]);
        assert!(output.status.success() && said(&output).contains("400M, all of it"), "{}", said(&output));
    });
}

#[test]
fn overlayctl_over_a_lower_that_is_only_read() {
    on_stage_with("ctltmpfs", "ext4", 96, |stage| {
        stage.mount_root("rw");
        tool(stage, &["create", &format!("{FILE},size=16M")]);
        stage.mount_root("ro");
        let record = stage.assemble("rd.overlay=tmpfs");
        assert_eq!(record["outcome"], "applied", "{record:#}");
        for verb in ["create", "grow"] {
            let output = stage.overlayctl_inside(&["loop", verb, "/srv/f,size=16M"]);
            assert_eq!(output.status.code(), Some(1));
            assert!(said(&output).contains("rd.overlay=loop:/srv/f"), "{}", said(&output));
            assert!(said(&output).contains("rd.overlay=0"), "{}", said(&output));
        }
        let output = stage.overlayctl_inside(&["loop", "check", "/var/upper.img"]);
        assert!(output.status.success() && said(&output).contains("/run/rootfsbase/var"), "{}", said(&output));
        assert!(mount_at("/run/rootfsbase").unwrap().super_read_only());
    });
}
