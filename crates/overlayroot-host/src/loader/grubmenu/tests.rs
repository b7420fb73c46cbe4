// SPDX-License-Identifier: GPL-2.0-or-later
//! Menus as grub-mkconfig writes them, and which entry GRUB takes.
use super::*;

fn names(text: &str) -> Vec<String> {
    menu(text.as_bytes(), None).entries.into_iter().map(|entry| entry.name).collect()
}

#[test]
fn of_a_whole_menu_only_this_system_s_kernels() {
    let text = "### BEGIN /etc/grub.d/10_linux ###\nlinux /a x\n### END /etc/grub.d/10_linux ###\n\
                ### BEGIN /etc/grub.d/30_os-prober ###\nlinux /other y\n### END /etc/grub.d/30_os-prober ###\n\
                linux /boot/memtest86+x64.bin\n";
    assert_eq!(names(text), ["/a"]);
}

#[test]
fn kernels_with_their_lines() {
    let text = "menuentry 'Debian' {\n\tlinux\t/boot/vmlinuz-6.1 root=UUID=1 ro rd.overlay=tmpfs 'rd.overlay.hostname=a b' quiet $vt\n\
                \tinitrd /boot/initrd.img-6.1\n}\n\tlinux /boot/vmlinuz-6.1 root=UUID=1 ro single\n";
    let menu = menu(text.as_bytes(), None);
    assert_eq!((menu.entries.len(), menu.default), (2, Ok(0)));
    assert_eq!(menu.entries[0].name, "/boot/vmlinuz-6.1");
    assert_eq!(menu.entries[0].ours(), ["rd.overlay=tmpfs", "rd.overlay.hostname=a b"]);
    assert_eq!(menu.entries[0].initrd, ["/boot/initrd.img-6.1"]);
    let line = String::from_utf8(menu.entries[0].line.clone()).unwrap();
    assert_eq!(line, "root=UUID=1 ro rd.overlay=tmpfs \"rd.overlay.hostname=a b\" quiet");
    assert_eq!(menu.entries[1].ours(), Vec::<String>::new());
}

const DEBIAN: &str = "\
if [ -s $prefix/grubenv ]; then\n  load_env\nfi\nif [ \"${next_entry}\" ] ; then\n   set default=\"${next_entry}\"\n\
else\n   set default=\"DEFAULT\"\nfi\nfunction savedefault {\n  saved_entry=\"${chosen}\"\n}\n\
### BEGIN /etc/grub.d/10_linux ###\n\
menuentry 'Debian GNU/Linux' --class debian $menuentry_id_option 'simple' {\n\tlinux /vmlinuz-2 root=x new\n\tinitrd /initrd.img-2\n}\n\
submenu 'Advanced options' $menuentry_id_option 'advanced' {\n\
\tmenuentry 'with Linux 2' --class debian $menuentry_id_option 'two' {\n\t\tlinux /vmlinuz-2 root=x new\n\t}\n\
\tmenuentry 'with Linux 1' --class debian $menuentry_id_option 'one' {\n\t\tlinux /vmlinuz-1 root=x old\n\t}\n}\n\
### END /etc/grub.d/10_linux ###\n### BEGIN /etc/grub.d/30_os-prober ###\n\
menuentry 'Other' --class x {\n\tlinux /other root=y\n}\n### END /etc/grub.d/30_os-prober ###\n";

#[test]
fn the_entry_that_boots_if_nobody_chooses() {
    let block = |text: &str| format!("# GRUB Environment Block\n{text}####").into_bytes();
    let chosen = |default: &str, env: &str| {
        let menu = menu(DEBIAN.replace("DEFAULT", default).as_bytes(), Some(&block(env)));
        menu.default.map(|at| menu.entries[at].args.last().cloned().unwrap())
    };
    let ok = |word: &str| Ok(word.to_owned());
    for (default, env, want) in [
        ("0", "", "new"),
        ("Debian GNU/Linux", "", "new"),
        ("1>1", "", "old"),
        ("advanced>one", "", "old"),
        ("Advanced options>with Linux 1", "", "old"),
        ("${saved_entry}", "saved_entry=advanced>one\n", "old"),
        ("${saved_entry}", "saved_entry=\n", "new"),
        ("${saved_entry}", "", "new"),
        // a name that is gone: GRUB takes the first, of a submenu that of the submenu
        ("none", "", "new"),
        ("none>one", "", "new"),
        ("0", "next_entry=advanced>one\n", "old"),
        // what was saved does not count where the menu does not ask for it
        ("0", "saved_entry=advanced>one\n", "new"),
    ] {
        assert_eq!(chosen(default, env), ok(want), "{default} {env}");
    }
    assert_eq!(menu(DEBIAN.replace("DEFAULT", "advanced>gone").as_bytes(), None).default, Ok(1));
    assert!(chosen("2", "").unwrap_err().contains("boots no kernel of this system"));
    assert!(chosen("1", "").unwrap_err().contains("a menu of its own"));
}

#[test]
fn what_grub_hands_over() {
    let words = ["a", "b c", "d\"e", "f\\g"].map(str::to_owned);
    assert_eq!(String::from_utf8(joined(&words)).unwrap(), "a \"b c\" d\\\"e f\\\\g");
    let block = b"# GRUB Environment Block\nkernelopts=root=x rd.overlay=\"LABEL=a b\"\n####";
    let got = expanded(&["$kernelopts", "${none}", "n-${serial}"].map(str::to_owned), Some(block));
    assert_eq!(got, ["root=x", "rd.overlay=LABEL=a b", "n-${serial}"]);
}

#[test]
fn a_submenu_whose_entries_are_in_another_file_is_not_known() {
    let text = "set default=\"snapshots>one\"\nmenuentry 'Arch' {\n\tlinux /vmlinuz root=x\n}\n\
                submenu 'snapshots' {\n\tconfigfile \"${prefix}/grub-btrfs.cfg\"\n}\n";
    assert!(menu(text.as_bytes(), None).default.unwrap_err().contains("the default, snapshots, is a menu of its own"));
}

#[test]
fn an_entry_of_two_kernels_is_not_known_unless_they_are_the_same() {
    let entry = |second: &str| {
        format!(
            "menuentry 'Ubuntu' {{\n\tif [ \"${{initrdfail}}\" = 1 ]; then\n\t  linux /vmlinuz root=x\n\t  initrd /initrd.img\n\
             \telse\n\t  linux /vmlinuz {second}\n\tfi\n}}\n"
        )
    };
    let told = |text: &str| menu(text.as_bytes(), None).default;
    let bare = told(&entry("root=x panic=-1")).unwrap_err();
    assert!(bare.contains("the default, Ubuntu, has 2 kernels, one without an initramfs"), "{bare}");
    assert_eq!(told(&entry("root=x\n\tinitrd /initrd.img")), Ok(0));
    let differ = told(&entry("root=y\n\tinitrd /initrd.img")).unwrap_err();
    assert!(differ.contains("has 2 kernels; which"), "{differ}");
}
