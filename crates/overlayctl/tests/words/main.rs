// SPDX-License-Identifier: GPL-2.0-or-later
//! The program as it is run: exit codes, readers that go away, JSON as docs/reference/schema has it.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod json;
mod next_boot;
#[path = "../../../../tests/rootns/src/schema.rs"]
mod schema;
mod terminal;

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn overlayctl(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_overlayctl")).args(args).output().unwrap()
}

fn code(args: &[&str]) -> i32 {
    overlayctl(args).status.code().unwrap()
}

fn text(args: &[&str]) -> String {
    String::from_utf8(overlayctl(args).stdout).unwrap()
}

#[test]
fn codes_that_hang_on_no_machine() {
    for (args, want) in [
        (&["--help"][..], 0),
        (&["--version"], 0),
        (&["keys"], 0),
        (&["keys", "--no-pager"], 0),
        (&["explain", "stale"], 0),
        (&["completions", "fish"], 0),
        (&["config", "--cmdline", "rd.overlay"], 0),
        (&["config", "--cmdline", "rd.overlay.rest"], 1),
        (&["explain", "xyzzy"], 1),
        (&["explain", "rd.overlay=dir:/x,size=2G"], 0),
        (&["explain", "rd.overlay=dir:/x,sise=2G"], 1),
        (&[], 64),
        (&["nonsense"], 64),
        (&["keys", "--nonsense"], 64),
        (&["completions", "cmd.exe"], 64),
        // The machine that builds has no overlay of ours, and whoever tests may not be root.
        (&["shell", "--", "true"], 125),
    ] {
        assert_eq!(code(args), want, "{args:?}");
    }
}

#[test]
fn every_code_stands_in_the_manual() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/man/overlayctl.8"))
        .unwrap();
    let (_, table) = page.split_once(".SH EXIT STATUS").unwrap();
    let (table, _) = table.split_once("\n.SH ").unwrap();
    for code in ["0", "1", "2", "3", "64", "125", "126", "127", "141"] {
        assert!(table.contains(&format!("\n.B {code}\n")), "EXIT STATUS lacks {code}");
    }
    let help = text(&["--help"]);
    let (verbs, _) = help.split_once("Options:\n").unwrap();
    let verbs = verbs.lines();
    // What is wrapped stands further in.
    let verbs = verbs.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let page = page.replace("\\-", "-");
    assert!(verbs.clone().count() > 20, "{help}");
    for verb in verbs.filter_map(|line| line.split_whitespace().next()).filter(|verb| *verb != "help") {
        let named = [format!("overlayctl {verb}"), format!("overlayctl {verb}\"")];
        assert!(named.iter().any(|name| page.contains(name.as_str())), "the manual lacks overlayctl {verb}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    for args in [&["keys"][..], &["explain", "overlay"], &["completions", "bash"], &["config"]] {
        let (reader, writer) = nix::unistd::pipe().unwrap();
        drop(reader);
        let mut child = Command::new(env!("CARGO_BIN_EXE_overlayctl"))
            .args(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(141), ""), "{args:?}");
    }
}

#[test]
fn explain_tells_meaning_value_and_who_said_so() {
    let said = text(&["explain", "timeout", "--cmdline", "rd.overlay.timeout=5 rd.overlay.timeout=8"]);
    for want in [
        "rd.overlay.timeout=SECONDS",
        "Default: 30.",
        "here: 8 (rd.overlay.timeout=8 in /proc/cmdline)",
        "also rd.overlay.timeout=5 in /proc/cmdline: rd.overlay.timeout=8 in /proc/cmdline decides",
    ] {
        assert!(said.contains(want), "{want} in {said}");
    }
    let error = String::from_utf8(overlayctl(&["explain", "tiemout"]).stderr).unwrap();
    assert!(error.contains("did you mean rd.overlay.timeout?"), "{error}");
}
