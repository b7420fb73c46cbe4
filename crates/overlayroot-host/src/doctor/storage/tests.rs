// SPDX-License-Identifier: GPL-2.0-or-later
//! A test for each finding.
use super::*;
use overlayroot_core::parse::cmdline::Source;

fn findings(cmdline: &str, conf: &str, root: Root, host: &Host) -> Vec<(&'static str, Grade, String, String)> {
    let inputs = Inputs {
        cmdline: vec![Source::new("/proc/cmdline", cmdline)],
        conf: vec![Source::new("c", conf)],
        ubuntu: Vec::new(),
    };
    let facts = Facts { root: Some(root), ..Facts::default() };
    let mut found = Vec::new();
    examine(&inputs, &Config::read(&inputs), &facts, host, &mut found);
    found.into_iter().map(|found| (found.check, found.grade, found.text, found.todo)).collect()
}

fn table(fstab: &str) -> Root {
    let (source, devno) = ("/dev/vda".into(), "254:0".into());
    Root { fstab: fstab.into(), source, devno, fstype: "ext4".into(), ..Root::default() }
}

fn one(fstab: &str, host: &Host) -> (&'static str, Grade, String, String) {
    let mut found = findings("rd.overlay", "", table(fstab), host);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

#[test]
fn nothing_to_say() {
    let fstab =
        "LABEL=root / ext4 defaults 0 1\nLABEL=swap none swap sw\nLABEL=h /home ext4 rw\n/swap none swap noauto\n";
    assert_eq!(findings("rd.overlay", "", table(fstab), &Host::default()), []);
}

#[test]
fn storage_of_containers() {
    let host =
        Host { stores: STORES.iter().map(|(path, ..)| ((*path).to_owned(), false)).collect(), ..Host::default() };
    let found = findings("rd.overlay", "", table(""), &host);
    assert_eq!(found.len(), 4, "{found:#?}");
    for ((check, grade, text, todo), (path, who, preset)) in found.iter().zip(STORES) {
        assert_eq!((*check, *grade), ("containers", Grade::Warning));
        assert!(text.contains(&format!("{who}'s storage {path} ")) && text.contains("lost at every boot"), "{text}");
        assert_eq!(todo, &format!("rd.overlay.path={preset}, or a file system of its own on {path}"));
    }
    assert!(found[0].2.contains("fuse-overlayfs") && found[1].2.contains("vfs") && found[2].2.contains("snapshotter"));
    let kept = findings("rd.overlay=LABEL=x", "", table(""), &host);
    assert!(kept.len() == 4 && !kept[0].2.contains("RAM"), "{kept:#?}");
    // A file system of its own, now or by fstab; or what the key keeps.
    let mounted = Host { stores: vec![(STORES[0].0.into(), true)], ..Host::default() };
    assert_eq!(findings("rd.overlay", "", table(""), &mounted), []);
    assert_eq!(findings("rd.overlay", "", table("LABEL=v /var ext4 rw\n"), &host), []);
    let left = findings("rd.overlay", "rd.overlay.path=docker\nrd.overlay.path=containers\n", table(""), &host);
    assert_eq!(left, []);
}

#[test]
fn stores_with_whiteouts() {
    let home = "/home/me/.local/share/containers";
    let stores = vec![(STORES[0].0.to_owned(), false), (STORES[1].0.to_owned(), false)];
    let host = Host { stores, marked: vec![STORES[0].0.into(), home.into()], ..Host::default() };
    let found = findings("rd.overlay", "", table(""), &host);
    assert_eq!(found.len(), 3, "{found:#?}");
    let hides =
        "; its image layers have whiteouts, which the overlay hides: containers see files that their image removed";
    assert!(found[0].2.ends_with(hides) && !found[1].2.contains("whiteouts"), "{found:#?}");
    assert!(found[2].2.ends_with(&format!("{home} will be in the overlay{hides}")), "{found:#?}");
    assert_eq!(found[2].3, format!("rd.overlay.path=persist:{home}/, or a file system of its own"));
    let conf = "rd.overlay.path=docker\nrd.overlay.path=containers\nrd.overlay.path=persist:/home\n";
    assert_eq!(findings("rd.overlay", conf, table(""), &host), []);
}

#[test]
fn swap_files() {
    let (check, grade, text, todo) = one("/swapfile none swap sw\n", &Host::default());
    assert_eq!((check, grade), ("swap", Grade::Warning));
    assert!(text.contains("/swapfile will be in the overlay") && todo.contains("zram"), "{text}");
    let running = Host { swap_files: vec!["/swap.img".into()], ..Host::default() };
    assert!(one("", &running).2.contains("/swap.img"));
    let own = "/data/swap none swap sw\nLABEL=d /data ext4 rw\n";
    assert_eq!(findings("rd.overlay", "", table(own), &Host::default()), []);
    // Mounted with the rest of its file system, though the place is another.
    let bound = "/data/swap none swap sw\n/srv /data none bind\n";
    assert!(findings("rd.overlay", "", table(bound), &Host::default()).iter().any(|found| found.0 == "swap"));
    let direct = findings("rd.overlay", "rd.overlay.path=bind:/s\n", table("/s/swap none swap sw\n"), &Host::default());
    assert_eq!(direct, []);
}

#[test]
fn lines_of_fstab() {
    let (check, _, text, _) = one("tmpfs /run tmpfs size=10M\n", &Host::default());
    assert!(check == "fstab" && text.contains("on /run, where"), "{text}");
    assert!(one("LABEL=x /run/initramfs ext4 rw\n", &Host::default()).2.contains("where overlayroot-rs mounts"));
    let twice = "LABEL=root / ext4 defaults\nLABEL=root /mnt/disk ext4 rw\n";
    assert!(one(twice, &Host::default()).2.contains("the root's own device on /mnt/disk"));
    // The source of the root's mount is another path to it.
    let named = Host { sources: [("/dev/disk/by-id/x".to_owned(), table("").file_system())].into(), ..Host::default() };
    assert!(one("/dev/disk/by-id/x /mnt/disk ext4\n", &named).2.contains("on /mnt/disk"));
    assert_eq!(findings("rd.overlay", "", table("/dev/disk/by-id/y /mnt/disk ext4\n"), &named), []);
    assert_eq!(findings("rd.overlay", "", table(&twice.replace("rw", "ro")), &Host::default()), []);
    let found = findings("rd.overlay=dir:/u", "", table(twice), &Host::default());
    assert!(found.len() == 1 && found[0].2.ends_with("it is writable there, below the overlay"), "{found:#?}");
    assert_eq!(findings("rd.overlay", "", table("tmpfs /run tmpfs noauto\n"), &Host::default()), []);
    let later = twice.replace("rw", "noauto,x-systemd.automount");
    assert!(one(&later, &Host::default()).2.contains("the root's own device on /mnt/disk"));
    let btrfs = Root { fstype: "btrfs".into(), ..table(twice) };
    assert_eq!(findings("rd.overlay", "", btrfs, &Host::default()), []);
    let (_, grade, text, todo) = one("LABEL=root / ext4 usrjquota=aquota.user,jqfmt=vfsv0\n", &Host::default());
    assert!(grade == Grade::Warning && text.contains("quotaon fails") && todo.contains("size=SIZE"), "{text}");
}
