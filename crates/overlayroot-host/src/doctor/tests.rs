// SPDX-License-Identifier: GPL-2.0-or-later
//! What is found, from a configuration and what a host would tell.
use super::*;
use crate::doctor::settings::pairs;
use overlayroot_core::facts::device::Device;
use overlayroot_core::facts::place::Place;
use overlayroot_core::facts::place::PlaceKind;
use overlayroot_core::facts::{Fingerprint, Kernel, Root};
use overlayroot_core::parse::cmdline::Source;
use overlayroot_core::plan::decide;

pub(super) fn facts() -> Facts {
    let root = Root { fstype: "ext4".into(), bytes: 32 << 30, free: 16 << 30, ..Root::default() };
    let kernel = Kernel { release: "6.1".into(), overlay: true, ..Kernel::default() };
    Facts { root: Some(root), kernel, mkfs: vec!["mkfs.ext4".into()], ..Facts::default() }
}

pub(super) fn host() -> Host {
    let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let kernel = KernelImage {
        release: "6.1".into(),
        has: Some(words(&MODULES)),
        builtin: words(&["ext4"]),
        image: Some("/boot/initramfs-6.1.img".into()),
        files: Ok(words(&["overlay-assemble", "overlay.ko.xz", "loop.ko", "quota-v2.ko.zst", "mkfs.ext4"])),
        newer: Vec::new(),
    };
    Host { ram: 4 << 30, kernels: vec![kernel], is_root: true, ..Host::default() }
}

pub(super) fn doctor(cmdline: &str, conf: &str, facts: &Facts, host: &Host) -> Vec<Finding> {
    let inputs = Inputs {
        cmdline: vec![Source::new("/proc/cmdline", cmdline)],
        conf: vec![Source::new("c", conf)],
        ubuntu: Vec::new(),
    };
    let config = Config::read(&inputs);
    examine(&inputs, &config, facts, &decide(&config, facts), host)
}

/// The one finding that is worse than a note, as `check: text; todo`.
pub(super) fn one(found: &[Finding], grade: Grade) -> String {
    let bad: Vec<String> =
        found.iter().filter(|f| f.grade > Grade::Note).map(|f| format!("{}: {}", f.check, f.text)).collect();
    assert_eq!((bad.len(), worst(found)), (1, grade), "{found:#?}");
    bad.into_iter().next().unwrap()
}

#[test]
fn all_is_well() {
    let place = |kind| Facts { place: Some(Place { kind, ..Place::default() }), ..facts() };
    for (cmdline, facts) in [
        ("rd.overlay", facts()),
        ("rd.overlay=dir:/upper", place(PlaceKind::Missing)),
        ("rd.overlay=loop:/upper.img,size=1G", place(PlaceKind::Missing)),
    ] {
        let found = doctor(cmdline, "", &facts, &host());
        assert!(worst(&found) == Grade::Ok && found.len() >= 4, "{found:#?}");
    }
    assert_eq!(worst(&doctor("quiet", "", &facts(), &host())), Grade::Note);
}

