// SPDX-License-Identifier: GPL-2.0-or-later
//! Fuzzes lexer, grammar and decision together, on stable: inputs are put together from the
//! grammar's own words and from arbitrary bytes. `make fuzz` runs it with many more cases
//! (PROPTEST_CASES); a failing input is shrunk and printed.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::device::{Device, Lookup};
use overlayroot_core::facts::other_overlays;
use overlayroot_core::facts::{Facts, Kernel, Root};
use overlayroot_core::parse::cmdline::{Source, lex};
use overlayroot_core::plan::{Decision, decide};
use overlayroot_core::record::Requested;
use overlayroot_core::step::plan::Plan;
use overlayroot_core::step::{Overlay, Step};
use overlayroot_core::upper;
use overlayroot_core::value::device;
use proptest::prelude::*;

const WORDS: &[&str] = &[
    "rd.overlay",
    "rd.overlay.reset",
    "rd.overlay.readonly",
    "rd.overlay.crypt",
    "rd.overlay.fallback",
    "rd.overlay.timeout",
    "rd.overlay.stale",
    "rd.overlay.image.sha256",
    "rd.overlay.image.cache",
    "rd.overlay.hostname",
    "rd.overlay.populate",
    "http://s/x.tar",
    "sha256=",
    "devices",
    "rd.overlay.git",
    "rd.overlay.git.verify",
    "rd.overlay.path",
    "rd.overlay.path.dev",
    "rd.overlay.watch.warn",
    "rd.overlay.watch.critical",
    "rd.overlay.watch.textfile",
    "dir:",
    "loop:",
    "part:",
    "subvol:",
    "grow",
    "dev=",
    "persist:",
    "volatile:",
    "bind:",
    "readonly:",
    "ssh-host-keys",
    "machine-id",
    "containers",
    "/etc/x",
    "*",
    "copy",
    "https://h/x",
    "ssh://",
    "${mac}",
    "${",
    "park",
    "rd.live.overlay",
    "rd.live.overlay.overlayfs",
    "overlayroot",
    "rd.overlay.rest",
    "rd.overlya",
    "overlayrot",
    "GiB",
    "=",
    "=",
    "=",
    " ",
    " ",
    " ",
    "\n",
    "\"",
    "'",
    ",",
    ":",
    "\\",
    "/",
    "../",
    "/dev/",
    "/dev/vdb",
    "LABEL=",
    "UUID=",
    "PARTLABEL=",
    "PARTUUID=",
    "tmpfs",
    "tmpfs:",
    "size=",
    "nr_inodes=",
    "50%",
    "1G",
    "0",
    "1",
    "no",
    "off",
    "ro",
    "none",
    "halt",
    "device:",
    "dev=",
    "dir=",
    "crypt:",
    "swap=",
    "recurse=",
    "timeout=",
    "systemd.volatile=overlay",
    "root=live:x",
    "#",
    "$(reboot)",
    "\u{a0}",
    "é",
    "\0",
];

fn text() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(WORDS).prop_map(|word| word.as_bytes().to_vec());
    let bytes = prop::collection::vec(any::<u8>(), 0..6);
    let long = (1_usize..5000).prop_map(|len| vec![b'x'; len]);
    let piece = prop_oneof![20 => word, 2 => bytes, 1 => long];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

fn facts() -> impl Strategy<Value = Facts> {
    let fstype = prop::sample::select(vec!["ext4", "xfs", "btrfs", "vfat", ""]);
    let found = fstype.prop_map(|fstype| {
        Some(Lookup::Found(Device { path: "/dev/vdb".into(), fstype: fstype.into(), ..Device::default() }))
    });
    let device = prop_oneof![Just(None), Just(Some(Lookup::Missing { waited_ms: 1, closed: Vec::new() })), found];
    let root =
        (any::<bool>(), "[ -~\n]{0,80}").prop_map(|(writable, fstab)| Root { writable, fstab, ..Root::default() });
    (device, prop::option::of(root), any::<bool>()).prop_map(|(device, root, overlay)| Facts {
        device,
        root,
        kernel: Kernel { overlay, ..Kernel::default() },
        ..Facts::default()
    })
}

