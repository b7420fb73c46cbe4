// SPDX-License-Identifier: GPL-2.0-or-later
//! The tables of readonly-root, whole and at random: no line is dropped, and none that is written is refused.
use crate::migrate::tests::{cmdline, file, source};
use crate::migrate::{From, PATH, Sources, migrate};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::device::{Device, Lookup};
use overlayroot_core::facts::place::{Place, PlaceKind};
use overlayroot_core::facts::{Facts, Kernel, Root};
use overlayroot_core::plan::{Decision, decide};
use overlayroot_core::value::path::plain_path;
use std::collections::BTreeMap;

#[test]
fn rhel_s_tables() {
    let sources = Sources {
        readonly_root: Some(source(
            "/etc/sysconfig/readonly-root",
            "# x\nREADONLY=yes\nTEMPORARY_STATE=no\nRW_MOUNT=/var/lib/stateless/writable\nRW_LABEL=stateless-rw\n\
             STATE_LABEL=stateless-state\nCLIENTSTATE=\nSLAVE_MOUNTS=yes\n",
        )),
        rwtab: vec![source(
            "/etc/rwtab",
            "dirs\t/var/cache/man\nempty /tmp\nfiles /etc/adjtime\nfiles /var/lib/xdm\nempty /run/x\nodd /x\nempty\n",
        )],
        statetab: vec![source("/etc/statetab.d/x", "/var/lib/x/\n/etc/ssh/ssh_host_*\n/etc/a\"b\n")],
        directories: vec!["/var/cache/man".into(), "/var/lib/xdm".into(), "/var/lib/x".into()],
        ..cmdline("readonlyroot")
    };
    let (text, out) = file(&sources);
    let at = "/etc/sysconfig/readonly-root";
    assert_eq!(
        text,
        format!(
            "# --- from readonly-root ---\n\
             rd.overlay = tmpfs\n\
             # not imported: {at}:4: RW_MOUNT=/var/lib/stateless/writable: a mount point of its own is not needed\n\
             # not imported: {at}:5: RW_LABEL=stateless-rw: for an upper there instead of in RAM: \
             rd.overlay = LABEL=stateless-rw and rd.overlay.reset = 1\n\
             rd.overlay.path.dev = LABEL=stateless-state\n\
             # not imported: {at}:8: SLAVE_MOUNTS=yes: no equivalent\n\
             # with the upper in RAM the volatile lines say nothing new; with one that stays they do\n\
             # /etc/rwtab:1: dirs\t/var/cache/man: its files are there, too, at the beginning\n\
             rd.overlay.path = volatile:/var/cache/man/,copy\n\
             rd.overlay.path = volatile:/tmp/\n\
             # not imported: /etc/rwtab:3: files /etc/adjtime: no directory: a single file is volatile with the upper in RAM\n\
             rd.overlay.path = volatile:/var/lib/xdm/,copy\n\
             # not imported: /etc/rwtab:5: empty /run/x: a file system of the kernel's, or /run, is mounted there\n\
             # not imported: /etc/rwtab:6: odd /x: not empty, dirs or files\n\
             # not imported: /etc/rwtab:7: empty: no path\n\
             rd.overlay.path = persist:/var/lib/x/\n\
             rd.overlay.path = persist:/etc/ssh/ssh_host_*\n\
             # not imported: /etc/statetab.d/x:3: /etc/a\"b: '/etc/a\"b' has a character that is not allowed in a path\n"
        )
    );
    assert_eq!(out.remove, ["readonlyroot"]);
    let off = Sources { cmdline: None, readonly_root: None, ..sources };
    let (text, _) = file(&off);
    assert!(text.lines().all(|line| line.starts_with('#')) && text.contains("it is switched off"), "{text}");
    assert_eq!(text.matches("nevertheless\n").count(), 10);
    let asked = migrate(&off, Some(From::ReadonlyRoot)).text();
    assert!(asked.contains("\nrd.overlay.path = volatile:/tmp/\n") && !asked.contains("\nrd.overlay = "), "{asked}");
}

