// SPDX-License-Identifier: GPL-2.0-or-later
//! Which room may use which (docs/internals/architecture.md), that neither of the pure crates touches the machine, and
//! that no file is too long to be read at once.
//!
//! The sources are read as text: what is not a test in them, and of that every path that begins with `crate::` or `super::`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each may use those before it.
const CORE: [&str; 12] =
    ["value", "keys", "parse", "layout", "facts", "feature", "step", "upper", "path", "config", "plan", "record"];
/// The same of what only the booted host decides.
const HOST: [&str; 10] =
    ["settings", "loader", "servicing", "watch", "resize", "next", "migrate", "pull", "trim", "doctor"];
/// And of what touches the machine.
const LINUX: [&str; 8] = ["log", "sys", "source", "probe", "step", "commit", "boot", "tool"];
/// And of the program; its `main` calls what `cli` has read.
const CTL: [&str; 4] = ["output", "state", "commands", "cli"];
/// The top of a crate, and what only its tests have.
const OF_NONE: [&str; 3] = ["lib", "main", "testing"];
/// What only programs may use that do something.
const IMPURE: [&str; 8] =
    ["std::fs", "std::process", "std::env", "std::net", "std::os", "std::thread", "SystemTime", "Instant"];
/// Most lines of a file, tests among them.
const MOST_LINES: usize = 300;

#[test]
fn rooms_use_only_those_before_them() {
    let crates = [
        ("overlayroot-core", &CORE[..]),
        ("overlayroot-host", &HOST[..]),
        ("overlayroot-linux", &LINUX[..]),
        ("overlayctl", &CTL[..]),
    ];
    for (crate_name, order) in crates {
        let sources = sources(crate_name);
        let rooms: BTreeSet<&str> =
            sources.keys().map(|module| room(module)).filter(|room| !OF_NONE.contains(room)).collect();
        assert_eq!(rooms, order.iter().copied().collect(), "{crate_name} has other rooms than this test knows");
        for (module, text) in &sources {
            let Some(own) = order.iter().position(|name| *name == room(module)) else { continue };
            for used in paths(text) {
                let at = order.iter().position(|name| *name == used[0]);
                assert!(at.is_some_and(|at| at <= own), "{crate_name}: {module} uses {}", used.join("::"));
            }
        }
    }
}

/// Which crates of ours each may name.
const EDGES: [(&str, &[&str]); 8] = [
    ("overlayroot-core", &[]),
    ("overlayroot-diff", &[]),
    ("overlayroot-host", &["overlayroot-core"]),
    ("overlayroot-linux", &["overlayroot-core", "overlayroot-host"]),
    ("overlayroot-initramfs", &["overlayroot-core", "overlayroot-linux"]),
    ("overlayroot-populate", &["overlayroot-core", "overlayroot-linux"]),
    ("overlayroot-commit", &["overlayroot-core", "overlayroot-linux"]),
    ("overlayctl", &["overlayroot-core", "overlayroot-diff", "overlayroot-host", "overlayroot-linux"]),
];

#[test]
fn crates_use_only_those_that_the_diagram_has() {
    for (crate_name, may) in EDGES {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(crate_name).join("Cargo.toml");
        let text = fs::read_to_string(own).unwrap();
        let used = text.split("[dev-dependencies]").next().unwrap().split("[dependencies]").nth(1).unwrap_or_default();
        for (other, _) in EDGES {
            let names = used.lines().any(|line| line.starts_with(other));
            assert!(!names || may.contains(&other), "{crate_name} uses {other}");
        }
    }
    // Of what is in an initramfs only `tool` names the host's, and that is linked into no program there.
    for (module, text) in sources("overlayroot-linux") {
        assert!(module.starts_with("tool") || !has_word(&text, "overlayroot_host"), "{module} names the host's crate");
    }
}

#[test]
fn circles_in_a_room_are_between_it_and_its_children() {
    for crate_name in [
        "overlayroot-core",
        "overlayroot-host",
        "overlayroot-linux",
        "overlayroot-diff",
        "overlayroot-initramfs",
        "overlayroot-populate",
        "overlayroot-commit",
        "overlayctl",
    ] {
        let sources = sources(crate_name);
        let uses: BTreeMap<&str, BTreeSet<&str>> =
            sources.iter().map(|(module, text)| (module.as_str(), used_modules(module, text, &sources))).collect();
        for module in sources.keys() {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&str> = uses[module.as_str()].iter().copied().collect();
            while let Some(next) = open.pop() {
                assert!(next != module, "{crate_name}: {module} uses itself by {seen:?}");
                if seen.insert(next) {
                    open.extend(uses[next].iter().copied());
                }
            }
        }
    }
}

#[test]
fn neither_of_them_touches_the_machine() {
    for crate_name in ["overlayroot-core", "overlayroot-host"] {
        for (module, text) in sources(crate_name) {
            for word in IMPURE {
                assert!(!has_word(&text, word), "{crate_name}: {module} has {word}");
            }
        }
    }
}

