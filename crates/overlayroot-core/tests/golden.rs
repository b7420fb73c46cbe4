// SPDX-License-Identifier: GPL-2.0-or-later
//! Golden plans: `tests/plan/SUBJECT/NAME/` holds a command line, a configuration file, facts, and the exact decision.
//! A subject is a kind of upper, or what a key is about. Each is a test of its own: `cargo test -p overlayroot-core --test
//! golden loop/first-boot`. `UPDATE_GOLDEN=1` rewrites the decisions; read the diff before you commit it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "tests")]
use libtest_mimic::{Arguments, Failed, Trial};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::other_overlays;
use overlayroot_core::facts::{Facts, Root};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::{Source, lex};
use overlayroot_core::plan;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn directories(at: &Path) -> Vec<PathBuf> {
    let found = fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path());
    found.filter(|path| path.is_dir()).collect()
}

/// As the probe leaves them for this configuration: what it does not want is not looked at.
fn probed(config: &Config, facts: &Facts) -> Facts {
    let (wanted, none, mut facts) = (config.wanted(), Root::default(), facts.clone());
    let matters = !facts.kernel.takes_casefold();
    if let Some(root) = &mut facts.root {
        root.casefold &= matters;
        if !wanted.fingerprint {
            root.fingerprint = none.fingerprint;
        }
        if !wanted.room {
            (root.bytes, root.free) = (none.bytes, none.free);
        }
        if !wanted.project_quota {
            root.project_quota = none.project_quota;
        }
    }
    facts.kernel.no_unicode &= facts.folds();
    facts.mkfs.retain(|_| wanted.mkfs);
    facts
}

fn decision(dir: &Path) -> String {
    let read = |name: &str| fs::read(dir.join(name)).unwrap_or_default();
    let inputs = Inputs {
        conf: vec![Source::new(paths::CONF, read("conf"))],
        cmdline: vec![Source::new("/proc/cmdline", read("cmdline"))],
        ubuntu: vec![Source::new("/etc/overlayroot.conf", read("overlayroot.conf"))],
    };
    let config = Config::read(&inputs);
    let facts = serde_json::from_slice(&read("facts.json"));
    let mut facts: Facts = facts.unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    if let Some(root) = &facts.root {
        facts.rivals = other_overlays::find(&lex(&inputs.cmdline), &root.fstype, &root.source, root.live.as_ref());
    }
    let mut out = format!("upper: {} [{}]\n", config.upper.value, config.upper.origin);
    for issue in &config.issues {
        out.push_str(&format!("issue: {issue}\n"));
    }
    let decided = plan::decide(&config, &facts);
    let sparing = plan::decide(&config, &probed(&config, &facts));
    assert!(decided == sparing, "by what is looked at: {sparing}by all: {decided}");
    out + &decided.to_string()
}

fn as_written(dir: &Path) -> Result<(), Failed> {
    let got = decision(dir);
    let path = dir.join("plan.expected");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, &got)?;
    }
    let want = fs::read_to_string(&path).unwrap_or_default();
    if got == want { Ok(()) } else { Err(format!("--- expected\n{want}+++ got\n{got}").into()) }
}

fn main() -> ExitCode {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan");
    let all = directories(&top).into_iter().flat_map(|subject| directories(&subject));
    let trials: Vec<Trial> = all
        .map(|dir| {
            let name = dir.strip_prefix(&top).unwrap().display().to_string();
            Trial::test(name, move || as_written(&dir))
        })
        .collect();
    assert!(trials.len() >= 180, "only {} plans", trials.len());
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
