// SPDX-License-Identifier: GPL-2.0-or-later
//! `root=live:`: what dmsquash-live leaves, its image as our lower, and its checksum.
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{mount_at, on_stage_with, run};
use sha2::{Digest, Sha256};
use std::fs;
use std::os::unix::fs::symlink;

const LIVE: &str = "root=live:http://192.0.2.1/root.squashfs";

/// The root's tree as an image, mounted as dracut 059 and 106 do, with their overlay over it.
fn live() -> String {
    if !fs::exists("/images/root.squashfs").unwrap() {
        run("mksquashfs", &["/sysroot", "/images/root.squashfs", "-quiet", "-no-progress"]);
    }
    unmount("/sysroot");
    fs::create_dir_all("/run/initramfs").unwrap();
    symlink("/images/root.squashfs", "/run/initramfs/livedev").unwrap();
    for dir in ["/run/rootfsbase", "/run/overlayfs", "/run/ovlwork"] {
        fs::create_dir(dir).unwrap();
    }
    run("mount", &["-r", "/images/root.squashfs", "/run/rootfsbase"]);
    let options = "lowerdir=/run/rootfsbase,upperdir=/run/overlayfs,workdir=/run/ovlwork";
    run("mount", &["-t", "overlay", "LiveOS_rootfs", "-o", options, "/sysroot"]);
    format!("{:x}", Sha256::digest(fs::read("/images/root.squashfs").unwrap()))
}

fn upper_size() -> u64 {
    let stat = nix::sys::statvfs::statvfs("/sysroot").unwrap();
    (stat.blocks() * stat.fragment_size()) >> 20
}

#[test]
fn the_image_becomes_our_lower() {
    on_stage_with("live", "ext4", 64, |stage| {
        let sum = live();
        let record = stage.assemble(&format!("{LIVE} rd.overlay=tmpfs:size=8M rd.overlay.image.sha256={sum}"));
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert_eq!(record["requested"]["image_sha256"], sum.as_str());
        let overlay = mount_at("/sysroot").unwrap();
        assert_eq!((overlay.fstype.as_str(), overlay.source.as_str()), ("overlay", "LiveOS_rootfs"));
        assert_eq!(mount_at("/run/rootfsbase").unwrap().fstype, "squashfs");
        assert_eq!(fs::read_link("/run/overlayfs").unwrap().to_str(), Some("/run/initramfs/overlay/overlayfs"));
        assert_eq!(upper_size(), 8);
        let overlays = overlayroot_rootns::mounts()
            .into_iter()
            .filter(|mount| mount.fstype == "overlay" && mount.at == "/sysroot");
        assert_eq!(overlays.count(), 1);
        fs::write("/sysroot/etc/hostname", "upper\n").unwrap();
        assert_eq!(fs::read_to_string("/run/rootfsbase/etc/hostname").unwrap(), "lower\n");
    });
}

#[test]
fn another_image_is_no_root() {
    on_stage_with("liveother", "ext4", 64, |stage| {
        let sum = live();
        let wrong = sum.replace(|c: char| c.is_ascii_digit(), "a");
        for policy in ["tmpfs", "none"] {
            let key = format!("rd.overlay.image.sha256={wrong} rd.overlay.fallback={policy}");
            let record = stage.assemble(&format!("{LIVE} rd.overlay {key}"));
            assert_eq!(
                (&record["effective"]["root"], &record["reasons"][0]["code"]),
                (&"none".into(), &"image".into())
            );
            assert!(record["reasons"][0]["text"].as_str().unwrap().contains(&sum), "{record:#}");
            fs::remove_file("/run/overlayroot/state.json").unwrap();
        }
        // Nothing was touched.
        assert_eq!(
            upper_size(),
            nix::sys::statvfs::statvfs("/run").map(|s| (s.blocks() * s.fragment_size()) >> 20).unwrap()
        );
        fs::remove_file("/run/initramfs/livedev").unwrap();
        let record = stage.assemble(&format!("{LIVE} rd.overlay.image.sha256={sum}"));
        assert!(record["reasons"][0]["text"].as_str().unwrap().contains("could not be read"), "{record:#}");
    });
}

#[test]
fn where_ours_fails_theirs_comes_back() {
    on_stage_with("liveback", "ext4", 64, |stage| {
        live();
        // The RAM upper has no room for its own directories.
        let record = stage.assemble(&format!("{LIVE} rd.overlay=tmpfs:size=4K,nr_inodes=1 rd.overlay.fallback=none"));
        assert_eq!(record["effective"]["root"], "plain", "{record:#}");
        let overlay = mount_at("/sysroot").unwrap();
        assert_eq!(overlay.super_option("upperdir").as_deref(), Some("/run/overlayfs"));
        assert!(fs::symlink_metadata("/run/overlayfs").unwrap().is_dir());
        fs::write("/sysroot/etc/hostname", "theirs\n").unwrap();
    });
}

#[test]
fn their_own_words_are_theirs() {
    on_stage_with("livewords", "ext4", 64, |stage| {
        live();
        let record = stage.assemble(&format!("{LIVE} rd.live.overlay.overlayfs=1 rd.live.overlay.reset"));
        assert_eq!(record["outcome"], "off", "{record:#}");
        assert_eq!(mount_at("/sysroot").unwrap().super_option("upperdir").as_deref(), Some("/run/overlayfs"));
    });
}

#[test]
fn an_image_that_is_only_mounted_becomes_the_root() {
    on_stage_with("livebare", "ext4", 64, |stage| {
        let sum = live();
        unmount("/sysroot");
        // Nothing was ever mounted on it there.
        fs::remove_dir_all("/run/ovlwork").unwrap();
        let hook = |what: &str, line: &str| {
            let output = stage.tool("overlay-assemble", line.as_bytes(), &[what]);
            assert!(output.status.success(), "{output:?}");
        };
        let mount_live = |line: &str| hook("--mount-live", line);
        // Not asked for: another's boot is not touched.
        mount_live(LIVE);
        hook("--prepare-live", LIVE);
        assert!(!fs::exists("/run/ovlwork").unwrap());
        assert!(mount_at("/sysroot").is_none());
        let line = format!("{LIVE} rd.overlay=tmpfs:size=8M rd.overlay.image.sha256={sum}");
        hook("--prepare-live", &line);
        assert!(fs::metadata("/run/ovlwork").unwrap().is_dir());
        mount_live(&line);
        assert_eq!(mount_at("/sysroot").unwrap().fstype, "squashfs");
        assert!(mount_at("/run/rootfsbase").is_none());
        // A second call finds a root.
        mount_live(&line);
        let record = stage.assemble(&line);
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert_eq!(mount_at("/run/rootfsbase").unwrap().fstype, "squashfs");
        assert_eq!(upper_size(), 8);
    });
}
