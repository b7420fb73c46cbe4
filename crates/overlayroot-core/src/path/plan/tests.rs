// SPDX-License-Identifier: GPL-2.0-or-later
//! Rules that a golden plan does not make obvious.
use super::*;
use crate::config::{Config, Inputs};
use crate::facts::device::{Device, Lookup};
use crate::facts::{Kernel, Root};
use crate::parse::cmdline::Source;
use crate::plan::{Decision, decide};
use crate::step::Step;
use crate::step::plan::Plan;

fn config(cmdline: &str) -> Config {
    Config::read(&Inputs { cmdline: vec![Source::new("/proc/cmdline", cmdline)], ..Inputs::default() })
}

fn facts() -> Facts {
    let device = |path: &str| Lookup::Found(Device { path: path.into(), fstype: "ext4".into(), ..Device::default() });
    let place = |kind| Place { kind, ..Place::default() };
    Facts {
        root: Some(Root { source: "/dev/vda".into(), fstype: "ext4".into(), writable: true, ..Root::default() }),
        kernel: Kernel { overlay: true, ..Kernel::default() },
        device: Some(device("/dev/vdb")),
        stores: [("LABEL=keep".to_owned(), device("/dev/vdc")), ("/dev/vdb".to_owned(), device("/dev/vdb"))].into(),
        paths: [
            ("/var".to_owned(), place(PlaceKind::Directory)),
            ("/var/x".to_owned(), place(PlaceKind::Directory)),
            ("/etc/f".to_owned(), place(PlaceKind::File)),
            ("/etc/l".to_owned(), place(PlaceKind::Link)),
            ("/l/x".to_owned(), Place { blocked_by: Some("/l".into()), ..Place::default() }),
        ]
        .into(),
        ..Facts::default()
    }
}

fn plan(cmdline: &str) -> Plan {
    match decide(&config(cmdline), &facts()) {
        Decision::Do(plan) => plan,
        other @ (Decision::Off | Decision::NotYet | Decision::Instead(..)) => panic!("{cmdline}: {other}"),
    }
}

fn codes(cmdline: &str) -> Vec<&'static str> {
    plan(cmdline).without.iter().map(|refusal| refusal.code).collect()
}

fn names(plan: &Plan) -> Vec<&'static str> {
    plan.steps.iter().map(Step::name).collect()
}

#[test]
fn what_can_t_be_had_says_why_and_the_overlay_stands() {
    for (asked, code) in [
        ("persist:/var/x", "path-store"),
        ("ssh-host-keys", "path-store"),
        ("persist:/var/x,dev=LABEL=none", "device-missing"),
        ("persist:/l/x", "path-place"),
        ("persist:/etc/f/,dev=LABEL=keep", "path-place"),
        ("volatile:/etc/f", "path-place"),
        ("bind:/nothing", "path-place"),
        ("readonly:/nothing", "path-place"),
        ("readonly:/etc/l", "path-place"),
    ] {
        let line = format!("rd.overlay rd.overlay.path={asked}");
        assert_eq!(codes(&line), [code], "{asked}");
        let strict = config(&format!("{line} rd.overlay.fallback=ro"));
        assert!(matches!(decide(&strict, &facts()), Decision::Instead(refusal, _) if refusal.code == code), "{asked}");
    }
}

#[test]
fn a_preset_without_a_kind_is_volatile_where_nothing_can_keep_it() {
    let kind = |cmdline: &str| plan(cmdline).effective.paths.first().map(|state| state.kind);
    assert_eq!(kind("rd.overlay rd.overlay.path=containers"), Some(Kind::Volatile));
    assert_eq!(codes("rd.overlay rd.overlay.path=containers"), [] as [&str; 0]);
    assert_eq!(kind("rd.overlay=/dev/vdb rd.overlay.path=containers"), Some(Kind::Persist));
    assert_eq!(kind("rd.overlay rd.overlay.path=containers rd.overlay.path.dev=LABEL=keep"), Some(Kind::Persist));
    let missing = "rd.overlay rd.overlay.path=containers,dev=LABEL=none";
    assert_eq!((kind(missing), codes(missing)), (Some(Kind::Volatile), vec!["device-missing"]));
    assert_eq!(codes("rd.overlay rd.overlay.path=persist:containers"), ["path-store"]);
}

#[test]
fn one_device_is_mounted_once_and_the_upper_s_own_not_again() {
    let twice = plan("rd.overlay rd.overlay.path=persist:/var/x rd.overlay.path=home rd.overlay.path.dev=LABEL=keep");
    assert_eq!(names(&twice).iter().filter(|name| **name == "path-device").count(), 1);
    let own = plan("rd.overlay=/dev/vdb rd.overlay.path=persist:/var/x,dev=/dev/vdb");
    assert!(!names(&own).contains(&"path-device"), "{own}");
    assert_eq!(
        own.effective.paths[0].store.as_deref(),
        Some("/run/initramfs/overlayroot/upper/.overlayroot/keep/var-x.dir")
    );
}

#[test]
fn what_lies_below_another_comes_after_it() {
    let plan = plan("rd.overlay rd.overlay.path=volatile:/var/x rd.overlay.path=readonly:/var");
    let paths: Vec<&str> = plan.effective.paths.iter().map(|state| state.path.as_str()).collect();
    assert_eq!(paths, ["/var", "/var/x"]);
    let hidden = "rd.overlay rd.overlay.path=volatile:/var rd.overlay.path=persist:/var/f*,dev=LABEL=keep";
    assert_eq!(codes(hidden), ["path-hidden"]);
}

