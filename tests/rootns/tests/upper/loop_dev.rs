// SPDX-License-Identifier: GPL-2.0-or-later
//! A loop file on another device's file system: `loop:PATH,dev=DEVICE`.
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{Disk, Stage, loop_device, mount_at, on_stage, run};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

const HOLDER: &str = "/run/initramfs/overlayroot/holder";

fn applied(record: &Value) {
    assert_eq!(record["outcome"], "applied", "{record:#}");
    assert_eq!(record["effective"]["upper"], "loop");
}

fn refused(record: &Value, code: &str) {
    assert_eq!(record["outcome"], "degraded", "{record:#}");
    assert_eq!(record["reasons"][0]["code"], code, "{record:#}");
    assert_eq!(record["effective"]["upper"], "tmpfs");
}

fn labelled(stage: &Stage, mib: u64, mkfs: &[&str]) -> (Disk, String) {
    let label = format!("d{}", stage.tag);
    let disk = stage.disk("data.img", mib, &[mkfs, &["-L", &label]].concat());
    (disk, format!("LABEL={label}"))
}

#[test]
fn kept_on_each_file_system_and_the_root_is_not_written() {
    let kinds: [(&str, u64, &[&str]); 3] =
        [("ext4", 128, &["-t", "ext4"]), ("xfs", 320, &["mkfs.xfs", "-q"]), ("btrfs", 256, &["mkfs.btrfs", "-q"])];
    for (kind, mib, mkfs) in kinds {
        on_stage(&format!("dev{kind}"), move |stage| {
            let (disk, label) = labelled(stage, mib, mkfs);
            let cmdline = format!("rd.overlay=loop:/deep/upper.img,dev={label},size=32M");
            let before = stage.root.bytes();
            for boot in 0..3 {
                let record = stage.assemble(&cmdline);
                applied(&record);
                assert_eq!(record["effective"]["device"], disk.node.as_str());
                assert_eq!(fs::read_dir("/sysroot/etc").unwrap().count(), 2 + boot);
                fs::write(format!("/sysroot/etc/boot{boot}"), "x").unwrap();
                let holder = mount_at(HOLDER).unwrap();
                assert_eq!((holder.fstype.as_str(), holder.source.as_str()), (kind, disk.node.as_str()));
                let private = fs::metadata("/run/initramfs/overlayroot").unwrap();
                assert_eq!(private.permissions().mode() & 0o777, 0o700);
                let file = fs::metadata(format!("{HOLDER}/deep/upper.img")).unwrap();
                assert_eq!((file.len(), file.mode() & 0o777), (32 << 20, 0o600));
                assert!(file.blocks() * 512 >= file.len(), "sparse");
                assert_eq!(mount_at("/run/overlayfs-backing").unwrap().source, loop_device().unwrap());
                assert!(mount_at("/run/rootfsbase").unwrap().super_read_only());
                assert!(!fs::exists("/run/overlayfs/deep").unwrap(), "something is hidden that is not there");
                stage.reboot();
            }
            let record = stage.assemble(&format!("{cmdline} rd.overlay.reset"));
            applied(&record);
            assert_eq!(record["effective"]["reset"], true);
            assert_eq!(fs::read_dir("/sysroot/etc").unwrap().count(), 2);
            stage.reboot();
            assert!(before == stage.root.bytes(), "the root was written");
        });
    }
}

/// What a power cut leaves right after the first boot has made the file: its name is in the journal only.
#[test]
fn a_file_that_only_the_journal_names_is_found() {
    on_stage("devjournal", |stage| {
        // A sync of another test may bring the name to its place in between.
        let cut = (0..20).find_map(|attempt| in_the_journal_only(stage, attempt));
        let cut = cut.expect("the journal never had what is not on the disk");
        applied(&stage.assemble(&format!("rd.overlay=loop:/upper.img,dev={}", cut.node)));
        assert!(run("e2label", &[&loop_device().unwrap()]).starts_with("inner"), "it was made anew");
    });
}

fn in_the_journal_only(stage: &Stage, attempt: u32) -> Option<Disk> {
    let first = stage.disk(&format!("first{attempt}.img"), 64, &["-t", "ext4"]);
    run("mount", &[&first.node, "/mnt"]);
    run("truncate", &["-s", "20M", "/mnt/upper.img.new"]);
    run("mke2fs", &["-q", "-F", "-t", "ext4", "-L", "inner", "/mnt/upper.img.new"]);
    run("sync", &[]);
    fs::rename("/mnt/upper.img.new", "/mnt/upper.img").unwrap();
    fs::File::open("/mnt").unwrap().sync_all().unwrap();
    // As the disk is now; a sync would bring the name to its place.
    let bytes = fs::read(&first.image).unwrap();
    unmount("/mnt");
    let cut = stage.disk(&format!("cut{attempt}.img"), 64, &[]);
    fs::write(&cut.node, &bytes).unwrap();
    run("mount", &["-o", "ro,noload", &cut.node, "/mnt"]);
    let on_the_disk = fs::exists("/mnt/upper.img").unwrap();
    unmount("/mnt");
    (!on_the_disk).then_some(cut)
}

