// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.image.cache`: a real server, a real disk; what mounts the image is a script that says what it got.
use overlayroot_core::facts::fetched::From;
use overlayroot_rootns::http::{Reply, Server, private_network};
use overlayroot_rootns::image_cache::{IMAGES, boot, gets, image, online, sum};
use overlayroot_rootns::off::unmount;
use overlayroot_rootns::{mount_at, on_stage_with, run};
use std::fs;
use std::time::Duration;

#[test]
fn fetched_once_and_kept() {
    online("cachekeep", 32, |stage, server, disk, key| {
        let image = image();
        let url = server.at("/root.squashfs", Reply::Body(image.clone()));
        server.at("/root.squashfs.sha256", Reply::Body(format!("{}  root.squashfs\n", sum(&image)).into_bytes()));
        let first = boot(stage, &url, key);
        assert_eq!((first.told().from, first.why()), (From::Server, ""), "{}", first.said);
        let path = format!("{IMAGES}/{}.img", sum(&image));
        assert_eq!(first.given, Some((path.clone(), image.clone())), "{}", first.said);
        assert!(mount_at("/run/initramfs/overlayroot/cache").unwrap().super_read_only());
        assert!(!fs::exists("/tmp/overlay-image").unwrap(), "a second copy in RAM");
        // Another interface comes up.
        assert!(boot(stage, &url, key).given.is_none() && gets(server, "/root.squashfs") == 1);
        stage.reboot();
        let second = boot(stage, &url, key);
        let told = second.told();
        assert_eq!(
            (told.from, told.sum_by.as_str(), told.bytes),
            (From::Cache, "server", 1_200_000),
            "{}",
            second.said
        );
        assert_eq!(second.given, Some((path, image.clone())));
        assert_eq!((gets(server, "/root.squashfs"), gets(server, "/root.squashfs.sha256")), (1, 2));
        // The server goes away: the key's sum needs none, and without it nobody knows which image is meant.
        stage.reboot();
        let gone = "http://127.0.0.1:1/root.squashfs";
        let keyed = boot(stage, gone, &format!("{key} rd.overlay.image.sha256={}", sum(&image)));
        assert_eq!((keyed.told().from, keyed.told().sum_by.as_str()), (From::Cache, "key"), "{}", keyed.said);
        assert!(keyed.took < Duration::from_secs(3));
        stage.reboot();
        let lost = boot(stage, gone, key);
        assert!(!lost.good && lost.given.is_none() && lost.told.is_none(), "{}", lost.said);
        stage.reboot();
        run("e2fsck", &["-fn", &disk.node]);
    });
}

#[test]
fn what_does_not_fit_is_fetched_again_and_what_a_cut_left_goes() {
    online("cachefit", 32, |stage, server, disk, key| {
        let image = image();
        let url = server.at("/i", Reply::Body(image.clone()));
        let cmdline = format!("{key} rd.overlay.image.sha256={}", sum(&image));
        assert!(boot(stage, &url, &cmdline).good);
        for (round, change) in [("one bit", 1), ("cut", 2)] {
            stage.reboot();
            run("mount", &[&disk.node, "/mnt"]);
            let kept = format!("/mnt/.overlayroot/images/{}.img", sum(&image));
            let mut bytes = fs::read(&kept).unwrap();
            if change == 1 {
                bytes[777] ^= 1
            } else {
                bytes.truncate(9999)
            }
            fs::write(&kept, bytes).unwrap();
            fs::write("/mnt/.overlayroot/images/old.part", "half").unwrap();
            unmount("/mnt");
            let again = boot(stage, &url, &cmdline);
            assert_eq!(again.given.as_ref().map(|given| &given.1), Some(&image), "{round}: {}", again.said);
            assert!(again.said.contains("does not fit") && again.told().from == From::Server, "{}", again.said);
            assert_eq!(fs::read_dir(IMAGES).unwrap().count(), 1, "{round}");
        }
        assert_eq!(gets(server, "/i"), 3);
    });
}

#[test]
fn a_wrong_image_is_handed_to_nobody() {
    online("cachewrong", 32, |stage, server, _, key| {
        let image = image();
        let url = server.at("/i", Reply::Body(image.clone()));
        let other = sum(b"another");
        for key in [key, "quiet"] {
            let before = gets(server, "/i");
            let wrong = boot(stage, &url, &format!("{key} rd.overlay.image.sha256={other}"));
            assert!(!wrong.good && wrong.given.is_none() && wrong.told.is_none(), "{}", wrong.said);
            let last = wrong.said.lines().last().unwrap_or_default();
            assert!([url.as_str(), &other, &sum(&image)].iter().all(|word| last.contains(word)), "{last}");
            assert_eq!(gets(server, "/i") - before, 2, "once more, and no more");
            assert!(mount_at("/run/initramfs/overlayroot/cache").is_none());
            stage.reboot();
        }
        let before = server.requests().len();
        assert!(!boot(stage, &url, &format!("{key} rd.overlay.image.sha256=oops")).good);
        assert_eq!(server.requests().len(), before, "nothing is fetched for it");
        assert!(boot(stage, &url, &format!("rd.overlay.image.sha256={}", sum(&image))).good);
        assert_eq!(fs::read("/tmp/overlay-image/image").unwrap(), image);
    });
}

