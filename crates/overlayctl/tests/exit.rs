// SPDX-License-Identifier: GPL-2.0-or-later
//! Every verb, and how it ends: a number means the same whichever verb it is of (EXIT STATUS of overlayctl(8)).
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use std::process::Command;

/// No: not as it should be, not known, or refused.
const NO: i32 = 1;
/// Tried, and failed.
const FAILED: i32 = 3;
/// Wrong arguments.
const USAGE: i32 = 64;

/// Every verb, as it is called where no overlay runs, and how it may end then. Nothing of it changes a thing.
/// `src/args.rs` looks that no verb is forgotten here.
const VERBS: [(&[&str], &[i32]); 48] = [
    (&["status"], &[2, FAILED]),
    (&["check"], &[0, NO]),
    (&["plan"], &[0, NO]),
    (&["keys"], &[0]),
    (&["loop", "create", "--dry-run", "/proc/none/upper.img,size=16M"], &[NO, FAILED]),
    (&["loop", "check", "/no/upper.img"], &[NO]),
    (&["loop", "grow", "--dry-run", "/no/upper.img,size=16M"], &[FAILED]),
    (&["reset"], &[NO]),
    (&["commit", "--dry-run"], &[NO]),
    (&["revert", "--dry-run", "/etc/hosts"], &[NO]),
    (&["uppers"], &[NO]),
    (&["uppers", "restore", "overlay.1"], &[NO]),
    (&["uppers", "create", "work"], &[NO]),
    (&["uppers", "clone", "overlay.1", "work"], &[NO]),
    (&["uppers", "rename", "overlay.1", "work"], &[NO]),
    (&["uppers", "remove", "overlay.1"], &[NO]),
    (&["uppers", "prune", "--keep", "3"], &[NO]),
    (&["uppers", "use", "work"], &[NO]),
    (&["uppers", "describe", "overlay.1", "before the upgrade"], &[NO]),
    (&["stale"], &[NO]),
    (&["stale", "accept"], &[NO]),
    (&["diff"], ROOTS),
    (&["du"], ROOTS),
    (&["top", "--count", "1"], ROOTS),
    (&["pull", "--timeout", "0"], ROOTS),
    (&["label"], &[0]),
    (&["doctor"], &[0, NO, 2]),
    (&["keep"], &[NO]),
    (&["good"], &[NO]),
    (&["enable", "--dry-run", "--root", NOWHERE], &[NO]),
    (&["disable", "--dry-run", "--root", NOWHERE], &[NO]),
    (&["is-enabled", "--root", NOWHERE], &[NO]),
    (&["migrate", "--root", NOWHERE], &[NO]),
    (&["image", "build", "lower", "/tmp/overlayctl-none.squashfs"], &[NO, FAILED]),
    (&["resize", "1G"], &[NO]),
    (&["watch"], &[0]),
    (&["shell", "--", "true"], &[125]),
    (&["thaw", "--dry-run"], &[NO]),
    (&["thaw", "--status"], &[0]),
    (&["thawed"], &[NO]),
    (&["kernel"], &[0]),
    (&["explain", "no-such-key"], &[NO]),
    (&["config", "--cmdline", "rd.overlay.rest"], &[NO]),
    (&["completions", "bash"], &[0]),
    (&["trash", "empty"], &[0]),
    (&["trim"], &[0]),
    (&["help"], &[0]),
    (&["help", "uppers", "remove"], &[0]),
];
/// Others than root can't look, which is a failure; root is told that there is nothing to look at.
const ROOTS: &[i32] = &[-1];
/// In place of a directory with no system in it.
const NOWHERE: &str = "/nowhere";

fn code(args: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_overlayctl")).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code().unwrap(), said)
}

#[test]
fn every_verb_where_no_overlay_runs() {
    assert!(!std::fs::exists("/run/overlayroot/state.json").unwrap(), "this test is for a machine without an overlay");
    let empty = tempfile::tempdir().unwrap();
    let root = rustix::process::geteuid().is_root();
    for (args, want) in VERBS {
        let args: Vec<&str> =
            args.iter().map(|word| if *word == NOWHERE { empty.path().to_str().unwrap() } else { word }).collect();
        let want = match want {
            [-1] if root => &[NO][..],
            [-1] => &[FAILED],
            want => want,
        };
        let (code, said) = code(&args);
        assert!(want.contains(&code), "{args:?}: {code}, not one of {want:?}: {said}");
        // What refuses or fails says why, in one style.
        let silent = ["status", "check", "plan", "doctor", "config", "is-enabled", "loop"];
        if code != 0 && !args.first().is_some_and(|verb| silent.contains(verb)) {
            assert!(said.starts_with("overlayctl: "), "{args:?}: {said}");
        }
    }
    assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
}

#[test]
fn wrong_arguments_are_one_status_for_all() {
    for (args, _) in VERBS {
        // What follows -- is the command's.
        let verb: Vec<&str> = args.iter().copied().take_while(|word| *word != "--").collect();
        let (code, said) = code(&[&verb[..], &["--no-such-option"]].concat());
        assert_eq!(code, USAGE, "{verb:?}: {said}");
    }
}