#[test]
fn a_device_that_can_not_be_used_is_not_written() {
    on_stage("devbad", |stage| {
        let (disk, label) = labelled(stage, 64, &["-t", "ext4", "-m", "0"]);
        run("mount", &[&disk.node, "/mnt"]);
        fs::create_dir_all("/mnt/directory").unwrap();
        fs::write("/mnt/file", "somebody's").unwrap();
        std::os::unix::fs::symlink("directory", "/mnt/link").unwrap();
        unmount("/mnt");
        let before = disk.bytes();
        let cases = [
            ("/directory", "place-taken"),
            ("/link", "place-taken"),
            ("/link/file", "place-taken"),
            ("/file", "no-file-system"),
            ("/f,size=1G", "no-room"),
        ];
        for (file, code) in cases {
            let (path, rest) = file.split_once(',').map_or((file, ""), |(path, rest)| (path, rest));
            refused(&stage.assemble(&format!("rd.overlay=loop:{path},dev={label},{rest}")), code);
            assert!(mount_at(HOLDER).is_none() && loop_device().is_none());
            stage.reboot();
        }
        let vfat = stage.disk("vfat.img", 16, &["mkfs.vfat"]);
        for (dev, code) in [
            (vfat.node.as_str(), "foreign-file-system"),
            (stage.root.node.as_str(), "device-in-use"),
            ("LABEL=no-such-label", "device-missing"),
            ("/dev/null", "not-a-block-device"),
        ] {
            let record = stage.assemble(&format!("rd.overlay=loop:/f,dev={dev},size=20M rd.overlay.timeout=0"));
            refused(&record, code);
            stage.reboot();
        }
        let twin = stage.disk("twin.img", 16, &["-t", "ext4", "-L", label.trim_start_matches("LABEL=")]);
        let other = twin.bytes();
        refused(&stage.assemble(&format!("rd.overlay=loop:/f,dev={label},size=20M")), "device-ambiguous");
        assert!(before == disk.bytes() && other == twin.bytes(), "a device was written");
    });
}

#[test]
fn prepared_on_the_host_where_the_device_is_mounted() {
    on_stage("devhost", |stage| {
        let disk = stage.disk("data.img", 64, &["-t", "ext4"]);
        let file = format!("/upper.img,dev={},size=20M", disk.node);
        let failed = std::process::Command::new("/overlayctl").args(["loop", "create", &file]).output().unwrap();
        assert!(String::from_utf8_lossy(&failed.stderr).contains("must be mounted"), "{failed:?}");
        run("mount", &[&disk.node, "/mnt"]);
        let said = stage.overlayctl(&["loop", "create", &file]);
        assert_eq!(said.trim(), format!("rd.overlay=loop:/upper.img,dev={}", disk.node));
        assert!(stage.overlayctl(&["loop", "check", &file]).contains("finished"));
        unmount("/mnt");
        applied(&stage.assemble(said.trim()));
        // The plan of the next boot is made from this one's mount.
        let plan = stage.tool("overlayctl", said.as_bytes(), &["plan"]);
        let plan = String::from_utf8_lossy(&plan.stdout).into_owned();
        assert!(plan.contains("attach") && !plan.contains("make-loop-file"), "{plan}");
    });
}

#[test]
fn what_fstab_mounts_is_free_for_the_next_boot() {
    on_stage("devfstab", |stage| {
        let disk = stage.disk("data.img", 64, &["-t", "ext4"]);
        run("mount", &[&disk.node, "/mnt"]);
        stage.overlayctl(&["loop", "create", &format!("/upper.img,dev={},size=20M", disk.node)]);
        unmount("/mnt");
        stage.mount_root("rw");
        run("mkdir", &["-p", "/sysroot/mnt"]);
        run("mount", &[&disk.node, "/sysroot/mnt"]);
        let (upper, file) = (disk.node.clone(), format!("loop:/upper.img,dev={}", disk.node));
        for asked in [upper.as_str(), file.as_str()] {
            let line = format!("rd.overlay={asked} rd.overlay.path=persist:/var/lib/x/,dev={}", disk.node);
            let said = stage.overlayctl_inside(&["plan", "--json", "--cmdline", &line]);
            let text = String::from_utf8_lossy(&said.stdout).into_owned();
            assert!(said.status.success() && !text.contains("device-in-use"), "{line}: {said:?}");
        }
        // a part of it is mounted only: it is looked at apart, or the plan says why it can't be
        unmount("/sysroot/mnt");
        run("mount", &[&disk.node, "/mnt"]);
        run("mkdir", &["-p", "/mnt/part"]);
        run("mount", &["--bind", "/mnt/part", "/sysroot/mnt"]);
        unmount("/mnt");
        let said = stage.overlayctl_inside(&["plan", "--cmdline", &format!("rd.overlay={file}")]);
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(text.contains("attach") || text.contains("could not be read: mounting"), "{text}");
        // the root stays what it is
        let said = stage.overlayctl_inside(&["plan", "--cmdline", &format!("rd.overlay={}", stage.root.node)]);
        assert!(String::from_utf8_lossy(&said.stdout).contains("the root's own"), "{said:?}");
        unmount("/sysroot/mnt");
    });
}