#[test]
fn no_file_is_longer_than_can_be_read_at_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for top in ["crates", "tests"] {
        rust_files(&root.join(top), &mut files);
    }
    assert!(files.len() > 400, "{} files of the workspace were found", files.len());
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    let long: Vec<_> = files.iter().map(|path| (lines(path), path)).filter(|(lines, _)| *lines > MOST_LINES).collect();
    assert!(long.is_empty(), "split by subject, or move tests to a file beside: {long:#?}");
}

/// What is tested here is found: a test that reads nothing passes.
#[test]
fn uses_are_found() {
    let text = "use crate::a::{b, c::{D, e}, self};\nfn f() { crate::g::h() } // crate::no\n\"crate::x\";\n#[cfg(test)]\nuse crate::y;\nuse crate::w;\n#[cfg(test)]\nmod t {\nuse crate::z; }";
    let found: Vec<String> = paths(&code(text)).into_iter().map(|path| path.join("::")).collect();
    assert_eq!(found, ["a::b", "a::c::D", "a::c::e", "a::self", "g::h", "x", "w"]);
    assert!(
        has_word("use std::fs;", "std::fs") && !has_word("my_std::fs", "std::fs") && !has_word("std::fsx", "std::fs")
    );
    assert!(sources("overlayroot-core").len() > 60 && sources("overlayroot-host").len() > 40);
}

/// Each module's code by its path: `upper/mod.rs` is `upper`, `upper/dir.rs` is `upper::dir`.
fn sources(crate_name: &str) -> BTreeMap<String, String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(crate_name).join("src");
    let (mut files, mut found) = (Vec::new(), BTreeMap::new());
    rust_files(&top, &mut files);
    for path in files.iter().filter(|path| !path.ends_with("tests.rs")) {
        let name = path.strip_prefix(&top).unwrap().with_extension("").display().to_string();
        let name = name.strip_suffix("/mod").unwrap_or(&name).replace('/', "::");
        let text = absolute(&code(&fs::read_to_string(path).unwrap()), &name);
        found.insert(name, text);
    }
    found
}

/// Every Rust file of a directory and below, but what a build has left there.
fn rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

/// With `super::` as what it stands for.
fn absolute(text: &str, module: &str) -> String {
    let mut parents: Vec<&str> = module.split("::").collect();
    let mut all = Vec::new();
    while parents.pop().is_some() {
        let above: String = parents.iter().flat_map(|part| [*part, "::"]).collect();
        all.push(format!("crate::{above}"));
    }
    let supers = |count: usize| "super::".repeat(count);
    let deepest_first = all.iter().enumerate().rev();
    deepest_first.fold(text.to_owned(), |text, (at, path)| text.replace(&supers(at + 1), path))
}

/// Without comments, and without what only its tests have: single lines anywhere, a module at its end.
fn code(text: &str) -> String {
    let mut lines = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    let mut kept = Vec::new();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push(line);
        } else if lines.next().is_some_and(|item| item.ends_with('{')) {
            break;
        }
    }
    kept.join("\n")
}

fn room(module: &str) -> &str {
    module.split("::").next().unwrap_or(module)
}

/// The modules that it uses, but not those that it lies in, and not its own children.
fn used_modules<'a>(module: &str, text: &str, all: &'a BTreeMap<String, String>) -> BTreeSet<&'a str> {
    let mut used = BTreeSet::new();
    for path in paths(text) {
        let longest = (1..=path.len()).rev().find_map(|end| all.get_key_value(&path[..end].join("::")));
        let Some((name, _)) = longest else { continue };
        let is_in = |outer: &str, inner: &str| inner == outer || inner.starts_with(&format!("{outer}::"));
        if !is_in(name, module) && !is_in(module, name) {
            used.insert(name.as_str());
        }
    }
    used
}

/// Every path behind `crate::`, groups taken apart.
fn paths(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        read(&text[at + "crate::".len()..], &[], &mut found);
    }
    found
}

/// Reads one path, or each of a group; gives back what is left.
fn read<'a>(text: &'a str, before: &[String], found: &mut Vec<Vec<String>>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start().trim_start_matches(',').trim_start();
            if rest.is_empty() {
                return rest;
            }
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
            let left = read(rest, before, found);
            rest = if left.len() == rest.len() { &rest[rest.len().min(1)..] } else { left };
        }
    }
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);
    let path: Vec<String> = before.iter().cloned().chain([word.to_owned()]).collect();
    match rest.strip_prefix("::") {
        Some(more) if more.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '{') => read(more, &path, found),
        _ => {
            found.push(path);
            rest
        }
    }
}

fn has_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let after = &text[at + word.len()..];
        !text[..at].ends_with(part) && !after.starts_with(part)
    })
}
