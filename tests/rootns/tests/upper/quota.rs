// SPDX-License-Identifier: GPL-2.0-or-later
//! A directory upper held to a size by a project quota.
//!
//! What the kernel enforces is seen through the merged root: its mounter has no CAP_SYS_RESOURCE, and
//! root itself may pass ext4's limits on the bare directory.
use nix::errno::Errno;
use nix::sys::statvfs::statvfs;
use overlayroot_linux::step::project;
use overlayroot_linux::sys::quota::{PROJECT, project_of};
use overlayroot_rootns::{Stage, mount_at, on_stage_made, on_stage_with};
use rustix::fs::{CWD, FileType, Mode, OFlags, XattrFlags, mkdirat, mknodat, openat};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{Seek, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};

const MIB: u64 = 1 << 20;
const FEATURES: &[&str] = &["-O", "quota,project"];

fn applied(record: &Value) {
    assert_eq!(record["outcome"], "applied", "{record:#}");
    assert_eq!(record["effective"]["upper"], "dir");
}

fn instead(record: &Value, code: &str) -> String {
    assert_eq!(record["outcome"], "degraded", "{record:#}");
    assert_eq!(record["reasons"][0]["code"], code, "{record:#}");
    assert_eq!(record["effective"]["upper"], "tmpfs");
    record["reasons"][0]["text"].as_str().unwrap().to_owned()
}

/// MiB of the merged root as `df /` shows them.
fn size() -> u64 {
    let stat = statvfs("/sysroot").unwrap();
    stat.blocks() * stat.fragment_size() / MIB
}

/// Writes to a new file of the merged root until the kernel stops it: MiB written, and its error.
fn fill(name: &str) -> (u64, Errno) {
    let mut file = File::create(format!("/sysroot/{name}")).unwrap();
    let piece = vec![0x5a; 1 << 20];
    let stopped = loop {
        // Without a sync what was promised is known only when it is written back.
        if let Err(error) = file.write_all(&piece).and_then(|()| file.sync_data()) {
            break error;
        }
    };
    (file.stream_position().unwrap() / MIB, Errno::from_raw(stopped.raw_os_error().unwrap()))
}

/// The whole life of a limit. `error` is what the file system says when it is reached.
fn life(stage: &Stage, error: Errno) {
    let sized = |size: &str| format!("rd.overlay=dir:/var/upper,size={size}");
    // An upper begun without a limit, with one of each kind of file.
    applied(&stage.assemble("rd.overlay=dir:/var/upper"));
    let all = size();
    fs::write("/sysroot/kept", vec![1; 8 << 20]).unwrap();
    fs::create_dir("/sysroot/directory").unwrap();
    symlink("to", "/sysroot/directory/link").unwrap();
    fs::remove_file("/sysroot/etc/hostname").unwrap();
    stage.reboot();
    applied(&stage.assemble(&sized("32M")));
    assert_eq!(size(), 32);
    fs::rename("/sysroot/directory/link", "/sysroot/link").unwrap();
    fs::create_dir("/sysroot/etc/hostname").unwrap();
    let (written, stopped) = fill("first");
    assert!((18..24).contains(&written), "{written} MiB beside 8");
    assert_eq!(stopped, error);
    stage.reboot();
    // Full, then more, then less than it holds by now.
    instead(&stage.assemble(&sized("32M")), "quota");
    stage.reboot();
    applied(&stage.assemble(&sized("64M")));
    assert_eq!(size(), 64);
    let (written, stopped) = fill("second");
    assert!((24..34).contains(&written), "{written} MiB beside 32");
    assert_eq!(stopped, error);
    fs::remove_file("/sysroot/second").unwrap();
    stage.reboot();
    let said = instead(&stage.assemble(&sized("16M")), "quota");
    assert!(said.contains("as much as size=16M"), "{said}");
    assert!(mount_at("/run/initramfs/overlayroot/root").is_none());
    stage.reboot();
    applied(&stage.assemble("rd.overlay=dir:/var/upper"));
    assert_eq!(size(), all);
    fs::write("/sysroot/third", vec![1; 48 << 20]).unwrap();
    stage.reboot();
    applied(&stage.assemble(&format!("{} rd.overlay.reset", sized("16M"))));
    assert!(size() == 16 && !fs::exists("/sysroot/kept").unwrap());
    assert!((10..17).contains(&fill("fourth").0));
}

#[test]
#[ignore = "needs a kernel with CONFIG_QFMT_V2, and fails without: cargo test -p overlayroot-rootns --test upper quota -- --ignored"]
fn ext4_with_the_features_holds_an_upper_to_its_size() {
    on_stage_made("qext4", "ext4", 200, FEATURES, |stage| {
        assert!(stage.kernel_takes_root(), "this kernel has no quotas for ext4");
        life(stage, Errno::EDQUOT);
    });
}

#[test]
#[ignore = "needs a kernel with CONFIG_XFS_QUOTA, and fails without; boot case dir/dir-quota has one"]
fn xfs_with_prjquota_holds_an_upper_to_its_size() {
    on_stage_with("qxfs", "xfs", 320, |stage| {
        stage.root_options = "prjquota";
        assert!(stage.kernel_takes_root(), "this kernel has no quotas for xfs");
        life(stage, Errno::ENOSPC);
    });
}

