// SPDX-License-Identifier: GPL-2.0-or-later
//! Whole hosts of each kind: what enable makes of their files, and that disable gives the same bytes back.
use super::ask::parse;
use super::state::{check, state};
use super::*;

fn tree(files: &[(&str, &str)], programs: &[&str]) -> Tree {
    let files = files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let programs = programs.iter().map(|name| (*name).to_owned()).collect();
    Tree { files, programs, live: true, ..Tree::default() }
}

fn given(words: &[&str]) -> Vec<ask::Given> {
    parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>(), &[]).unwrap()
}

fn apply(tree: &Tree, plan: &Plan) -> Tree {
    let mut tree = tree.clone();
    for edit in &plan.edits {
        assert_eq!(tree.files.get(&edit.path), edit.before.as_ref(), "{}", edit.path);
        match &edit.after {
            Some(after) => tree.files.insert(edit.path.clone(), after.clone()),
            None => tree.files.remove(&edit.path),
        };
    }
    tree
}

fn text(tree: &Tree, path: &str) -> String {
    String::from_utf8(tree.files.get(path).unwrap_or_else(|| panic!("no {path}")).clone()).unwrap()
}

/// Enables, checks the entries, does it again without effect, and disables: the files are those of the beginning.
fn there_and_back(before: &Tree, kind: Kind, words: &[&str]) -> Tree {
    assert_eq!(before.detect().unwrap().0, kind);
    let args = given(words);
    let on = plan(before, kind, &args).unwrap();
    let after = apply(before, &on);
    if kind != Kind::GrubD {
        check(&state(&after, kind), &on.want).unwrap();
        assert!(plan(&after, kind, &args).unwrap().is_done());
    }
    let back = apply(&after, &plan(&after, kind, &[]).unwrap());
    assert_eq!(back.files, before.files);
    after
}

const ENTRY: &str = "title Fedora\nversion 6.9\nlinux /vmlinuz-6.9\noptions root=UUID=1 ro rhgb quiet\n";

fn block(kernelopts: &str) -> String {
    let mut text = format!("# GRUB Environment Block\nsaved_entry=b\n{kernelopts}");
    text.push_str(&"#".repeat(1024 - text.len()));
    text
}

#[test]
fn entries_with_grub() {
    let before = tree(
        &[
            ("boot/loader/entries/a.conf", ENTRY),
            ("boot/loader/entries/b.conf", &ENTRY.replace("6.9", "6.10")),
            ("boot/loader/entries/memtest.conf", "title memtest\nefi /memtest.efi\n"),
            ("boot/grub2/grubenv", &block("")),
            ("etc/kernel/cmdline", "root=UUID=1 ro rhgb quiet\n"),
            ("etc/default/grub", "GRUB_CMDLINE_LINUX=\"rhgb quiet\"\n"),
        ],
        &[],
    );
    let after = there_and_back(&before, Kind::Bls, &["rd.overlay=\"LABEL=my disk\"", "rd.overlay.reset"]);
    let want = "options root=UUID=1 ro rhgb quiet rd.overlay=\"LABEL=my disk\" rd.overlay.reset\n";
    assert!(text(&after, "boot/loader/entries/a.conf").ends_with(want));
    assert!(text(&after, "etc/kernel/cmdline").starts_with("root=UUID=1 ro rhgb quiet rd.overlay="));
    assert_eq!(text(&after, "boot/loader/entries/memtest.conf"), "title memtest\nefi /memtest.efi\n");
    assert_eq!(state(&after, Kind::Bls).default, Some(1));
}

#[test]
fn entries_whose_arguments_stand_in_the_environment_block() {
    let entry = ENTRY.replace("root=UUID=1 ro rhgb quiet", "$kernelopts $tuned_params");
    let before = tree(
        &[("boot/loader/entries/a.conf", &entry), ("boot/grub2/grubenv", &block("kernelopts=root=UUID=1 ro \n"))],
        &[],
    );
    let after = there_and_back(&before, Kind::Bls, &["rd.overlay=tmpfs"]);
    assert_eq!(text(&after, "boot/loader/entries/a.conf"), entry);
    assert!(text(&after, "boot/grub2/grubenv").contains("\nkernelopts=root=UUID=1 ro  rd.overlay=tmpfs\n#"));
}

