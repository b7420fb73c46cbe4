// SPDX-License-Identifier: GPL-2.0-or-later
//! Kernels and cloud-init in an overlay, and a root that is a server's.
use super::*;
use crate::doctor::{KernelImage, examine, worst};
use overlayroot_core::facts::{Facts, Kernel, Root};
use overlayroot_core::parse::cmdline::Source;
use overlayroot_core::plan::decide;

fn facts(fstype: &str) -> Facts {
    let root = Root { fstype: fstype.into(), source: "10.0.0.1:/srv/node".into(), ..Root::default() };
    let kernel = Kernel { release: "6.1".into(), overlay: true, ..Kernel::default() };
    Facts { root: Some(root), kernel, ..Facts::default() }
}

fn told(cmdline: &str, facts: &Facts, host: &Host) -> Vec<Finding> {
    let cmdline = vec![Source::new("/proc/cmdline", cmdline)];
    let inputs = Inputs { cmdline, ..Inputs::default() };
    let config = Config::read(&inputs);
    examine(&inputs, &config, facts, &decide(&config, facts), host)
}

fn of(check: &str, found: &[Finding]) -> Vec<(Grade, String, String)> {
    let found = found.iter().filter(|finding| finding.check == check);
    found.map(|finding| (finding.grade, finding.text.clone(), finding.todo.clone())).collect()
}

fn host() -> Host {
    Host { is_root: true, ..Host::default() }
}

#[test]
fn a_boot_partition_outside_the_overlay() {
    let host = Host { boot_apart: Some("/boot".into()), ..host() };
    for (cmdline, end) in [
        ("rd.overlay", "and they will be lost at reboot"),
        ("rd.overlay=dir:/upper", "and a boot without it lacks them"),
        ("rd.overlay=0", "and the next boot, of the plain root, lacks them"),
    ] {
        let found = of("boot", &told(cmdline, &facts("ext4"), &host));
        let [(Grade::Warning, text, todo)] = &found[..] else { panic!("{found:#?}") };
        assert!(text.contains("boots next") && text.ends_with(end), "{text}");
        assert_eq!(todo, "update kernels in a boot with rd.overlay=0");
    }
    assert_eq!(of("boot", &told("rd.overlay", &facts("ext4"), &self::host())), []);
    let inside = Host { boot_in_overlay: true, ..self::host() };
    assert_eq!(of("boot", &told("rd.overlay", &facts("ext4"), &inside))[0].0, Grade::Note);
    // The Pi: /boot is the root's, and its hooks copy from there.
    let pi = Host { boot_apart: Some("/boot/firmware".into()), ..inside };
    let found = of("boot", &told("rd.overlay", &facts("ext4"), &pi));
    assert!(found.len() == 1 && found[0].1.starts_with("/boot/firmware is outside"), "{found:#?}");
}

#[test]
fn cloud_init_that_enlarges_the_root() {
    let host = Host { cloud_resizes: true, ..host() };
    let found = of("cloud-init", &told("rd.overlay", &facts("ext4"), &host));
    let [(Grade::Warning, text, todo)] = &found[..] else { panic!("{found:#?}") };
    assert!(text.contains("'degraded'") && todo.starts_with("resize_rootfs: false in /etc/cloud"), "{found:#?}");
    for quiet in [
        "quiet",
        // the one name that it knows
        "overlayroot=tmpfs",
        "rd.overlay cloud-init=disabled",
        "rd.overlay cc: resize_rootfs: false end_cc",
    ] {
        assert_eq!(of("cloud-init", &told(quiet, &facts("ext4"), &host)), [], "{quiet}");
    }
    assert_eq!(of("cloud-init", &told("rd.overlay", &facts("ext4"), &self::host())), []);
}

#[test]
fn what_cloud_init_is_told() {
    let cloud = |files: &[&str]| cloud_resizes(&files.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>());
    let modules = "cloud_init_modules:\n  - seed_random\n  - growpart\n  - resizefs # grows\n";
    assert!(cloud(&[modules]) && cloud(&["cloud_init_modules:\n - [resizefs, always]\n"]));
    for on in
        ["resize_rootfs: true\n", "resize_rootfs: noblock\n", "resize_rootfs: \"Yes\" # x\n", " resize_rootfs: no\n"]
    {
        assert!(cloud(&[modules, on]), "{on}");
    }
    for off in
        ["resize_rootfs: false\n", "resize_rootfs: False\n", "resize_rootfs:  'no'\n", "resize_rootfs: off # x\n"]
    {
        assert!(!cloud(&[modules, "resize_rootfs: true\n", off]), "{off}");
    }
    for text in ["", "cloud_init_modules:\n - growpart\n", "# - resizefs\n", "x: resizefs\n", "- resizefsx\n"] {
        assert!(!cloud(&[text]), "{text}");
    }
}

#[test]
fn a_node_on_nfs_is_told_nothing_that_it_can_t_do() {
    let kernel = KernelImage {
        release: "6.1".into(),
        has: Some(vec!["overlay".into()]),
        builtin: Vec::new(),
        image: Some("/boot/initrd.img-6.1".into()),
        files: Ok(vec!["init".into()]),
        newer: vec!["/etc/overlayroot-rs.conf".into()],
    };
    let host = Host {
        kernels: vec![kernel],
        boot_in_overlay: true,
        cloud_resizes: true,
        lacking_module: Some("/boot/initrd.img-6.1 lacks it".into()),
        lacking: vec!["git".into()],
        others: vec!["the package overlayroot is installed".into()],
        swap_files: vec!["/swap".into()],
        ..host()
    };
    let line = "rd.overlay rd.overlay.git=https://h/x rd.overlay.git.verify=/etc/signers";
    let local = told(line, &facts("ext4"), &host);
    assert!(local.iter().any(|finding| finding.todo.contains("dracut --force")), "{local:#?}");
    for fstype in ["nfs", "nfs4", "virtiofs"] {
        let mut facts = facts(fstype);
        facts.root = facts.root.map(|root| Root { fstab: "x / overlay defaults 0 0\n".into(), ..root });
        let found = told(line, &facts, &host);
        let all = found.iter().map(|finding| format!("{}: {}", finding.check, finding.todo)).collect::<Vec<_>>();
        for never in ["dracut --force", "rd.overlay=0", "the boot loader load", "overlayctl enable"] {
            assert!(all.iter().all(|todo| !todo.contains(never)), "{never}: {all:#?}");
        }
        // What the root lacks is put into it where it lies.
        for check in ["cloud-init", "pull", "others", "swap", "fstab"] {
            let begin = format!("{check}: on the root's server (10.0.0.1:/srv/node): ");
            assert!(all.iter().any(|todo| todo.starts_with(&begin)), "{check}: {all:#?}");
        }
        let [(Grade::Note, text, todo)] = &of("initramfs", &found)[..] else { panic!("{found:#?}") };
        assert!(text.contains("not checked here") && todo.starts_with("on the boot server: lsinitrd"), "{text}");
        assert_eq!(of("boot", &found)[0].2, "update the root on its server");
    }
    let bare = told("rd.overlay", &facts("nfs4"), &self::host());
    assert_eq!(worst(&bare), Grade::Note, "{bare:#?}");
}