#[test]
fn patterns_and_what_no_line_can_hold() {
    let sources = Sources {
        rwtab: vec![source("r", "empty /a/b*\n")],
        statetab: vec![source("s", "/a*/b\n/a/b?\n/a,b\n")],
        readonly_root: Some(source("c", "TEMPORARY_STATE=yes\nSTATE_LABEL=x\n")),
        ..Sources::default()
    };
    let (text, _) = file(&sources);
    let paths: Vec<&str> = text.lines().filter(|line| line.starts_with("rd.overlay.path = ")).collect();
    assert_eq!((paths, text.matches("not imported").count()), (vec!["rd.overlay.path = persist:/a/b?"], 3), "{text}");
}

/// What the boot would make of the lines of paths, each with its reason where it is refused.
fn refused(sources: &Sources, text: &str) -> Vec<String> {
    let conf = vec![source("the new file", &format!("{text}rd.overlay = tmpfs\n"))];
    let config = Config::read(&Inputs { conf, ..Inputs::default() });
    assert_eq!(config.issues.iter().map(ToString::to_string).collect::<Vec<_>>(), Vec::<String>::new(), "{text}");
    let device = |name: &str| Device { path: name.to_owned(), fstype: "ext4".into(), ..Device::default() };
    let facts = Facts {
        root: Some(Root { fstype: "xfs".into(), fstab: sources.fstab.clone(), ..Root::default() }),
        kernel: Kernel { overlay: true, ..Kernel::default() },
        stores: ["LABEL=x", "LABEL=persistence"].map(|name| (name.to_owned(), Lookup::Found(device(name)))).into(),
        paths: sources.places.clone(),
        ..Facts::default()
    };
    match decide(&config, &facts) {
        Decision::Do(plan) => plan.without.iter().map(|refusal| refusal.text.clone()).collect(),
        other @ (Decision::Off | Decision::NotYet | Decision::Instead(..)) => vec![other.to_string()],
    }
}

#[test]
fn links_and_what_the_boot_refuses() {
    let place = |kind| Place { kind, ..Place::default() };
    let sources = Sources {
        rwtab: vec![source(
            "rwtab",
            "empty /var/run/\nempty /var/lock\ndirs /var/run/x\nempty /tmp\nempty /var/tmp/\nempty /var/file\n\
             files /home/me\ndirs /l/x\n",
        )],
        statetab: vec![source("statetab", "/etc/resolv.conf\n/var/lib/x\n")],
        readonly_root: Some(source("c", "READONLY=yes")),
        directories: vec!["/var/run/x".into(), "/home/me".into(), "/l/x".into()],
        links: [("/home/me".to_owned(), "/var/home/me".to_owned())].into(),
        places: [
            ("/var/home/me".to_owned(), place(PlaceKind::Directory)),
            ("/var/file".to_owned(), place(PlaceKind::File)),
            ("/l/x".to_owned(), Place { blocked_by: Some("/l".into()), ..Place::default() }),
        ]
        .into(),
        fstab: "LABEL=r / ext4\ntmpfs /tmp tmpfs\n".into(),
        ..Sources::default()
    };
    let (text, _) = file(&sources);
    let kept: Vec<&str> = text.lines().filter(|line| line.starts_with(PATH)).collect();
    let volatile = ["rd.overlay.path = volatile:/var/tmp/", "rd.overlay.path = volatile:/var/home/me/,copy"];
    assert_eq!(kept, volatile, "{text}");
    for why in [
        "# not imported: rwtab:1: empty /var/run/: a file system of the kernel's, or /run, is mounted there\n",
        "# not imported: rwtab:2: empty /var/lock: a file system of the kernel's",
        "# not imported: rwtab:3: dirs /var/run/x: a file system of the kernel's",
        "# not imported: rd.overlay.path = volatile:/tmp/: fstab mounts tmpfs on /tmp, which hides /tmp\n",
        "# not imported: rd.overlay.path = volatile:/var/file/: /var/file is a file, not a directory\n",
        "# not imported: rd.overlay.path = volatile:/l/x/,copy: /l on the way",
        "# not imported: rd.overlay.path = persist:/etc/resolv.conf: nowhere to keep /etc/resolv.conf",
        "# not imported: rd.overlay.path = persist:/var/lib/x: nowhere to keep",
    ] {
        assert!(text.contains(why), "{why}: {text}");
    }
    assert_eq!(refused(&sources, &text), Vec::<String>::new());
}

