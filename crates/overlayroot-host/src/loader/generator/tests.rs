// SPDX-License-Identifier: GPL-2.0-or-later
//! Each situation of a host that makes an initramfs, as its packages leave it.
use super::*;

const INITRAMFS_TOOLS: &str = "#!/bin/sh\nmkinitramfs -o \"${initramfs}.new\" \"${version}\"\n";
const DRACUT_S: &str = "#!/bin/sh\ndracut --force \"${initramfs}\" \"${version}\"\n";

fn tree(hooks: &[&str], files: &[(&str, &str)], programs: &[&str]) -> Tree {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Tree { files, hooks: words(hooks), programs: words(programs), ..Tree::default() }
}

fn debian(hooks: &[&str], update: Option<&str>, programs: &[&str]) -> Makes {
    let hooks: Vec<String> = hooks.iter().map(|name| format!("etc/kernel/postinst.d/{name}")).collect();
    let hooks: Vec<&str> = hooks.iter().map(String::as_str).collect();
    let mut files = vec![(DEBIAN, "13\n")];
    files.extend(update.map(|text| (UPDATE_INITRAMFS, text)));
    makes(&tree(&hooks, &files, programs))
}

fn word(makes: &Makes) -> &str {
    match makes {
        Makes::NotKnown => "not known",
        Makes::Nobody => "nobody",
        Makes::One { generator, .. } => generator.word(),
    }
}

#[test]
fn debian_s_packages() {
    let both = ["dracut", "update-initramfs"];
    for (hooks, update, programs, want) in [
        // As installed, with our package and its dracut-core.
        (&["initramfs-tools"][..], Some(INITRAMFS_TOOLS), &both[..], "initramfs-tools"),
        // dracut in its place, purged or not: the hook stays, the program is gone.
        (&["dracut"], None, &["dracut"], "dracut"),
        (&["dracut", "initramfs-tools"], None, &["dracut"], "dracut"),
        // From 112 on dracut has a program of that name.
        (&["dracut", "initramfs-tools"], Some(DRACUT_S), &both, "dracut"),
        // And back, with dracut's hook left and dracut-core still there: both run, the last one's image stays.
        (&["dracut", "initramfs-tools"], Some(INITRAMFS_TOOLS), &both, "initramfs-tools"),
        (&["tiny-initramfs"], None, &["dracut", "update-tirfs"], "tiny-initramfs"),
        (&["dracut", "tiny-initramfs"], None, &["dracut", "update-tirfs"], "tiny-initramfs"),
        // dracut-core alone, as a container has it.
        (&[], None, &["dracut"], "nobody"),
        (&[], Some(INITRAMFS_TOOLS), &both, "nobody"),
        (&["dracut"], None, &[], "nobody"),
    ] {
        let found = debian(hooks, update, programs);
        assert_eq!(word(&found), want, "{hooks:?} {update:?} {programs:?}");
        assert_eq!(found.warning().is_some(), want.ends_with("initramfs") || want == "initramfs-tools");
    }
    let Makes::One { by, .. } = debian(&["initramfs-tools"], Some(INITRAMFS_TOOLS), &both) else { panic!("nobody") };
    assert_eq!(by, "/etc/kernel/postinst.d/initramfs-tools");
    let (_, way) = debian(&["initramfs-tools"], Some(INITRAMFS_TOOLS), &both).warning().unwrap();
    assert!(way.starts_with("apt install dracut"), "{way}");
}

#[test]
fn others() {
    const PLUGIN: &str = "usr/lib/kernel/install.d/50-dracut.install";
    const MKINITCPIO: &str = "usr/lib/kernel/install.d/50-mkinitcpio.install";
    const PACMAN: &str = "usr/share/libalpm/hooks/90-mkinitcpio-install.hook";
    let conf = |text: &'static str| vec![(INSTALL_CONF[0], text)];
    for (hooks, files, programs, want) in [
        (&[PLUGIN][..], Vec::new(), &["dracut"][..], "dracut"),
        (&[], Vec::new(), &["dracut"], "dracut"),
        (&[PLUGIN, MKINITCPIO], Vec::new(), &["dracut", "mkinitcpio"], "mkinitcpio"),
        (&[PLUGIN, MKINITCPIO], conf("layout=bls\ninitrd_generator=dracut\n"), &["dracut", "mkinitcpio"], "dracut"),
        (&[PLUGIN, MKINITCPIO], conf("initrd_generator=mkinitcpio\n"), &["dracut", "mkinitcpio"], "mkinitcpio"),
        (&[PLUGIN], conf("#initrd_generator=mkinitcpio\n"), &["dracut", "mkinitcpio"], "dracut"),
        (&[PACMAN, PLUGIN], Vec::new(), &["dracut", "mkinitcpio"], "mkinitcpio"),
        (&["usr/share/libalpm/hooks/90-booster-install.hook"], Vec::new(), &["dracut", "booster"], "booster"),
        // its hook is masked, and nobody else's is known
        (&[], Vec::new(), &["dracut", "mkinitcpio"], "nobody"),
        (&[], Vec::new(), &[], "nobody"),
    ] {
        let found = makes(&tree(hooks, &files, programs));
        assert_eq!(word(&found), want, "{hooks:?} {files:?} {programs:?}");
    }
}

#[test]
fn by_what_it_made() {
    let made = |names: &[&str]| of_image(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    assert_eq!(made(&["init", "usr/lib/dracut/hooks/pre-pivot/x.sh"]), Some(Generator::Dracut));
    assert_eq!(made(&["init", "conf/initramfs.conf", "scripts/functions"]), Some(Generator::InitramfsTools));
    assert_eq!(made(&["init", "etc/booster.init.yaml"]), Some(Generator::Booster));
    assert_eq!(made(&["init", "init_functions", "config", "hooks/udev"]), Some(Generator::Mkinitcpio));
    assert_eq!(made(&["init", "bin/sh"]), None);
}
