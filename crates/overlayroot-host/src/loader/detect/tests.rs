// SPDX-License-Identifier: GPL-2.0-or-later
//! Hosts on which two boot loaders have left their files.
use crate::loader::ask::parse;
use crate::loader::handed::handed;
use crate::loader::state::state;
use crate::loader::*;

const MENU: &str =
    "set default=\"0\"\nmenuentry 'Debian' {\n\tlinux /vmlinuz-6.1 root=x\n\tinitrd /initrd.img-6.1\n}\n";
const ENTRY: &str = "title Debian\nlinux /m/linux\ninitrd /m/initrd\noptions root=x rd.overlay\n";

fn tree(files: &[(&str, &str)], programs: &[&str]) -> Tree {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let programs = programs.iter().map(|name| (*name).to_owned()).collect();
    Tree { files, programs, live: true, ..Tree::default() }
}

fn started_by(mut tree: Tree, name: &str) -> Tree {
    let wide = format!("{name}\0").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    tree.files.insert(EFI_LOADER.to_owned(), [vec![6, 0, 0, 0], wide].concat());
    tree
}

fn kind(tree: &Tree) -> Result<Kind, String> {
    tree.detect().map(|(kind, _)| kind)
}

#[test]
fn entries_beside_a_menu_of_grub_s_own() {
    let both = || {
        let files = [
            ("boot/grub/grub.cfg", MENU),
            ("etc/default/grub", ""),
            ("boot/efi/loader/entries/m-6.1.conf", ENTRY),
            ("etc/kernel/cmdline", "root=x"),
        ];
        tree(&files, &["update-grub", "kernel-install"])
    };
    let why = kind(&both()).unwrap_err();
    assert!(why.contains("which of the two boots is not known; say it: --boot-loader"), "{why}");
    assert_eq!(kind(&started_by(both(), "systemd-boot 257.8-1")), Ok(Kind::KernelInstall));
    assert_eq!(kind(&started_by(both(), "GRUB 2.12")), Ok(Kind::GrubD));
    assert_eq!(kind(&Tree { no_efi: true, ..both() }), Ok(Kind::GrubD));
    // Whoever is named: what GRUB boots is no entry.
    let grub = started_by(both(), "GRUB 2.12");
    assert!(handed(&grub, &state(&grub, Kind::Bls)).unwrap_err().contains("a menu of its own"));
    assert_eq!(handed(&grub, &state(&grub, Kind::GrubD)).unwrap().line, b"root=x");
    let other = started_by(both(), "systemd-boot 257");
    assert_eq!(handed(&other, &state(&other, Kind::KernelInstall)).unwrap().line, b"root=x rd.overlay");
    // The same for a menu without blscfg where grubby is installed.
    let rhel = tree(&[("boot/grub2/grub.cfg", MENU), ("boot/loader/entries/a.conf", ENTRY)], &["grubby"]);
    assert!(handed(&rhel, &state(&rhel, kind(&rhel).unwrap())).unwrap_err().contains("a menu of its own"));
}

#[test]
fn a_grub_that_reads_entries() {
    let menu = "### BEGIN /etc/grub.d/10_linux ###\ninsmod blscfg\nblscfg\n### END /etc/grub.d/10_linux ###\n";
    let fedora = tree(&[("boot/grub2/grub.cfg", menu), ("boot/loader/entries/a.conf", ENTRY)], &[]);
    assert_eq!(kind(&fedora), Ok(Kind::Bls));
    assert_eq!(handed(&fedora, &state(&fedora, Kind::Bls)).unwrap().line, b"root=x rd.overlay");
    // A configuration alone is none.
    let left = tree(&[("etc/default/grub", ""), ("efi/loader/entries/a.conf", ENTRY)], &["kernel-install"]);
    assert_eq!(kind(&left), Ok(Kind::KernelInstall));
}

#[test]
fn unified_images_beside_entries_that_say_the_same() {
    let files =
        [("efi/loader/entries/a.conf", ENTRY), ("efi/loader/entries/b.conf", ENTRY), ("etc/kernel/cmdline", "root=x")];
    let entries = tree(&files, &["kernel-install"]);
    assert!(handed(&entries, &state(&entries, Kind::KernelInstall)).is_ok());
    let unified = Tree { unified: ["linux.efi".to_owned()].into(), ..entries };
    let why = handed(&unified, &state(&unified, Kind::KernelInstall)).unwrap_err();
    assert!(why.contains("which entry boots is not known"), "{why}");
    let on = plan(&unified, Kind::KernelInstall, &parse(&["rd.overlay=tmpfs".to_owned()], &[]).unwrap()).unwrap();
    assert!(on.todo.iter().any(|todo| todo.starts_with("kernel-install add-all")), "{on:?}");
}

#[test]
fn u_boot_on_a_pi() {
    let files = [
        ("boot/firmware/config.txt", "kernel=u-boot.bin\n"),
        ("boot/firmware/cmdline.txt", "root=x\n"),
        (EXTLINUX, "label l0\n\tlinux /a\n\tappend root=x\n"),
    ];
    assert_eq!(kind(&tree(&files, &[])), Ok(Kind::Extlinux));
    assert_eq!(kind(&tree(&files[..2], &[])), Ok(Kind::CmdlineTxt));
    let alone = tree(&files[..2], &[]);
    assert!(handed(&alone, &state(&alone, Kind::CmdlineTxt)).unwrap_err().contains("reads its own files"));
}

#[test]
fn ubuntu_s_images_for_clouds_boot_without_an_initramfs() {
    let given = parse(&["rd.overlay=tmpfs".to_owned()], &[]).unwrap();
    let todo = |text: &str, later: &str| {
        let files = [
            ("etc/default/grub", "GRUB_CMDLINE_LINUX=\"\"\n"),
            ("etc/default/grub.d/40-force-partuuid.cfg", text),
            ("etc/default/grub.d/99-mine.cfg", later),
        ];
        plan(&tree(&files, &["update-grub"]), Kind::GrubD, &given).unwrap().todo
    };
    let forced = todo("# clouds\nGRUB_FORCE_PARTUUID=1234-5678\n", "");
    assert!(
        forced.len() == 1 && forced[0].starts_with("/etc/default/grub.d/40-force-partuuid.cfg:2 sets"),
        "{forced:?}"
    );
    assert_eq!(todo("#GRUB_FORCE_PARTUUID=1234\n", ""), Vec::<String>::new());
    assert_eq!(todo("GRUB_FORCE_PARTUUID=1234\n", "GRUB_FORCE_PARTUUID=\n"), Vec::<String>::new());
}
