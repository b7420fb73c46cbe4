// SPDX-License-Identifier: GPL-2.0-or-later
//! On trees in temporary directories, as image builders have them.
use super::told::shell;
use super::*;
use crate::state::next::loaders_tests::{COPIES, Files, LOADERS, Texts, UBUNTUS, image, look, made as made_of};
use crate::state::next::tests::initramfs;
use overlayroot_host::loader::grub_files::DROP_IN;
use overlayroot_host::loader::{CMDLINE_TXT, MODULE};
use overlayroot_host::next::Verdict;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

fn common(root: &Path, dry_run: bool) -> Common {
    Common { boot_loader: None, root: root.to_str().unwrap().to_owned(), rebuild: false, dry_run, json: false }
}

fn made(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// Every file below a directory.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => todo.push(path),
                false => {
                    let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                    found.insert(name, fs::read(path).unwrap());
                }
            }
        }
    }
    found
}

fn on(dir: &Path, words: &[&str]) -> Exit {
    let arguments = words.iter().map(|word| (*word).to_owned()).collect();
    enable(&Enable { arguments, force: false, common: common(dir, false) }).unwrap()
}

fn off(dir: &Path) -> Exit {
    disable(&Disable { common: common(dir, false) }).unwrap()
}

#[test]
fn a_debian_tree_and_back() {
    let dir = made(&[("etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"\n"), ("etc/default/grub.d/x.cfg", "")]);
    let before = files(dir.path());
    assert_eq!(on(dir.path(), &[]), Exit::Good);
    let after = files(dir.path());
    assert!(String::from_utf8_lossy(&after[DROP_IN]).contains("$GRUB_CMDLINE_LINUX rd.overlay=tmpfs"));
    assert!(after.contains_key(MODULE));
    assert_eq!(after.len(), before.len() + 2);
    assert_eq!(on(dir.path(), &[]), Exit::Good);
    assert_eq!(files(dir.path()), after);
    assert_eq!(off(dir.path()), Exit::Good);
    assert_eq!(files(dir.path()), before);
}

#[test]
fn a_pi_s_card_keeps_a_copy() {
    let line = "console=tty1 root=PARTUUID=1-02 rootwait\n";
    let dir = made(&[("boot/firmware/cmdline.txt", line), ("boot/firmware/config.txt", "")]);
    assert_eq!(on(dir.path(), &["rd.overlay=LABEL=x", "rd.overlay.fallback=halt"]), Exit::Good);
    let after = files(dir.path());
    let text = String::from_utf8_lossy(&after[CMDLINE_TXT[0]]).into_owned();
    assert_eq!(text, "console=tty1 root=PARTUUID=1-02 rootwait rd.overlay=LABEL=x rd.overlay.fallback=halt\n");
    assert_eq!(after["boot/firmware/cmdline.txt.overlayctl-old"], line.as_bytes());
    assert_eq!(off(dir.path()), Exit::Good);
    assert_eq!(files(dir.path())[CMDLINE_TXT[0]], line.as_bytes());
}

#[test]
fn what_is_refused_changes_nothing() {
    let dir = made(&[("boot/cmdline.txt", "root=x\n"), ("boot/config.txt", "")]);
    let before = files(dir.path());
    for words in [&["rd.overlay=0"][..], &["quiet"], &["rd.overlay=vdb"]] {
        assert_eq!(on(dir.path(), words), Exit::No);
    }
    let dry = Enable { arguments: Vec::new(), force: false, common: common(dir.path(), true) };
    assert_eq!(enable(&dry).unwrap(), Exit::Good);
    assert_eq!(files(dir.path()), before);
    assert_eq!(on(made(&[]).path(), &[]), Exit::No);
    let rebuild = Common { rebuild: true, ..common(dir.path(), false) };
    assert!(disable(&Disable { common: rebuild }).is_err());
}

#[test]
fn a_write_that_fails_puts_the_others_back() {
    let entry = "linux /a\noptions root=x\n";
    let dir = made(&[("boot/loader/entries/a.conf", entry), ("etc/kernel/cmdline", "root=x\n")]);
    // the new file of the last edit can't be made: a directory has its name
    fs::create_dir_all(dir.path().join("etc/dracut.conf.d/50-overlayroot-rs.conf.new")).unwrap();
    let before = files(dir.path());
    let asked = Enable { arguments: Vec::new(), force: false, common: common(dir.path(), false) };
    let error = format!("{:#}", enable(&asked).unwrap_err());
    assert!(error.starts_with("failed, all changes rolled back"), "{error}");
    assert_eq!(files(dir.path()), before);
}

#[test]
fn a_link_of_the_tree_stays_in_it() {
    let entry = "linux /a\noptions $kernelopts\n";
    let mut block = "# GRUB Environment Block\nkernelopts=root=x\n".to_owned();
    block.push_str(&"#".repeat(1024 - block.len()));
    let dir = made(&[("boot/loader/entries/a.conf", entry), ("boot/efi/EFI/fedora/grubenv", &block)]);
    fs::create_dir_all(dir.path().join("boot/grub2")).unwrap();
    std::os::unix::fs::symlink("/boot/efi/EFI/fedora/grubenv", dir.path().join("boot/grub2/grubenv")).unwrap();
    assert_eq!(on(dir.path(), &[]), Exit::Good);
    let written = fs::read_to_string(dir.path().join("boot/efi/EFI/fedora/grubenv")).unwrap();
    assert!(written.contains("kernelopts=root=x rd.overlay=tmpfs\n#") && written.len() == 1024);
    assert!(dir.path().join("boot/grub2/grubenv").is_symlink());
    assert_eq!(off(dir.path()), Exit::Good);
    assert_eq!(fs::read_to_string(dir.path().join("boot/efi/EFI/fedora/grubenv")).unwrap(), block);
}

fn runs(dir: &Path, path: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir.join(path), fs::Permissions::from_mode(0o755)).unwrap();
}

fn advised(dir: &Path) -> Plan {
    let root = dir.to_str().unwrap();
    let mut plan = Plan::default();
    initramfs::advise(root, &loader_files::tree(root).unwrap(), Kind::GrubD, (true, false), &mut plan);
    plan
}

#[test]
fn who_makes_the_next_initramfs_is_told_with_the_way() {
    const HOOK: &str = "etc/kernel/postinst.d/initramfs-tools";
    let dir = made(&[
        ("etc/debian_version", "12\n"),
        ("usr/sbin/update-initramfs", "mkinitramfs\n"),
        ("usr/bin/dracut", "#!/bin/bash\n"),
        (HOOK, "update-initramfs -c\n"),
    ]);
    // run-parts passes over it
    assert!(advised(dir.path()).notes.is_empty());
    runs(dir.path(), HOOK);
    let plan = advised(dir.path());
    assert!(plan.notes[0].starts_with("initramfs-tools makes the initramfs at each kernel update (/etc/"), "{plan:?}");
    assert!(plan.todo[0].starts_with("apt install dracut"), "{plan:?}");
    fs::remove_file(dir.path().join("usr/sbin/update-initramfs")).unwrap();
    assert!(advised(dir.path()).notes.is_empty());

    let arch =
        made(&[("usr/bin/mkinitcpio", "x"), ("usr/share/libalpm/hooks/90-mkinitcpio-install.hook", "[Trigger]\n")]);
    assert!(advised(arch.path()).notes[0].starts_with("mkinitcpio makes"));
    fs::write(arch.path().join("usr/bin/dracut"), "x").unwrap();
    fs::create_dir_all(arch.path().join("etc/pacman.d/hooks")).unwrap();
    let mask = arch.path().join("etc/pacman.d/hooks/90-mkinitcpio-install.hook");
    std::os::unix::fs::symlink("/dev/null", mask).unwrap();
    assert!(advised(arch.path()).notes.is_empty());
}

#[test]
fn the_words_are_the_shell_s() {
    let words = ["grubby", "--args=a b"].map(str::to_owned);
    assert_eq!(shell(&words), "grubby '--args=a b'");
    assert_eq!(kind("grub.d").unwrap(), Kind::GrubD);
    assert!(kind("lilo").unwrap_err().starts_with("one of grubby, bls"));
}

fn off_of(dir: &Path, kind: Kind) -> Exit {
    let common = Common { boot_loader: Some(kind), ..common(dir, false) };
    disable_with(&Disable { common }, &Texts).unwrap()
}

/// What `disable` leaves is the plain root, or it says that it is not and who asks. What it says is what the planner
/// says of the line that is there afterwards.
#[test]
fn disable_leaves_the_plain_root_or_says_that_it_is_not_so() {
    for loader in LOADERS.iter().filter(|loader| loader.kind != Kind::Grubby && loader.name != "unified images") {
        let cases = WAYS_LEFT
            .iter()
            .flat_map(|way| COPIES.iter().flat_map(move |copy| UBUNTUS.map(|ubuntu| (*way, *copy, ubuntu))));
        for (way, copy, ubuntu) in cases {
            let words: Vec<&str> = Some(way).filter(|way| !way.is_empty()).into_iter().collect();
            let left: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with("rd.overlay")).collect();
            let said = Files { conf: copy, copy, ubuntu };
            let dir = made_of(loader, &words, said);
            let case = format!("{}: {way}, {copy:?}, {ubuntu:?}", loader.name);
            let mut code = off_of(dir.path(), loader.kind);
            if loader.kind == Kind::GrubD {
                // no program of that tree is run: what update-grub then writes
                let cfg = (loader.files)(&left).into_iter().find(|(path, _)| path.ends_with("grub.cfg")).unwrap().1;
                fs::write(dir.path().join("boot/grub/grub.cfg"), cfg.replace(" rd.overlay=dir:/wrong", "")).unwrap();
                code = off_of(dir.path(), loader.kind);
            }
            let boot = look(dir.path(), loader);
            let truth = initramfs("x", &left, said).asks_for_overlay();
            assert_eq!(boot.verdict() == Verdict::Enabled, truth, "{case}: {}", boot.says());
            assert_eq!(code == Exit::Good, !truth, "{case}: {}", boot.says());
            assert!(!truth || !boot.asked().is_empty(), "{case}");
            if copy.contains("tmpfs") {
                assert!(boot.asked().iter().any(|asker| asker.source == "/etc/overlayroot-rs.conf:1"), "{case}");
                // our own file is silent now: with an initramfs made anew nothing of ours is left
                let conf = fs::read_to_string(dir.path().join("etc/overlayroot-rs.conf")).unwrap();
                assert_eq!(conf, "#rd.overlay=tmpfs\n");
                for path in ["boot/initrd.img-6.1", "boot/firmware/initrd.img-6.1"] {
                    if dir.path().join(path).exists() {
                        fs::write(dir.path().join(path), image(&conf)).unwrap();
                    }
                }
                let boot = look(dir.path(), loader);
                let truth = initramfs("x", &left, Files { copy: "", ..said }).asks_for_overlay();
                assert_eq!(boot.verdict() == Verdict::Enabled, truth, "{case}: {}", boot.says());
                assert_eq!(off_of(dir.path(), loader.kind) == Exit::Good, !truth, "{case}");
            }
        }
    }
}

/// One of each kind; each is written to a disk.
const WAYS_LEFT: [&str; 7] = [
    "",
    "rd.overlay",
    "rd.overlay=\"LABEL=my disk\"",
    "rd.overlay=0",
    "overlayroot=tmpfs",
    "overlayroot=disabled",
    "rd.live.overlay.overlayfs",
];

#[test]
fn enable_is_judged_by_the_image_each_time() {
    let loader = LOADERS.iter().find(|loader| loader.kind == Kind::Bls).unwrap();
    for image in ["none\n", "garbage\n"] {
        let dir = made_of(loader, &[], Files { conf: "", copy: "", ubuntu: "" });
        fs::write(dir.path().join("boot/initrd.img-6.1"), image).unwrap();
        for _ in 0..2 {
            let asked = Enable { arguments: Vec::new(), force: false, common: common(dir.path(), false) };
            enable_with(&asked, &Texts).unwrap();
            let (job, given) = (loader_files::tree(dir.path().to_str().unwrap()).unwrap(), [ask::DEFAULT.to_owned()]);
            let given = ask::parse(&given, &[]).unwrap();
            let plan = plan(&job, Kind::Bls, &given).unwrap();
            let common = common(dir.path(), false);
            let (reason, lister) = (String::new(), &Texts);
            let end = checked::after(&Job {
                common: &common,
                tree: job,
                kind: Kind::Bls,
                reason,
                plan,
                given: &given,
                lister,
            });
            assert!(
                end.says().starts_with("NOT enabled") || end.says().starts_with("set, but NOT KNOWN"),
                "{}",
                end.says()
            );
        }
    }
}
