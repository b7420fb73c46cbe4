// SPDX-License-Identifier: GPL-2.0-or-later
//! On trees in temporary directories, as image builders have them.
use super::*;
use overlayroot_core::loader::grub::DROP_IN;
use overlayroot_core::loader::{CMDLINE_TXT, MODULE};
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

fn on(dir: &Path, words: &[&str]) -> ExitCode {
    let arguments = words.iter().map(|word| (*word).to_owned()).collect();
    enable(&Enable { arguments, common: common(dir, false) }).unwrap()
}

fn off(dir: &Path) -> ExitCode {
    disable(&Disable { common: common(dir, false) }).unwrap()
}

#[test]
fn a_debian_tree_and_back() {
    let dir = made(&[("etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"\n"), ("etc/default/grub.d/x.cfg", "")]);
    let before = files(dir.path());
    assert_eq!(on(dir.path(), &[]), ExitCode::SUCCESS);
    let after = files(dir.path());
    assert!(String::from_utf8_lossy(&after[DROP_IN]).contains("$GRUB_CMDLINE_LINUX rd.overlay=tmpfs"));
    assert!(after.contains_key(MODULE));
    assert_eq!(after.len(), before.len() + 2);
    assert_eq!(on(dir.path(), &[]), ExitCode::SUCCESS);
    assert_eq!(files(dir.path()), after);
    assert_eq!(off(dir.path()), ExitCode::SUCCESS);
    assert_eq!(files(dir.path()), before);
}

#[test]
fn a_pi_s_card_keeps_a_copy() {
    let line = "console=tty1 root=PARTUUID=1-02 rootwait\n";
    let dir = made(&[("boot/firmware/cmdline.txt", line), ("boot/firmware/config.txt", "")]);
    assert_eq!(on(dir.path(), &["rd.overlay=LABEL=x", "rd.overlay.fallback=halt"]), ExitCode::SUCCESS);
    let after = files(dir.path());
    let text = String::from_utf8_lossy(&after[CMDLINE_TXT[0]]).into_owned();
    assert_eq!(text, "console=tty1 root=PARTUUID=1-02 rootwait rd.overlay=LABEL=x rd.overlay.fallback=halt\n");
    assert_eq!(after["boot/firmware/cmdline.txt.overlayctl-old"], line.as_bytes());
    assert_eq!(off(dir.path()), ExitCode::SUCCESS);
    assert_eq!(files(dir.path())[CMDLINE_TXT[0]], line.as_bytes());
}

#[test]
fn what_is_refused_changes_nothing() {
    let dir = made(&[("boot/cmdline.txt", "root=x\n"), ("boot/config.txt", "")]);
    let before = files(dir.path());
    for words in [&["rd.overlay=0"][..], &["quiet"], &["rd.overlay=vdb"]] {
        assert_eq!(on(dir.path(), words), ExitCode::FAILURE);
    }
    let dry = Enable { arguments: Vec::new(), common: common(dir.path(), true) };
    assert_eq!(enable(&dry).unwrap(), ExitCode::SUCCESS);
    assert_eq!(files(dir.path()), before);
    assert_eq!(on(made(&[]).path(), &[]), ExitCode::FAILURE);
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
    let asked = Enable { arguments: Vec::new(), common: common(dir.path(), false) };
    let error = format!("{:#}", enable(&asked).unwrap_err());
    assert!(error.starts_with("nothing was changed: every file is as it was"), "{error}");
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
    assert_eq!(on(dir.path(), &[]), ExitCode::SUCCESS);
    let written = fs::read_to_string(dir.path().join("boot/efi/EFI/fedora/grubenv")).unwrap();
    assert!(written.contains("kernelopts=root=x rd.overlay=tmpfs\n#") && written.len() == 1024);
    assert!(dir.path().join("boot/grub2/grubenv").is_symlink());
    assert_eq!(off(dir.path()), ExitCode::SUCCESS);
    assert_eq!(fs::read_to_string(dir.path().join("boot/efi/EFI/fedora/grubenv")).unwrap(), block);
}

#[test]
fn the_words_are_the_shell_s() {
    let words = ["grubby", "--args=a b"].map(str::to_owned);
    assert_eq!(shell(&words), "grubby '--args=a b'");
    assert_eq!(kind("grub.d").unwrap(), Kind::GrubD);
    assert!(kind("lilo").unwrap_err().starts_with("one of grubby, bls"));
}
