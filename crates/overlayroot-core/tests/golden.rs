// SPDX-License-Identifier: GPL-2.0-or-later
//! Golden plans: `tests/fixtures/plan/NN-slug/` holds a command line, a configuration file, facts,
//! and the exact decision. `UPDATE_GOLDEN=1` rewrites the decisions; read the diff before you commit it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::Facts;
use overlayroot_core::facts::other_overlays;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::{Source, lex};
use overlayroot_core::plan;
use std::fs;
use std::path::{Path, PathBuf};

fn fixtures() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/plan");
    let mut found: Vec<PathBuf> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
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
    out + &plan::decide(&config, &facts).to_string()
}

#[test]
fn every_plan_is_as_written() {
    let dirs = fixtures();
    assert!(dirs.len() >= 50, "only {} fixtures", dirs.len());
    let mut wrong = Vec::new();
    for dir in dirs {
        let got = decision(&dir);
        let path = dir.join("plan.expected");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &got).unwrap();
        }
        let want = fs::read_to_string(&path).unwrap_or_default();
        if got != want {
            wrong.push(format!("{}:\n--- expected\n{want}+++ got\n{got}", dir.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