#[test]
fn entries_without_grub() {
    let own = format!("{ENTRY}machine-id 0123456789abcdef0123456789abcdef\n");
    let other = own.replace("0123456789abcdef0123456789abcdef", &"f".repeat(32));
    let before = tree(
        &[
            ("efi/loader/entries/own-6.9.conf", &own),
            ("efi/loader/entries/other.conf", &other),
            ("etc/kernel/cmdline", "root=UUID=1 ro"),
            ("etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
        ],
        &["kernel-install"],
    );
    let after = there_and_back(&before, Kind::KernelInstall, &["rd.overlay", "rd.overlay.hostname=n-${serial}"]);
    assert!(text(&after, "efi/loader/entries/own-6.9.conf").contains(" rd.overlay rd.overlay.hostname=n-${serial}\n"));
    assert_eq!(text(&after, "efi/loader/entries/other.conf"), other);
    assert_eq!(text(&after, "etc/kernel/cmdline"), "root=UUID=1 ro rd.overlay rd.overlay.hostname=n-${serial}");
}

#[test]
fn unified_images_only() {
    let before = tree(&[("etc/kernel/cmdline", "root=UUID=1\n")], &["kernel-install"]);
    there_and_back(&before, Kind::KernelInstall, &["rd.overlay=tmpfs"]);
    let on = plan(&before, Kind::KernelInstall, &given(&["rd.overlay=tmpfs"])).unwrap();
    assert!(on.todo[0].starts_with("kernel-install add-all"));
}

#[test]
fn grubby_gets_what_differs() {
    let one = ENTRY.replace("quiet", "quiet rd.overlay.reset rd.overlay=LABEL=x");
    let before =
        tree(&[("boot/loader/entries/a.conf", &one), ("etc/kernel/cmdline", "root=UUID=1 rd.overlay\n")], &["grubby"]);
    let block = block("").into_bytes();
    let files = before.files.into_iter().chain([("boot/grub2/grubenv".to_owned(), block)]).collect();
    let before = Tree { files, ..before };
    assert_eq!(before.detect().unwrap().0, Kind::Grubby);
    let on = plan(&before, Kind::Grubby, &given(&["rd.overlay=tmpfs:size=1G", "rd.overlay.timeout=5"])).unwrap();
    assert_eq!(
        on.commands,
        [[
            "grubby",
            "--update-kernel=ALL",
            "--remove-args=rd.overlay.reset",
            "--args=rd.overlay=tmpfs:size=1G rd.overlay.timeout=5"
        ]]
    );
    assert_eq!(on.touched, ["boot/loader/entries/a.conf", "boot/grub2/grubenv", "etc/kernel/cmdline"]);
    assert_eq!(on.edits[0].after.as_deref(), Some(&b"root=UUID=1 rd.overlay=tmpfs:size=1G rd.overlay.timeout=5\n"[..]));
    let off = plan(&before, Kind::Grubby, &[]).unwrap();
    assert_eq!(off.commands, [["grubby", "--update-kernel=ALL", "--remove-args=rd.overlay rd.overlay.reset"]]);
    // of another tree the entries are edited
    let image = Tree { live: false, ..before };
    assert_eq!(image.detect().unwrap().0, Kind::Bls);
}

#[test]
fn grubby_has_nothing_to_do_twice() {
    let one = ENTRY.replace("quiet", "quiet rd.overlay=tmpfs");
    let host = tree(&[("boot/loader/entries/a.conf", &one)], &["grubby"]);
    assert!(plan(&host, Kind::Grubby, &given(&["rd.overlay=tmpfs"])).unwrap().is_done());
    let plain = tree(&[("boot/loader/entries/a.conf", ENTRY)], &["grubby"]);
    assert!(plan(&plain, Kind::Grubby, &[]).unwrap().is_done());
}

#[test]
fn debian() {
    let before = tree(
        &[
            ("etc/default/grub", "GRUB_CMDLINE_LINUX_DEFAULT=\"quiet\"\nGRUB_CMDLINE_LINUX=\"\"\n"),
            ("etc/default/grub.d/40-cloud.cfg", "GRUB_CMDLINE_LINUX=\"console=ttyS0\"\n"),
            ("boot/grub/grub.cfg", "linux /vmlinuz root=x quiet\n"),
        ],
        &["update-grub"],
    );
    let after = there_and_back(&before, Kind::GrubD, &["rd.overlay=LABEL=x", "rd.overlay.hostname=n-${serial}"]);
    let want = "GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX rd.overlay=LABEL=x 'rd.overlay.hostname=n-\\${serial}'\"\n";
    assert!(text(&after, grub_files::DROP_IN).ends_with(want));
    let on = plan(&before, Kind::GrubD, &given(&["rd.overlay=tmpfs"])).unwrap();
    assert_eq!(
        (on.commands, on.touched),
        (vec![vec!["update-grub".to_owned()]], vec!["boot/grub/grub.cfg".to_owned()])
    );
    // configured, but grub.cfg is not made anew: it still is to be run
    let mut again = apply(&before, &plan(&before, Kind::GrubD, &given(&["rd.overlay=tmpfs"])).unwrap());
    let twice = plan(&again, Kind::GrubD, &given(&["rd.overlay=tmpfs"])).unwrap();
    assert_eq!((twice.edits.len(), twice.commands.len()), (0, 1));
    again.files.insert("boot/grub/grub.cfg".into(), b"linux /vmlinuz root=x rd.overlay=tmpfs quiet\n".to_vec());
    assert!(plan(&again, Kind::GrubD, &given(&["rd.overlay=tmpfs"])).unwrap().is_done());
    // put into the file by hand, as the README says
    let by_hand = tree(&[("etc/default/grub", "GRUB_CMDLINE_LINUX=\"a rd.overlay\"\n")], &["update-grub"]);
    let off = apply(&by_hand, &plan(&by_hand, Kind::GrubD, &[]).unwrap());
    assert_eq!(text(&off, "etc/default/grub"), "GRUB_CMDLINE_LINUX=\"a\"\n");
}

#[test]
fn raspberry_pi() {
    let before = tree(
        &[
            ("boot/firmware/cmdline.txt", "console=tty1 root=PARTUUID=1-02 rootwait overlayroot=tmpfs \n"),
            ("boot/cmdline.txt", "DO NOT EDIT THIS FILE\n"),
            ("boot/firmware/config.txt", "[all]\nos_prefix=new/\n"),
        ],
        &[],
    );
    let after = there_and_back(&before, Kind::CmdlineTxt, &["rd.overlay=tmpfs:size=50%"]);
    let want = "console=tty1 root=PARTUUID=1-02 rootwait overlayroot=tmpfs  rd.overlay=tmpfs:size=50%\n";
    assert_eq!(text(&after, "boot/firmware/cmdline.txt"), want);
    let on = plan(&before, Kind::CmdlineTxt, &given(&["rd.overlay"])).unwrap();
    assert!(on.notes.iter().any(|note| note.contains("os_prefix=new/")), "{on:?}");
    assert!(on.notes.iter().any(|note| note.starts_with("overlayroot=tmpfs is on the command line, too")), "{on:?}");
}

#[test]
fn raspberry_pi_with_debian_s_raspi_firmware() {
    let hook = ". /etc/default/raspi-firmware\ncat >/boot/firmware/cmdline.txt <<EOF\n";
    let base = [
        ("boot/firmware/cmdline.txt", "console=tty0 root=LABEL=RASPIROOT rw rootwait \n"),
        ("boot/firmware/config.txt", "initramfs initrd.img-6.12\n"),
        (raspi_hook::HOOK, hook),
    ];
    for (settings, extra) in [
        (Some("#CMA=64M\nROOTPART=LABEL=RASPIROOT\n"), Some("ipv6.disable=1\n")),
        (Some("#CMA=64M\n"), None),
        (None, Some("quiet")),
        (None, None),
    ] {
        let mut files = base.to_vec();
        files.extend(settings.map(|text| (raspi_hook::DEFAULT, text)));
        files.extend(extra.map(|text| (raspi_hook::EXTRA, text)));
        let before = tree(&files, &["dracut"]);
        let after = there_and_back(&before, Kind::RaspiFirmware, &["rd.overlay=LABEL=x", "rd.overlay.fallback=halt"]);
        let ours = "rd.overlay=LABEL=x rd.overlay.fallback=halt";
        let line = format!("console=tty0 root=LABEL=RASPIROOT rw rootwait  {ours}\n");
        assert_eq!(text(&after, "boot/firmware/cmdline.txt"), line);
        // What the hook then writes has the same.
        assert!(text(&after, raspi_hook::EXTRA).trim_end().ends_with(ours));
        assert_eq!(state(&after, Kind::RaspiFirmware).source.unwrap().1.join(" "), ours);
        assert!(raspi_hook::runs_in_overlay(&before) && !raspi_hook::runs_in_overlay(&after));
    }
    // Raspberry Pi OS's
    let copies = ". /etc/default/raspi-firmware\ncp $image_path /boot/firmware/kernel8.img\n";
    let before =
        tree(&[base[0], base[1], (raspi_hook::HOOK, copies), (raspi_hook::DEFAULT, "KERNEL=auto\n")], &["dracut"]);
    let after = there_and_back(&before, Kind::CmdlineTxt, &["rd.overlay"]);
    assert!(raspi_hook::runs_in_overlay(&before) && !raspi_hook::runs_in_overlay(&after));
    assert!(!after.files.contains_key(raspi_hook::EXTRA));
    let written = ("boot/firmware/cmdline.txt", "console=tty0 root=LiveOS_rootfs rw rootwait rd.overlay\n");
    let lost = tree(&[written, base[1], base[2], (raspi_hook::DEFAULT, "ROOTPART=LABEL=RASPIROOT\n")], &[]);
    let off = apply(&lost, &plan(&lost, Kind::RaspiFirmware, &[]).unwrap());
    assert_eq!(text(&off, written.0), "console=tty0 root=LABEL=RASPIROOT rw rootwait\n");
    let nowhere = tree(&[written, base[1], base[2]], &[]);
    assert!(plan(&nowhere, Kind::RaspiFirmware, &[]).unwrap_err().starts_with("/boot/firmware/cmdline.txt: "));
}

#[test]
fn u_boot() {
    let file = "default l0\nlabel l0\n\tlinux /a\n\tappend root=x ro\nlabel l0r\n\tappend root=x ro single\n";
    let before = tree(&[("boot/extlinux/extlinux.conf", file)], &[]);
    there_and_back(&before, Kind::Extlinux, &["rd.overlay=tmpfs"]);
}

#[test]
fn no_boot_loader_at_all() {
    assert!(tree(&[], &[]).detect().unwrap_err().contains("unsupported boot loader"));
    assert!(tree(&[(DEFAULT_GRUB, "")], &[]).detect().unwrap_err().contains("grub-mkconfig"));
    for kind in Kind::ALL.iter().filter(|kind| !matches!(kind, Kind::Grubby | Kind::GrubD)) {
        assert!(plan(&tree(&[], &[]), *kind, &given(&["rd.overlay"])).is_err(), "{kind:?}");
    }
}

#[test]
fn the_drop_in_of_dracut() {
    let none = tree(&[], &[]);
    let (edit, _) = module(&none, true);
    let with = apply(&none, &Plan { edits: vec![edit.unwrap()], ..Plan::default() });
    assert_eq!(text(&with, MODULE), MODULE_TEXT);
    assert_eq!(module(&with, true), (None, None));
    assert_eq!(module(&with, false).0.unwrap().after, None);
    assert_eq!(module(&none, false), (None, None));
    let changed = tree(&[(MODULE, "add_dracutmodules+=\" overlayroot-rs \"\noverlayroot_image=yes\n")], &[]);
    assert_eq!(module(&changed, true), (None, None));
    assert!(module(&changed, false).1.unwrap().contains("stays"));
    let taken_out = MODULE_TEXT.replace("\nadd_dracutmodules", "\n#add_dracutmodules");
    for text in ["# nothing\n", &taken_out] {
        assert!(module(&tree(&[(MODULE, text)], &[]), true).1.unwrap().contains("does not add"), "{text}");
    }
}