/// No step may touch anything outside the places that are ours.
fn stays_home(plan: &Plan) -> Result<(), TestCaseError> {
    let home = |path: &str| {
        let ours = ["/run/", "/sysroot", "/media/root-r"].iter().any(|prefix| path.starts_with(prefix));
        ours && !path.split('/').any(|part| part == "..")
    };
    for step in &plan.steps {
        let paths: Vec<&str> = match step {
            Step::MountTmpfs { at, .. } | Step::MountDevice { at, .. } | Step::Link { at, .. } => vec![at],
            Step::Close { at }
            | Step::MountTop { at, .. }
            | Step::Writable { at }
            | Step::GrowFs { at, .. }
            | Step::LowerReadOnly { at }
            | Step::LowerFsReadOnly { at }
            | Step::UnmountRoot { at, .. }
            | Step::RootReadOnly { at } => vec![at],
            Step::Clear { path } => vec![path],
            Step::MakeLoopFile { file, .. } | Step::GrowLoopFile { file, .. } => vec![file],
            Step::Hide { upper, like, .. } => vec![upper, like],
            Step::Bind { from, to } | Step::BindLower { from, to } => vec![from, to],
            Step::MakeUpper { store, .. }
            | Step::Reset { store }
            | Step::ResetOnce { store, .. }
            | Step::LookInside { store, .. }
            | Step::Look { store, .. } => {
                vec![&store.upper, &store.work, &store.trash, &store.fingerprint, &store.marker]
            }
            Step::WriteRun { path, .. } | Step::LinkRun { path, .. } | Step::Remember { path, .. } => vec![path],
            Step::Populate(populate) => vec![&populate.store.upper, &populate.store.work, &populate.lower],
            Step::Hostname { upper, .. } => vec![upper],
            Step::Quota(quota) => vec![&quota.at, &quota.upper, &quota.work],
            Step::MountOverlay(overlay) => {
                prop_assert!(overlay.data().len() <= Overlay::MOST);
                vec![&overlay.at, &overlay.upper, &overlay.work]
            }
            Step::StandDown { .. }
            | Step::Uncover { .. }
            | Step::Check { .. }
            | Step::MakeSubvolume { .. }
            | Step::Attach { .. }
            | Step::Part(_)
            | Step::Stale(_)
            | Step::Commit(_)
            | Step::Park { .. }
            | Step::Verify(_)
            | Step::Unpark { .. }
            | Step::Path(_) => Vec::new(),
        };
        if let Step::Path(step) = step {
            for path in step.places() {
                prop_assert!(home(&path), "{step} touches {path}");
            }
        }
        for path in paths {
            prop_assert!(home(path), "{step} touches {path}");
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_input_gives_a_decision_that_stays_home(
        cmdline in text(), conf in text(), ubuntu in text(), mut facts in facts(),
    ) {
        let inputs = Inputs {
            conf: vec![Source::new("/etc/overlayroot-rs.conf", conf)],
            cmdline: vec![Source::new("/proc/cmdline", cmdline)],
            ubuntu: vec![Source::new("/etc/overlayroot.conf", ubuntu)],
        };
        let config = Config::read(&inputs);
        facts.rivals = other_overlays::find(&lex(&inputs.cmdline), "ext4", "/dev/vda", None);
        if let upper::Upper::Device(device::Device::Path(path)) = &config.upper.value {
            prop_assert!(path.starts_with("/dev/") && !path.split('/').any(|part| part == ".."));
        }
        for issue in &config.issues {
            let line = issue.to_string();
            prop_assert!(!line.contains('\n') && line.len() < 2000, "{line}");
        }
        let json = serde_json::to_string(&Requested::of(&config)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Requested>(&json).unwrap(), Requested::of(&config));
        match decide(&config, &facts) {
            Decision::Do(plan) | Decision::Instead(_, plan) => stays_home(&plan)?,
            Decision::Off | Decision::NotYet => {}
        }
    }
}
