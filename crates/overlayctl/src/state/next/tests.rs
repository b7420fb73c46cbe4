// SPDX-License-Identifier: GPL-2.0-or-later
//! Every way to ask for an overlay, through every boot loader: what is said of the next boot is what the initramfs
//! decides for exactly the command line and the files that it gets.
use super::loaders_tests::*;
use super::*;
use crate::commands::{is_enabled, plan};
use crate::output::exit::Exit;
use overlayroot_core::facts::{Kernel, Root};
use overlayroot_host::next::Verdict;

/// What the parser of the initramfs makes of exactly this line and these files.
pub fn initramfs(from: &str, words: &[&str], said: Files) -> Config {
    let source = |name: &str, text: &str| if text.is_empty() { Vec::new() } else { vec![Source::new(name, text)] };
    Config::read(&Inputs {
        cmdline: vec![Source::handed(from, kernel(words))],
        conf: source("/etc/overlayroot-rs.conf", said.copy),
        ubuntu: source("/etc/overlayroot.conf", said.ubuntu),
    })
}

fn machine() -> Facts {
    let root = Root { fstype: "ext4".into(), bytes: 32 << 30, free: 16 << 30, ..Root::default() };
    Facts { root: Some(root), kernel: Kernel { overlay: true, ..Kernel::default() }, ..Facts::default() }
}

/// Every verb's words against the initramfs's decision.
fn judged(loader: &Loader, words: &[&str], said: Files) {
    let dir = made(loader, words, said);
    let boot = look(dir.path(), loader);
    let case = format!("{}: {words:?}, copy {:?}, ubuntu {:?}: {}", loader.name, said.copy, said.ubuntu, boot.says());
    if loader.name == "unified images" {
        assert_eq!((boot.verdict(), is_enabled::status(&boot)), (Verdict::Unknown, Exit::No), "{case}");
        assert!(boot.says().starts_with("not known: "), "{case}");
        return;
    }
    let truth = initramfs(&boot.line.as_ref().unwrap().name, words, said);
    assert_eq!(boot.config.upper.value, truth.upper.value, "{case}");
    assert_eq!(decide(&boot.config, &machine()), decide(&truth, &machine()), "{case}");
    let planned = NextBoot { decision: Some(decide(&boot.config, &machine())), ..boot.clone() };
    let (verdict, code) = match decide(&truth, &machine()) {
        // as the initramfs will record it
        Decision::Do(_) if truth.issues.is_empty() => (Verdict::Enabled, Exit::Good),
        Decision::Do(_) | Decision::Instead(..) => (Verdict::Degraded, Exit::No),
        Decision::Off | Decision::NotYet => (Verdict::Disabled, Exit::No),
    };
    assert_eq!((planned.verdict(), is_enabled::status(&planned)), (verdict, code), "{case}");
    let as_asked = !matches!(decide(&truth, &machine()), Decision::Instead(..)) && truth.issues.is_empty();
    assert_eq!(plan::as_asked(&planned, &decide(&boot.config, &machine()), false), as_asked, "{case}");
    // Of another system no device is looked at: what is asked for counts, where it is understood.
    let bad = !truth.issues.is_empty() || matches!(truth.upper.value, Upper::Crypt(_));
    let asks = match (bad && truth.asks_for_overlay(), truth.asks_for_overlay()) {
        (true, _) => Verdict::Degraded,
        (false, true) => Verdict::Enabled,
        (false, false) => Verdict::Disabled,
    };
    assert_eq!(boot.verdict(), asks, "{case}");
    assert_eq!(boot.says() == "plain root, no overlay", !truth.asks_for_overlay(), "{case}");
    let mut lacking = boot.clone();
    lacking.image.module = overlayroot_host::next::Module::Missing("it lacks it".into());
    assert_eq!(lacking.verdict(), Verdict::Disabled, "{case}");
}

#[test]
fn every_way_to_ask_by_every_boot_loader() {
    for loader in &LOADERS {
        for way in WAYS {
            for copy in COPIES {
                for ubuntu in UBUNTUS {
                    let words: Vec<&str> = Some(way).filter(|way| !way.is_empty()).into_iter().collect();
                    judged(loader, &words, Files { conf: copy, copy, ubuntu });
                }
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_the_line_has(picks in proptest::collection::vec(1..WAYS.len(), 0..5), loader in 0..LOADERS.len(), copy in 0..3usize, ubuntu in 0..3usize) {
        let words: Vec<&str> = picks.iter().map(|pick| WAYS[*pick]).collect();
        // the host's file says other than the copy in the image
        judged(&LOADERS[loader], &words, Files { conf: COPIES[2 - copy], copy: COPIES[copy], ubuntu: UBUNTUS[ubuntu] });
    }
}

#[test]
fn what_can_t_be_known_is_never_green() {
    const NONE: Files = Files { conf: "", copy: "", ubuntu: "" };
    for loader in &LOADERS {
        let dir = made(loader, &["rd.overlay"], NONE);
        for path in [IMAGE, "boot/firmware/initrd.img-6.1"] {
            if dir.path().join(path).exists() {
                write(dir.path(), path, "garbage\n");
            }
        }
        let boot = look(dir.path(), loader);
        assert_eq!(boot.verdict(), Verdict::Unknown, "{}: {}", loader.name, boot.says());
        for path in [IMAGE, "boot/firmware/initrd.img-6.1"] {
            let _ = fs::remove_file(dir.path().join(path));
        }
        assert_eq!(look(dir.path(), loader).verdict(), Verdict::Unknown, "{}", loader.name);
    }
    let empty = tempfile::tempdir().unwrap();
    let boot = find(&Query { root: empty.path().to_str().unwrap(), lister: &Texts, ..Query::HERE }).boot;
    assert!(boot.verdict() == Verdict::Unknown && boot.not_known().len() == 2, "{:?}", boot.not_known());
}

#[test]
fn an_image_without_the_module_boots_plain() {
    const NONE: Files = Files { conf: "", copy: "", ubuntu: "" };
    for loader in LOADERS.iter().filter(|loader| loader.name != "unified images") {
        let dir = made(loader, &["rd.overlay"], NONE);
        write(dir.path(), IMAGE, "none\n");
        write(dir.path(), "boot/firmware/initrd.img-6.1", "none\n");
        let boot = look(dir.path(), loader);
        assert_eq!(boot.verdict(), Verdict::Disabled, "{}: {}", loader.name, boot.says());
        assert!(boot.says().contains("although rd.overlay in /"), "{}", boot.says());
    }
    // a Pi whose firmware loads no initramfs
    let pi = LOADERS.iter().find(|loader| loader.kind == Kind::CmdlineTxt).unwrap();
    let dir = made(pi, &["rd.overlay"], NONE);
    write(dir.path(), "boot/firmware/config.txt", "arm_64bit=1\n");
    let boot = look(dir.path(), pi);
    assert!(boot.verdict() == Verdict::Disabled && boot.says().contains("loads no initramfs"), "{}", boot.says());
}
