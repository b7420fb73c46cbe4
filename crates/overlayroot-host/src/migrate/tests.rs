// SPDX-License-Identifier: GPL-2.0-or-later
//! Whole files of each of the others, and the whole files that become of them.
use super::*;

pub(super) fn source(name: &str, text: &str) -> Source {
    Source::new(name, text)
}

pub(super) fn cmdline(text: &str) -> Sources {
    Sources { cmdline: Some(source("/proc/cmdline", text)), ..Sources::default() }
}

/// The new file without its first line, which is always the same; our parser has nothing against it.
pub(super) fn file(sources: &Sources) -> (String, Migrated) {
    let out = migrate(sources, None);
    assert_eq!(out.issues(), Vec::<String>::new(), "{}", out.text());
    let text = out.text();
    let (_, rest) = text.split_once('\n').unwrap();
    (rest.to_owned(), out)
}

#[test]
fn a_tmpfs_with_a_size_is_written_as_the_key_takes_it() {
    let (text, out) = file(&cmdline("overlayroot=tmpfs:size=1G"));
    assert!(text.contains("rd.overlay = tmpfs:size=1G\n"), "{text}");
    assert!(out.issues().is_empty(), "{:?}", out.issues());
}

#[test]
fn nobody() {
    let (text, out) = file(&cmdline("root=LABEL=root quiet"));
    assert_eq!((text.as_str(), out.found.len()), ("", 0));
}

#[test]
fn ubuntu_s_files_and_arguments() {
    let sources = Sources {
        ubuntu: vec![
            source("/etc/overlayroot.conf", "# a comment\noverlayroot_cfgdisk=\"LABEL=X\"\noverlayroot=\"tmpfs\"\n"),
            source(
                "/etc/overlayroot.local.conf",
                "overlayroot=\"device:dev=LABEL=data,timeout=20,swap=1,recurse=0,dir=/a\"\n",
            ),
        ],
        overlayroot: true,
        ..cmdline("root=LABEL=root quiet")
    };
    let (text, out) = file(&sources);
    assert_eq!(
        text,
        "# --- from ubuntu ---\n\
         # not imported: overlayroot=tmpfs in /etc/overlayroot.conf: overruled by /etc/overlayroot.local.conf\n\
         # overlayroot=device:dev=LABEL=data,timeout=20,swap=1,recurse=0,dir=/a (/etc/overlayroot.local.conf)\n\
         rd.overlay = LABEL=data\n\
         rd.overlay.timeout = 20\n\
         # not imported: dir=a: the upper's directory is called overlay here: rename a on the device to keep its content\n\
         # a failure gave the plain root in silence: rd.overlay.fallback = none is the same, but recorded\n\
         # not imported: /etc/overlayroot.conf:2: overlayroot_cfgdisk=\"LABEL=X\": no setting of the overlay\n"
    );
    assert_eq!(out.todo[0], "apt-get purge overlayroot");
    assert_eq!(out.remove, Vec::<String>::new());
}

#[test]
fn raspi_config_new_and_old() {
    let (text, out) = file(&cmdline("overlayroot=tmpfs console=tty1"));
    assert!(text.contains("\nrd.overlay = tmpfs\n# not imported: swap=0 (the default)"), "{text}");
    assert_eq!(out.remove, ["overlayroot=tmpfs"]);
    let (text, out) = file(&Sources { raspi_script: true, ..cmdline("boot=overlay console=tty1") });
    assert_eq!(text, "# --- from raspi-config ---\nrd.overlay = tmpfs\n");
    assert_eq!((out.remove, out.todo.len()), (vec!["boot=overlay".to_owned()], 2));
    let (text, _) = file(&Sources { raspi_script: true, ..cmdline("console=tty1") });
    assert!(text.contains("it is switched off") && !text.contains("\nrd.overlay"), "{text}");
}

#[test]
fn a_passphrase_is_not_told() {
    let (text, out) = file(&cmdline("overlayroot=crypt:dev=/dev/vdb,pass=secret"));
    assert!(text.contains("pass=***: an encrypted upper is not supported"), "{text}");
    assert!(!text.contains("secret") && !out.remove.join(" ").contains("secret"));
    assert!(!text.contains("\nrd.overlay = "));
}

