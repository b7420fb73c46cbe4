// SPDX-License-Identifier: GPL-2.0-or-later
//! Volumes that the running system has open, and the initramfs will not.
use super::*;
use crate::doctor::KernelImage;
use overlayroot_core::facts::Root;

const GROUP: &str = "LVM-abcdefghijklmnopqrstuvwxyzABCDEFabcdefghijklmnopqrstuvwxyz012345";
const LUKS: &str = "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-luks-x";

fn layer(uuid: &str, name: &str) -> Layer {
    Layer::of(uuid, name).unwrap()
}

#[test]
fn what_device_mapper_says() {
    let volume = |group: &str, name: &str| Layer::Volume { group: group.into(), name: name.into() };
    assert_eq!(layer(GROUP, "vg-up"), volume("vg", "up"));
    assert_eq!(layer(GROUP, "my--vg-over--lay"), volume("my-vg", "over-lay"));
    let luks = Layer::Luks { uuid: "0123456789abcdef0123456789abcdef".into(), name: "luks-x".into() };
    assert_eq!(layer(LUKS, "luks-x"), luks);
    // what LVM makes for itself, and what is neither
    for (uuid, name) in
        [(format!("{GROUP}-tpool").as_str(), "vg-pool-tpool"), (GROUP, "vg"), ("mpath-x", "mpatha"), ("", "")]
    {
        assert_eq!(Layer::of(uuid, name), None, "{uuid}");
    }
}

/// What is found of an upper that lies on these, with a root on those.
fn told(line: &str, upper: &[Layer], root: &[Layer], files: &[&str]) -> Vec<String> {
    told_with("", line, upper, root, files)
}

/// The same with a line in the image.
fn told_with(own: &str, line: &str, upper: &[Layer], root: &[Layer], files: &[&str]) -> Vec<String> {
    let line = Source::new("/proc/cmdline", format!("{line} rd.overlay=LABEL=up"));
    let inputs = Inputs { cmdline: vec![Source::new("/etc/cmdline.d/20-x.conf", own), line], ..Inputs::default() };
    let config = Config::read(&inputs);
    let device = Device { path: "/dev/dm-1".into(), devno: "253:1".into(), fstype: "ext4".into(), ..Device::default() };
    let facts = Facts {
        root: Some(Root { devno: "253:0".into(), ..Root::default() }),
        device: Some(Lookup::Found(device)),
        ..Facts::default()
    };
    let kernel = KernelImage {
        release: "6.1".into(),
        has: None,
        builtin: Vec::new(),
        image: Some("/boot/initrd.img".into()),
        files: Ok(files.iter().map(|name| (*name).to_owned()).collect()),
        newer: Vec::new(),
    };
    let stacks = [("253:1", upper), ("253:0", root)];
    let host = Host {
        kernels: vec![kernel],
        next_image: Some("/boot/initrd.img".into()),
        stacks: stacks.into_iter().map(|(number, all)| (number.to_owned(), all.to_vec())).collect(),
        ..Host::default()
    };
    let mut found = Vec::new();
    examine(&inputs, &config, &facts, &host, &mut found);
    assert!(found.iter().all(|finding| finding.grade == Grade::Problem));
    found.into_iter().map(|finding| format!("{} -> {}", finding.text, finding.todo)).collect()
}

#[test]
fn a_logical_volume_that_is_not_named() {
    let (up, root) = ([layer(GROUP, "vg-up")], [layer(GROUP, "vg-root")]);
    let told = |line: &str| told(line, &up, &root, &["lvm"]);
    for fine in ["", "rd.lvm.lv=vg/root rd.lvm.lv=vg/up", "rd.lvm.vg=vg", "rd.lvm=1"] {
        assert_eq!(told(fine), Vec::<String>::new(), "{fine}");
    }
    for bad in [
        "rd.lvm.lv=vg/root",
        "rd.lvm.vg=other",
        "rd.lvm=0",
        "rd.lvm.lv=vg/root rd.lvm.lv=vg/swap",
        "rd.lvm=0 rd.lvm.lv=vg/up",
    ] {
        let found = told(bad);
        assert!(found.len() == 1 && found[0].contains("LABEL=up lies on the logical volume vg/up"), "{found:?}");
        assert!(
            found[0].contains(bad.split(" rd.lvm.lv=vg/up").next().unwrap())
                && found[0].ends_with("add rd.lvm.lv=vg/up to the kernel command line"),
            "{found:?}"
        );
    }
}

#[test]
fn an_encrypted_volume_that_is_not_named() {
    let up = [layer(LUKS, "luks-x")];
    let told = |line: &str| told(line, &up, &[], &["systemd-cryptsetup"]);
    let own = "01234567-89ab-cdef-0123-456789abcdef";
    for fine in ["", &format!("rd.luks.uuid=luks-{own}"), &format!("rd.luks.name={own}=x"), "rd.luks.uuid=0123"] {
        assert_eq!(told(fine), Vec::<String>::new(), "{fine}");
    }
    for bad in ["rd.luks.uuid=luks-ffffffff", "rd.luks=0", "luks.name=ffff=root"] {
        let found = told(bad);
        assert!(found.len() == 1 && found[0].contains("LABEL=up lies on the encrypted volume luks-x"), "{found:?}");
        assert!(found[0].contains(&format!("has {bad}, so")), "{found:?}");
        assert!(found[0].ends_with(&format!("add rd.luks.uuid={own} to the kernel command line")), "{found:?}");
    }
}

#[test]
fn what_the_image_says_counts_for_dracut_alone() {
    let (volume, luks) = ([layer(GROUP, "vg-up")], [layer(LUKS, "luks-x")]);
    let files = ["lvm", "cryptsetup"];
    assert_eq!(told_with("rd.lvm.lv=vg/root", "", &volume, &[], &files).len(), 1);
    assert_eq!(told_with("rd.luks.uuid=luks-ffff", "", &luks, &[], &files), Vec::<String>::new());
}

#[test]
fn what_the_root_lies_on_is_opened_anyway() {
    let luks = layer(LUKS, "luks-x");
    let (up, root) = (vec![layer(GROUP, "vg-up"), luks.clone()], vec![layer(GROUP, "vg-root"), luks]);
    assert_eq!(told("rd.luks.uuid=luks-ffff", &up, &root, &["lvm"]), Vec::<String>::new());
    assert_eq!(told("rd.lvm.lv=vg/root", &root, &root, &[]), Vec::<String>::new());
}

#[test]
fn an_image_that_can_open_nothing() {
    let found = told("", &[layer(GROUP, "vg-up"), layer(LUKS, "luks-x")], &[], &["sh"]);
    assert_eq!(found.len(), 2);
    assert!(
        found[0].contains("/boot/initrd.img lacks lvm") && found[1].contains("lacks systemd-cryptsetup"),
        "{found:?}"
    );
    assert!(found[0].ends_with("dracut --force --add-device LABEL=up"), "{found:?}");
}