#[test]
fn an_ext4_that_asks_more_than_the_kernel_has_is_left_to_the_policy() {
    on_stage_made("qpolicy", "ext4", 200, FEATURES, |stage| {
        let can = stage.kernel_takes_root();
        stage.mount_root("ro");
        let before = stage.root.bytes();
        let record = stage.assemble("rd.overlay=dir:/var/upper,size=32M");
        if can {
            return applied(&record);
        }
        // Without quotas in the kernel such an ext4 can't even be written.
        instead(&record, "writable");
        stage.reboot();
        assert!(before == stage.root.bytes(), "the root was written");
    });
}

#[test]
fn without_support_nothing_is_written_and_what_to_do_is_said() {
    let cases = [
        ("ext4", 64, "run tune2fs -O project,quota /dev/loop"),
        ("xfs", 320, "add rootflags=prjquota to the kernel command line"),
        ("btrfs", 160, "use loop:FILE"),
    ];
    for (fstype, mib, advice) in cases {
        on_stage_with(&format!("qno{fstype}"), fstype, mib, move |stage| {
            let before = stage.root.bytes();
            let said = instead(&stage.assemble("rd.overlay=dir:/var/upper,size=32M"), "quota");
            assert!(said.contains(advice), "{said}");
            // Still mounted: xfs writes to its log at each mount, also where it is read-only.
            assert!(before == stage.root.bytes(), "the root was written");
        });
    }
}

/// xfs knows projects also where the kernel keeps no quotas.
#[test]
fn an_upper_that_was_begun_without_a_limit_joins_with_all_it_holds() {
    on_stage_with("qjoin", "xfs", 320, |stage| {
        stage.mount_root("rw");
        let (upper, work) = ("/sysroot/upper", "/sysroot/work");
        let at = |name: &str| format!("{upper}/{name}");
        for directory in [work, &at("a/b")] {
            fs::create_dir_all(directory).unwrap();
        }
        fs::write(at("a/b/file"), "content").unwrap();
        symlink("/etc/hostname", at("a/link")).unwrap();
        std::os::unix::fs::lchown(at("a/link"), Some(7), Some(8)).unwrap();
        rustix::fs::lsetxattr(at("a/link"), "trusted.overlay.origin", b"x", XattrFlags::empty()).unwrap();
        mknodat(CWD, at("whiteout"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
        mknodat(CWD, at("a/pipe"), FileType::Fifo, Mode::from_raw_mode(0o4622), 0).unwrap();
        rustix::fs::chmod(at("a/pipe"), Mode::from_raw_mode(0o4622)).unwrap();
        // Any user nests directories further than a path can be long, and swaps them for links.
        fs::create_dir_all("/sysroot/other/deep").unwrap();
        symlink("/sysroot/other", at("out")).unwrap();
        let mut deep = rustix::fs::open(at("a"), OFlags::PATH, Mode::empty()).unwrap();
        for _ in 0..40 {
            mkdirat(&deep, "d".repeat(200), Mode::RWXU).unwrap();
            deep = openat(&deep, "d".repeat(200), OFlags::PATH, Mode::empty()).unwrap();
        }
        mknodat(&deep, "pipe", FileType::Fifo, Mode::RWXU, 0).unwrap();
        let old = fs::symlink_metadata(at("a/link")).unwrap();
        assert!(!project::joined(upper).unwrap());
        project::mark(work).unwrap();
        project::join(upper, work).unwrap();
        assert!(project::joined(upper).unwrap() && project::joined(&at("a/b")).unwrap());
        let project = |name: &str| project_of(&File::open(at(name)).unwrap()).unwrap();
        assert_eq!(project("a/b/file"), (PROJECT, false));
        let deepest = openat(&deep, ".", OFlags::RDONLY, Mode::empty()).unwrap();
        assert_eq!(project_of(&File::from(deepest)).unwrap(), (PROJECT, true));
        assert!(!project::joined("/sysroot/other/deep").unwrap(), "a link was followed");
        assert_eq!(fs::read_to_string(at("a/b/file")).unwrap(), "content");
        fs::write(at("a/new"), "").unwrap();
        assert_eq!(project("a/new"), (PROJECT, false));
        let new = fs::symlink_metadata(at("a/link")).unwrap();
        assert_ne!(old.ino(), new.ino());
        assert_eq!((old.uid(), old.gid(), old.mtime_nsec()), (new.uid(), new.gid(), new.mtime_nsec()));
        assert_eq!(fs::read_link(at("a/link")).unwrap().to_str(), Some("/etc/hostname"));
        let mut value = [0; 8];
        assert_eq!(rustix::fs::lgetxattr(at("a/link"), "trusted.overlay.origin", &mut value[..]), Ok(1));
        let pipe = fs::symlink_metadata(at("a/pipe")).unwrap();
        assert!(pipe.file_type().is_fifo() && pipe.mode() & 0o7777 == 0o4622);
        let whiteout = fs::symlink_metadata(at("whiteout")).unwrap();
        assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
        assert_eq!(fs::read_dir(work).unwrap().count(), 0, "something stayed in the work directory");
        // From outside nothing can be moved in any more: the walk would have missed it.
        fs::write("/sysroot/outside", "").unwrap();
        assert_eq!(fs::rename("/sysroot/outside", at("x")).unwrap_err().raw_os_error(), Some(Errno::EXDEV as i32));
    });
}