#[test]
fn where_the_disk_is_at_fault_it_goes_into_ram() {
    online("cachedisk", 8, |stage, server, disk, key| {
        let image = image();
        let url = server.at("/i", Reply::Body(image.clone()));
        let right = format!("rd.overlay.image.sha256={} rd.overlay.timeout=1", sum(&image));
        let bare = stage.disk("bare.img", 4, &[]);
        let small = stage.disk("small.img", 2, &["-t", "ext2", "-m", "0"]);
        let broken = stage.disk("broken.img", 8, &["-t", "ext4"]);
        fs::write("/images/zero", vec![0xff; 600 << 10]).unwrap();
        run(
            "dd",
            &[
                "if=/images/zero",
                &format!("of={}", broken.node),
                "bs=4096",
                "seek=1",
                "conv=notrunc,fsync",
                "status=none",
            ],
        );
        let cases = [
            ("rd.overlay.image.cache=LABEL=nobody-has-this".to_owned(), "device-missing"),
            (format!("rd.overlay.image.cache={}", bare.node), "no-file-system"),
            (format!("rd.overlay.image.cache={}", small.node), "no-room"),
            (format!("rd.overlay.image.cache={}", broken.node), "check"),
            ("rd.overlay.image.cache=/dev/null".to_owned(), "not-a-block-device"),
            (format!("{key} rd.overlay={}", disk.node), "upper"),
        ];
        for (asked, code) in cases {
            let ram = boot(stage, &url, &format!("{right} {asked}"));
            assert_eq!((ram.why(), ram.told().from), (code, From::Server), "{asked}: {}", ram.said);
            assert_eq!(ram.given, Some(("/tmp/overlay-image/image".to_owned(), image.clone())), "{asked}");
            assert!(ram.said.contains("it goes into RAM") && ram.took < Duration::from_secs(5), "{}", ram.said);
            assert!(mount_at("/run/initramfs/overlayroot/cache").is_none(), "{asked}");
            stage.reboot();
        }
        // Nobody says which sum it must have.
        let ram = boot(stage, &url, key);
        assert_eq!((ram.why(), ram.told().sha256.as_str(), ram.given.is_some()), ("no-sum", "", true), "{}", ram.said);
        stage.reboot();
        let halt = boot(stage, &url, &format!("{right} rd.overlay.image.cache=LABEL=nobody rd.overlay.fallback=halt"));
        assert!(!halt.good && halt.given.is_none() && halt.said.contains("the policy is halt"), "{}", halt.said);
        stage.reboot();
        // A disk that refuses writes keeps nothing; what it has is used.
        run("blockdev", &["--setro", &disk.node]);
        assert_eq!(boot(stage, &url, &format!("{right} {key}")).why(), "io");
        stage.reboot();
        run("blockdev", &["--setrw", &disk.node]);
        assert_eq!(boot(stage, &url, &format!("{right} {key}")).why(), "");
        stage.reboot();
        run("blockdev", &["--setro", &disk.node]);
        assert_eq!(boot(stage, &url, &format!("{right} {key}")).told().from, From::Cache);
        stage.reboot();
        run("blockdev", &["--setrw", &disk.node]);
    });
}