#[test]
fn a_path_that_can_t_be_kept_is_told_with_what_to_do() {
    let found = doctor("rd.overlay rd.overlay.path=journal", "", &facts(), &host());
    assert!(one(&found, Grade::Warning).contains("nowhere to keep /var/log/journal"), "{found:#?}");
    assert!(found.iter().any(|f| f.todo == "name a device: rd.overlay.path.dev=LABEL=NAME"), "{found:#?}");
    let mut hidden = facts();
    hidden.root = hidden.root.map(|root| Root { fstab: "LABEL=v /var ext4 defaults\n".into(), ..root });
    let found = doctor("rd.overlay rd.overlay.path=volatile:/var/tmp", "", &hidden, &host());
    assert!(one(&found, Grade::Warning).contains("which hides /var/tmp"), "{found:#?}");
    let found = doctor("rd.overlay rd.overlay.path=containers", "", &facts(), &host());
    assert!(worst(&found) == Grade::Note && found.iter().any(|f| f.text.contains("is volatile")), "{found:#?}");
    let much = "rd.overlay rd.overlay.path=volatile:/a,size=2G rd.overlay.path=volatile:/b,size=40%";
    assert!(one(&doctor(much, "", &facts(), &host()), Grade::Warning).contains("may use"));
    let endless = doctor("rd.overlay rd.overlay.path=volatile:/a,size=0", "", &facts(), &host());
    assert!(one(&endless, Grade::Warning).contains("no limit"), "{endless:#?}");
    let device = Device { path: "/dev/vdc".into(), fstype: "xfs".into(), ..Device::default() };
    let kept = Facts { stores: [("LABEL=k".to_owned(), Lookup::Found(device))].into(), ..facts() };
    let found = doctor("rd.overlay rd.overlay.path=home,dev=LABEL=k", "", &kept, &host());
    assert!(one(&found, Grade::Problem).contains("lacks the kernel module xfs"), "{found:#?}");
    let twice = doctor("rd.overlay rd.overlay.path=volatile:/srv", "rd.overlay.path=volatile:/opt", &facts(), &host());
    assert!(one(&twice, Grade::Warning).contains("overrides rd.overlay.path=volatile:/opt in c"), "{twice:#?}");
}

#[test]
fn every_key_can_be_overruled() {
    let default = || Config::read(&Inputs::default());
    let mut names: Vec<_> = pairs(default(), default()).into_iter().map(|(key, ..)| key.name).collect();
    // a part of what the upper is
    names.push(keys::CRYPT.name);
    names.sort_unstable();
    let mut all: Vec<_> = keys::KEYS.iter().map(|key| key.name).collect();
    all.sort_unstable();
    assert_eq!(names, all);
}

#[test]
fn mistakes_and_what_is_said_twice() {
    let found = doctor("rd.overlay rd.overlay.rest", "", &facts(), &host());
    assert!(one(&found, Grade::Warning).contains("did you mean rd.overlay.reset?"));
    let found = doctor("rd.overlay rd.overlay.timeout=5", "rd.overlay=0\nrd.overlay.timeout=5", &facts(), &host());
    let want = "configuration: rd.overlay: rd.overlay in /proc/cmdline overrides rd.overlay=0 in c:1";
    assert_eq!(one(&found, Grade::Warning), want);
    assert_eq!(
        worst(&doctor("rd.overlay rd.overlay.rest rd.overlay.fallback=halt", "", &facts(), &host())),
        Grade::Problem
    );
}

#[test]
fn what_the_plan_refuses_is_a_problem() {
    let found = doctor("rd.overlay=LABEL=none", "", &facts(), &host());
    let text = one(&found, Grade::Problem);
    assert!(text.contains("device-missing") && text.contains("instead: overlay, upper in RAM"), "{text}");
}

#[test]
fn what_an_archive_needs() {
    let programs = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let archive =
        overlayroot_core::facts::Archive { programs: programs(&["overlay-populate", "curl"]), ..Default::default() };
    let facts = Facts { archive, ..facts() };
    let mut host = host();
    let said = |cmdline: &str, facts: &Facts, host: &Host| {
        let found = doctor(cmdline, "", facts, host);
        let about = found.iter().filter(|finding| finding.check == "populate");
        about.map(|finding| format!("{:?} {}", finding.grade, finding.text)).collect::<Vec<_>>()
    };
    let url = "rd.overlay rd.neednet=1 rd.overlay.populate=https://s/x.tar";
    let lacks = said(url, &facts, &host);
    assert!(
        lacks.len() == 3 && lacks.iter().take(2).all(|text| text.starts_with("Problem /boot/initramfs")),
        "{lacks:?}"
    );
    host.kernels
        .iter_mut()
        .for_each(|kernel| kernel.files.as_mut().unwrap().extend(programs(&["overlay-populate", "curl"])));
    assert_eq!(said(url, &facts, &host), ["Ok a new upper begins with https://s/x.tar"]);
    assert_eq!(said("rd.overlay", &facts, &host), Vec::<String>::new());
    let quiet = said("rd.overlay rd.neednet=0 rd.overlay.populate=http://u:secret@s/x.tar", &facts, &host);
    assert!(
        quiet.iter().any(|text| text.contains("nothing asks for it"))
            && quiet.iter().any(|text| text.starts_with("Note")),
        "{quiet:?}"
    );
    assert!(!format!("{quiet:?}").contains("secret"));
    assert_eq!(said("rd.overlay root=nfs:s:/x rd.overlay.populate=https://s/x.tar", &facts, &host).len(), 1);
    let missing =
        Facts { archive: overlayroot_core::facts::Archive { missing: true, ..facts.archive.clone() }, ..facts.clone() };
    assert_eq!(
        said("rd.overlay rd.overlay.populate=/x.tar", &missing, &host),
        ["Problem rd.overlay.populate: /x.tar is not in the root"]
    );
    // What the plan would refuse stands there, too.
    let bare = Facts { archive: overlayroot_core::facts::Archive::default(), ..facts.clone() };
    let found = doctor(url, "", &bare, &host);
    assert!(
        found.iter().any(|finding| finding.check == "plan" && finding.text.contains("overlay-populate is not in")),
        "{found:#?}"
    );
}