#[test]
fn dracut_s_older_names() {
    let line = "rd.live.overlay.overlayfs=1 rd.live.overlay=LABEL=data rd.live.overlay.reset \
                rd.live.overlayfs.readonly=0 rd.live.overlay.size=2048 rd.live.overlay.thin=1";
    let (text, out) = file(&cmdline(line));
    assert_eq!(
        text,
        "# --- from dracut ---\n\
         rd.overlay = LABEL=data\n\
         rd.overlay.reset = 1\n\
         rd.overlay.readonly = 0\n\
         # not imported: rd.live.overlay.size=2048: dracut heard it for device-mapper snapshots only; here it would be \
         rd.overlay = tmpfs:size=2048M\n\
         # not imported: rd.live.overlay.thin=1: no equivalent\n"
    );
    assert_eq!(out.remove.len(), 6);
    let (text, _) =
        file(&cmdline("root=live:LABEL=iso rd.live.overlay=UUID=1-2:/LiveOS/x rd.live.overlay.nouserconfirmprompt"));
    assert!(text.contains("\nrd.overlay = UUID=1-2\n# not imported: the place /LiveOS/x on it: "), "{text}");
    for (line, want) in [
        ("rd.live.overlay.overlayfs=0", "rd.overlay = 0\n"),
        ("rd.live.overlay.overlayfs", "rd.overlay = tmpfs\n"),
        ("rd.live.overlay=none", "rd.overlay = tmpfs\n# not imported: rd.live.overlay=none: no device"),
        ("rd.overlay=tmpfs:size=1G rd.live.overlay=LABEL=x", "rd.overlay = tmpfs:size=1G\n"),
        ("rd.overlay", "rd.overlay = 1\n"),
    ] {
        let (text, _) = file(&cmdline(line));
        assert!(text.contains(want), "{line}: {text}");
    }
}

#[test]
fn kiwi_s_images() {
    let (text, out) = file(&cmdline("root=overlay:UUID=1-2 rd.root.overlay.write=/dev/vdb rd.root.overlay.size=1G"));
    assert_eq!(
        text,
        "# --- from kiwi ---\n\
         rd.overlay = /dev/vdb\n\
         # not imported: what kiwi wrote there: its upper is the directory rw; rename it to overlay to keep its content\n\
         # not imported: rd.root.overlay.size=1G: kiwi never applied it; here it would be rd.overlay = tmpfs:size=1G\n"
    );
    assert_eq!(out.add, ["root=UUID=1-2 ro"]);
    let (text, _) = file(&cmdline("root=overlay:UNIXNODE=vda2 rd.root.overlay.readonly"));
    assert!(text.contains("\nrd.overlay = 0\n"), "{text}");
    let (text, out) = file(&cmdline("root=overlay:nbd=10.0.0.1:x"));
    assert!(
        text.contains("rd.overlay = tmpfs\n") && text.contains("docs/guide/diskless.md") && out.add.is_empty(),
        "{text}"
    );
    let (text, _) = file(&cmdline("root=live:CDLABEL=x rd.live.overlay.persistent rd.live.cowfile.mbsize=500"));
    assert_eq!(text.matches("not imported").count(), 2, "{text}");
}

#[test]
fn live_boot_s_volume() {
    let conf = "/home\n/var/lib/x union\n/srv bind,source=srv-data\n/root link\n/opt odd\n";
    let sources =
        Sources { persistence: vec![source("p", conf)], ..cmdline("boot=live persistence persistence-label=x") };
    let (text, out) = file(&sources);
    assert_eq!(
        text,
        "# --- from live-boot ---\n\
         rd.overlay = tmpfs\n\
         rd.overlay.path.dev = LABEL=persistence\n\
         rd.overlay.path = persist:/home/\n\
         rd.overlay.path = persist:/var/lib/x/\n\
         # p:2: /var/lib/x union: kept as a whole, later changes of the image in it are not seen\n\
         rd.overlay.path = persist:/srv/\n\
         # not imported: p:3: /srv bind,source=srv-data, source=srv-data: the directory has a place of its own on the \
         volume: copy the content there\n\
         # not imported: p:4: /root link: links to single files: name each by rd.overlay.path = persist:FILE\n\
         rd.overlay.path = persist:/opt/\n\
         # not imported: p:5: /opt odd: the option 'odd'\n\
         # not imported: persistence-label=x: live-boot's own way to find or open the volume\n"
    );
    assert_eq!(out.remove, ["persistence", "persistence-label=x"]);
    let (text, _) = file(&Sources { persistence: vec![source("p", "/ union\n")], ..Sources::default() });
    assert!(text.contains("\nrd.overlay = LABEL=persistence\n"), "{text}");
}

#[test]
fn two_at_once_are_told() {
    let both = cmdline("overlayroot=tmpfs boot=overlay rd.live.overlay.overlayfs rd.live.overlay=LABEL=x");
    let (text, out) = file(&both);
    assert_eq!(out.found, ["ubuntu", "raspi-config", "dracut"]);
    assert!(text.contains("not imported: rd.overlay = LABEL=x: tmpfs was said before"), "{text}");
    assert_eq!(migrate(&both, Some(From::Dracut)).found, ["dracut"]);
}