#[test]
fn without_a_network_the_image_that_is_named_is_looked_for_once() {
    online("cachelate", 32, |stage, server, _, key| {
        let image = image();
        let url = server.at("/i", Reply::Body(image.clone()));
        let named = format!("root=live:{url} {key} rd.overlay.image.sha256={}", sum(&image));
        let late = |cmdline: &str, netroot: &str| {
            let _ = fs::remove_file("/tmp/given");
            let output = stage.tool("overlay-image", cmdline.as_bytes(), &["--next", "/next", "--late", netroot]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            fs::read_to_string("/tmp/given").ok()
        };
        assert!(boot(stage, &url, &named).good);
        stage.reboot();
        let gone = "overlayimage:http://127.0.0.1:1/i";
        assert_eq!(late(key, gone), None, "nobody says which");
        assert_eq!(late(&named, "livenet:http://127.0.0.1:1/i"), None, "not ours");
        assert_eq!(late(&named, gone), Some(format!("{IMAGES}/{}.img", sum(&image))));
        assert_eq!(late(&named, gone), None, "a second time");
        assert_eq!(gets(server, "/i"), 1);
    });
}

#[test]
fn others_make_room() {
    online("cacheroom", 4, |stage, server, _, key| {
        let (one, mut two) = (image(), image());
        two.reverse();
        for image in [&one, &two] {
            let url = server.at(&format!("/{}", sum(image)), Reply::Body(image.clone()));
            let kept = boot(stage, &url, &format!("{key} rd.overlay.image.sha256={}", sum(image)));
            assert_eq!(kept.why(), "", "{}", kept.said);
            let path = format!("{IMAGES}/{}.img", sum(image));
            assert_eq!(kept.given.map(|given| given.0), Some(path));
            assert_eq!(fs::read_dir(IMAGES).unwrap().count(), 1);
            stage.reboot();
        }
    });
}

#[test]
fn a_server_with_faults() {
    online("cacheserver", 32, |stage, server, _, key| {
        let image = image();
        let right = format!("{key} rd.overlay.image.sha256={}", sum(&image));
        for (url, want) in [
            (format!("{}/none", server.url), "error: 404"),
            (server.at("/busy", Reply::Status("503 Busy")), "error: 503"),
            ("http://127.0.0.1:1/i".to_owned(), "(7)"),
            (server.at("/always-short", Reply::Short(image.clone(), 1000)), "(18)"),
        ] {
            let none = boot(stage, &url, &right);
            assert!(!none.good && none.given.is_none(), "{url}: {}", none.said);
            assert!((1..9).contains(&none.took.as_secs()), "{url}: {:?} {}", none.took, none.said);
            let mut lines = none.said.lines().filter(|line| line.contains(&url) && line.contains(want));
            assert!(lines.next().is_some_and(|line| line.contains("trying again in 1 s")), "{url}: {}", none.said);
            let last = none.said.lines().last().unwrap_or_default();
            assert!(last.contains(&url) && last.contains("emergency shell"), "{last}");
            stage.reboot();
        }
        // It breaks off, and goes on where it ended.
        let url = server.at("/cut", Reply::Cut(image.clone(), 700_000));
        let cut = boot(stage, &url, &right);
        assert_eq!(cut.given.map(|given| given.1), Some(image.clone()), "{}", cut.said);
        assert_eq!((gets(server, "/cut"), server.ranges().last()), (2, Some(&700_000)));
        stage.reboot();
        run("mount", &[key.split_once('=').unwrap().1, "/mnt"]);
        fs::remove_dir_all("/mnt/.overlayroot").unwrap();
        unmount("/mnt");
        // It knows no ranges.
        let url = server.at("/flaky", Reply::Flaky(image.clone(), 1));
        assert_eq!(boot(stage, &url, &right).given.map(|given| given.1), Some(image));
    });
}

#[test]
fn the_record_has_it_and_the_image_is_not_read_twice() {
    on_stage_with("cacherecord", "ext4", 64, |stage| {
        private_network();
        let server = Server::start();
        run("mksquashfs", &["/sysroot", "/images/root.squashfs", "-quiet", "-no-progress"]);
        let image = fs::read("/images/root.squashfs").unwrap();
        let url = server.at("/root.squashfs", Reply::Body(image.clone()));
        let disk = stage.disk("cache.img", 32, &["-t", "ext4"]);
        let cmdline =
            format!("rd.overlay rd.overlay.image.cache={} rd.overlay.image.sha256={}", disk.node, sum(&image));
        let fetched = boot(stage, &url, &cmdline);
        let (path, _) = fetched.given.unwrap();
        // As dmsquash-live does.
        unmount("/sysroot");
        std::os::unix::fs::symlink(&path, "/run/initramfs/livedev").unwrap();
        for dir in ["/run/rootfsbase", "/run/overlayfs", "/run/ovlwork"] {
            fs::create_dir(dir).unwrap();
        }
        run("mount", &["-r", &path, "/run/rootfsbase"]);
        let options = "lowerdir=/run/rootfsbase,upperdir=/run/overlayfs,workdir=/run/ovlwork";
        run("mount", &["-t", "overlay", "LiveOS_rootfs", "-o", options, "/sysroot"]);
        let text = format!("root=live:{url} {cmdline}");
        let output = stage.tool("overlay-assemble", text.as_bytes(), &["--by", "hook"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("checking the image"), "{said}");
        let record: serde_json::Value =
            serde_json::from_str(&fs::read_to_string("/run/overlayroot/state.json").unwrap()).unwrap();
        assert_eq!(record["outcome"], "applied", "{record:#}");
        assert_eq!((&record["image"]["url"], &record["image"]["from"]), (&url.into(), &"server".into()));
        assert_eq!(record["image"]["sha256"], sum(&image));
        // The image's loop device goes with its mount.
        run("umount", &["-l", "/sysroot"]);
        run("umount", &["-l", "/run/rootfsbase"]);
    });
}