#[test]
fn ram_that_is_too_small() {
    let text = one(&doctor("rd.overlay=tmpfs:size=8G", "", &facts(), &host()), Grade::Warning);
    assert_eq!(text, "memory: the upper may use 8192M of 4096M RAM, with 0M swap");
    assert!(one(&doctor("rd.overlay=tmpfs:size=0", "", &facts(), &host()), Grade::Warning).contains("no limit"));
    assert!(one(&doctor("rd.overlay=tmpfs:nr_blocks=1m", "", &facts(), &host()), Grade::Warning).contains("4096M of"));
    let swap = Host { swap: 16 << 30, ..host() };
    assert_eq!(worst(&doctor("rd.overlay=tmpfs:size=8G", "", &facts(), &swap)), Grade::Ok);
}

#[test]
fn a_full_root_and_a_table_that_works_against_it() {
    let mut facts = facts();
    facts.place = Some(Place::default());
    facts.root.as_mut().unwrap().free = 1 << 20;
    assert!(one(&doctor("rd.overlay=dir:/u", "", &facts, &host()), Grade::Warning).starts_with("space: 1M of"));
    // A file on another device takes nothing of the root's.
    let beside = doctor("rd.overlay=loop:/u,dev=LABEL=x", "", &facts, &host());
    assert!(beside.iter().all(|finding| finding.check != "space"), "{beside:?}");
    let (path, fstype) = ("/dev/dm-0".into(), "ext4".into());
    let device = Device { path, fstype, devno: "253:0".into(), uuid: "ab-1".into(), ..Device::default() };
    let mapped = device.file_system();
    facts.device = Some(Lookup::Found(device));
    let mapped = Host { sources: [("/dev/mapper/data".to_owned(), mapped)].into(), ..host() };
    for what in ["LABEL=upper", "LABEL=\"upper\"", "/dev/mapper/data", "UUID=AB-1", "UUID=\"ab-1\""] {
        facts.root.as_mut().unwrap().fstab = format!("{what} /data ext4 defaults 0 2\n");
        let text = one(&doctor("rd.overlay=LABEL=upper", "", &facts, &mapped), Grade::Warning);
        assert_eq!(text, "fstab: fstab mounts the upper's own file system on /data, too");
    }
    facts.root.as_mut().unwrap().fstab = "/dev/mapper/other /data ext4 defaults 0 2\n".into();
    assert!(worst(&doctor("rd.overlay=LABEL=upper", "", &facts, &mapped)) < Grade::Warning);
}