#[test]
fn nothing_is_mounted_over_the_root_before_the_overlay_is_sure() {
    let plan = plan(
        "rd.overlay rd.overlay.path=home,dev=LABEL=keep rd.overlay.path=bind:/var/x rd.overlay.path=machine-id,dev=LABEL=keep",
    );
    let names = names(&plan);
    let at = |name| names.iter().position(|n| *n == name).unwrap_or_else(|| panic!("{name}: {plan}"));
    assert!(at("path-machine-id") < at("mount-overlay") && at("path-point") < at("mount-overlay"));
    assert!(at("verify") < at("path-persist") && at("verify") < at("path-bind"));
    assert!(!names.contains(&"lower-fs-read-only"), "bind: needs the lower's file system writable");
    assert!(plan.steps.iter().filter(|step| matches!(step, Step::Path(_))).all(Step::optional));
}

#[test]
fn a_bind_never_shows_the_upper_itself_nor_a_root_that_can_t_be_written() {
    let mut facts = facts();
    facts.place = Some(Place { kind: PlaceKind::Directory, ..Place::default() });
    let code = |facts: &Facts, cmdline: &str| match decide(&config(cmdline), facts) {
        Decision::Do(plan) => plan.without.first().map(|refusal| refusal.code),
        other @ (Decision::Off | Decision::NotYet | Decision::Instead(..)) => panic!("{other}"),
    };
    assert_eq!(code(&facts, "rd.overlay=dir:/var/x/upper rd.overlay.path=bind:/var"), Some("path-lower"));
    assert_eq!(code(&facts, "rd.overlay=dir:/var/xx rd.overlay.path=bind:/var/x"), None);
    let root = Root { fstype: "nfs4".into(), ..Root::default() };
    let nfs = Facts { root: Some(root), ..facts };
    assert_eq!(code(&nfs, "rd.overlay rd.overlay.path=bind:/var"), Some("path-lower"));
}

#[test]
fn what_fstab_mounts_later_would_hide_it() {
    let mut facts = facts();
    let line = "rd.overlay rd.overlay.path=volatile:/var/x";
    for (fstab, hidden) in [
        ("/dev/x /var ext4 defaults\n", true),
        ("/dev/x /var/x/ ext4 defaults\n", true),
        ("/dev/x /var ext4 noauto\n", false),
        // systemd mounts an autofs there at boot
        ("/dev/x /var ext4 noauto,x-systemd.automount\n", true),
        ("/dev/x /var/x/y ext4 defaults\n/dev/vda / ext4\n/dev/x none swap\n", false),
    ] {
        facts.root = Some(Root { fstab: fstab.into(), ..Root::default() });
        let Decision::Do(plan) = decide(&config(line), &facts) else { panic!("{fstab}") };
        assert_eq!(!plan.without.is_empty(), hidden, "{fstab}");
    }
}

#[test]
fn the_last_word_on_a_path_counts_and_a_false_one_ends_all() {
    let paths = |cmdline: &str| {
        let config = config(cmdline);
        config.paths.iter().map(|asked| asked.value.to_string()).collect::<Vec<_>>()
    };
    let a = "rd.overlay.path=volatile:/a";
    assert_eq!(paths(&format!("{a} rd.overlay.path=persist:/a/ rd.overlay.path=bind:/b")), ["persist:/a/", "bind:/b"]);
    assert_eq!(paths(&format!("{a} rd.overlay.path=0")), [] as [&str; 0]);
    assert_eq!(paths(&format!("rd.overlay.path= {a}")), ["volatile:/a"]);
    let both = Config::read(&Inputs {
        conf: vec![Source::new("conf", "rd.overlay.path=home\nrd.overlay.path=journal\n")],
        cmdline: vec![Source::new("/proc/cmdline", "rd.overlay")],
        ..Inputs::default()
    });
    assert_eq!(both.paths.len(), 2, "every line of a file counts");
}

#[test]
fn a_device_is_the_uppers_or_opened_once_by_any_of_its_names() {
    let two = |path: &str, devno: &str, uuid: &str| {
        let devices =
            ["254:16", "254:32"].into_iter().map(str::to_owned).filter(|_| devno.starts_with("254")).collect();
        let (path, devno, uuid) = (path.into(), devno.into(), uuid.into());
        Lookup::Found(Device { path, devno, uuid, devices, fstype: "btrfs".into(), ..Device::default() })
    };
    let stores = [
        ("/dev/vdb".to_owned(), two("/dev/vdb", "254:16", "u")),
        ("/dev/vdc".to_owned(), two("/dev/vdc", "254:32", "u")),
    ];
    let decide = |cmdline: &str, facts: &Facts| match decide(&config(cmdline), facts) {
        Decision::Do(plan) => plan,
        other @ (Decision::Off | Decision::NotYet | Decision::Instead(..)) => panic!("{other}"),
    };
    let opened = |plan: &Plan| plan.steps.iter().filter(|step| step.name() == "path-device").count();
    let kept = "rd.overlay.path=persist:/var/x,dev=/dev/vdc rd.overlay.path=persist:/var,dev=/dev/vdb";
    let own = Facts { device: Some(two("/dev/vdb", "254:16", "u")), stores: stores.clone().into(), ..facts() };
    assert_eq!(opened(&decide(&format!("rd.overlay=LABEL=x {kept}"), &own)), 0);
    let beside = Facts { stores: stores.clone().into(), ..facts() };
    assert_eq!(opened(&decide(&format!("rd.overlay {kept}"), &beside)), 1);
    let copy = Facts { device: Some(two("/dev/loop0", "7:0", "U")), stores: stores.into(), ..facts() };
    let plan = decide(&format!("rd.overlay=LABEL=x {kept}"), &copy);
    let codes: Vec<&str> = plan.without.iter().map(|refusal| refusal.code).collect();
    assert_eq!((opened(&plan), codes), (0, vec!["device-in-use", "device-in-use"]));
}