fn paths_in_small() -> impl proptest::strategy::Strategy<Value = String> {
    proptest::string::string_regex("/{1,2}(var|a|run|etc)/?((run|lock|b|\\.\\.|b\\*|c d)/?){0,2}").unwrap()
}

fn places_in_small() -> impl proptest::strategy::Strategy<Value = Place> {
    use proptest::prelude::{Just, Strategy};
    let kinds = [PlaceKind::Missing, PlaceKind::Directory, PlaceKind::File, PlaceKind::Link, PlaceKind::Other];
    (proptest::sample::select(kinds.to_vec()), proptest::option::weighted(0.2, Just("/a".to_owned())))
        .prop_map(|(kind, blocked_by)| Place { kind, blocked_by, ..Place::default() })
}

proptest::proptest! {
    /// Every line of a path that is written is taken by the parser, and no boot refuses it.
    #[test]
    fn no_line_is_refused(
        words in proptest::collection::vec(("(empty|dirs|files) ", paths_in_small(), places_in_small()), 1..8),
        mounted in proptest::collection::vec(paths_in_small(), 0..3),
        label: bool, on: bool,
    ) {
        let table: Vec<String> = words.iter().map(|(kind, path, _)| format!("{kind}{path}")).collect();
        let state: Vec<&str> = words.iter().map(|(_, path, _)| path.as_str()).collect();
        let fstab: Vec<String> = mounted.iter().map(|at| format!("/dev/x {} ext4", at.replace(' ', "\\040"))).collect();
        let places = words.iter().filter_map(|(_, path, place)| Some((plain_path(path).ok()?, place.clone())));
        let places: BTreeMap<String, Place> = places.collect();
        let directories = places.iter().filter(|(_, place)| place.kind == PlaceKind::Directory);
        let sources = Sources {
            rwtab: vec![source("rwtab", &table.join("\n"))], statetab: vec![source("statetab", &state.join("\n"))],
            persistence: if label { vec![source("p", &state.join("\n"))] } else { Vec::new() },
            readonly_root: Some(source("c", if on { "READONLY=yes\nSTATE_LABEL=x" } else { "READONLY=no" })),
            directories: directories.map(|(path, _)| path.clone()).collect(),
            places: places.clone(), fstab: fstab.join("\n"),
            ..Sources::default()
        };
        for only in [None, Some(From::ReadonlyRoot)] {
            let text = migrate(&sources, only).text();
            proptest::prop_assert_eq!(refused(&sources, &text), Vec::<String>::new(), "{}", text);
        }
    }
    /// Every line of a table is a setting or a comment that has it in it.
    #[test]
    fn nothing_is_dropped(lines in proptest::collection::vec("(empty|dirs|files|x)? ?/?[a-z*./ ]{1,12}", 1..8)) {
        let text = lines.join("\n");
        let sources = Sources {
            rwtab: vec![source("rwtab", &text)], statetab: vec![source("statetab", &text)],
            persistence: vec![source("p", &text)],
            readonly_root: Some(source("c", "READONLY=yes")),
            ..Sources::default()
        };
        let out = migrate(&sources, None);
        let said = lines.iter().filter(|line| !line.trim().is_empty()).count();
        let file = out.text();
        let settings = file.lines().filter(|line| line.starts_with("rd.overlay.path = ")).count();
        let lost = file.lines().filter(|line| line.starts_with("# not imported: ")).count();
        proptest::prop_assert!(settings + lost >= 3 * said, "{}\n{}", text, file);
        proptest::prop_assert_eq!(out.issues(), Vec::<String>::new());
    }
}