#[test]
fn others_staleness_and_rights() {
    let now = Fingerprint { os: "debian 13".into(), ..Fingerprint::default() };
    let was = Fingerprint { os: "debian 12".into(), ..Fingerprint::default() };
    let stale = Host { upper: Some((was, now.clone())), ..host() };
    assert!(one(&doctor("rd.overlay", "", &facts(), &stale), Grade::Warning).contains("current lower (os)"));
    let fit = Host { upper: Some((now.clone(), now)), ..host() };
    assert_eq!(worst(&doctor("rd.overlay", "", &facts(), &fit)), Grade::Ok);
    let other = Host { others: vec!["x is installed".into()], ..host() };
    assert_eq!(one(&doctor("rd.overlay", "", &facts(), &other), Grade::Warning), "others: x is installed");
    let user = Host { is_root: false, ..host() };
    assert!(one(&doctor("rd.overlay", "", &facts(), &user), Grade::Warning).starts_with("root:"));
    let inside = Host { boot_in_overlay: true, ..host() };
    assert_eq!(worst(&doctor("rd.overlay", "", &facts(), &inside)), Grade::Note);
}

#[test]
fn a_pull_needs_programs_and_an_overlay() {
    let cmdline = "rd.overlay rd.overlay.git=https://h/x rd.overlay.git.verify=/etc/signers";
    assert_eq!(worst(&doctor(cmdline, "", &facts(), &host())), Grade::Ok);
    let lacking = Host { lacking: vec!["git".into(), "/etc/signers".into()], ..host() };
    let found = doctor(cmdline, "", &facts(), &lacking);
    assert_eq!(one(&found, Grade::Problem), "pull: pulls https://h/x, but this root lacks git, /etc/signers");
    let found = doctor("rd.overlay", "", &facts(), &lacking);
    assert!(worst(&found) == Grade::Ok && found.iter().all(|finding| finding.check != "pull"), "{found:#?}");
    let found = doctor("rd.overlay.git=https://h/x", "", &facts(), &host());
    assert!(one(&found, Grade::Warning).contains("plain root"));
    let found = doctor(&format!("{cmdline} rd.overlay.git.verfy=/x"), "", &facts(), &host());
    assert!(found.iter().any(|finding| finding.check == "pull" && finding.grade == Grade::Problem), "{found:#?}");
}

#[test]
fn nothing_is_well_where_the_next_boot_is_not_known() {
    let blind = |text: &str| Host { not_known: vec![text.to_owned()], ..host() };
    for (text, todo) in [("the command line: x", "--cmdline"), ("whether the initramfs y", "lsinitrd")] {
        for cmdline in ["rd.overlay", "quiet"] {
            let found = doctor(cmdline, "", &facts(), &blind(text));
            assert_eq!(one(&found, Grade::Warning), format!("next-boot: not known: {text}"));
            assert!(
                found.iter().any(|finding| finding.check == "next-boot" && finding.todo.contains(todo)),
                "{found:#?}"
            );
            assert!(found.iter().all(|finding| finding.check != "plan" || finding.grade != Grade::Ok), "{found:#?}");
        }
    }
}

#[test]
fn a_boot_that_ends_in_the_emergency_shell_or_does_nothing_is_a_problem() {
    let found = doctor("rd.overlay=LABEL=x rd.overlay.fallback=halt", "", &facts(), &host());
    assert!(one(&found, Grade::Problem).contains("the boot ends in the emergency shell"), "{found:#?}");
    let none =
        Host { lacking_module: Some("the boot loader loads no initramfs".into()), kernels: Vec::new(), ..host() };
    let found = doctor("rd.overlay", "", &facts(), &none);
    assert!(one(&found, Grade::Problem).contains("the next boot makes no overlay"), "{found:#?}");
    // what another kernel's image lacks does not stop the next boot
    let mut two = Host { next_image: Some("/boot/initramfs-6.1.img".into()), ..host() };
    let other = KernelImage { image: Some("/boot/other.img".into()), files: Ok(Vec::new()), ..two.kernels[0].clone() };
    two.kernels.push(other);
    assert!(one(&doctor("rd.overlay", "", &facts(), &two), Grade::Warning).contains("/boot/other.img lacks"));
    two.next_image = Some("/boot/other.img".into());
    assert_eq!(worst(&doctor("rd.overlay", "", &facts(), &two)), Grade::Problem);
}
