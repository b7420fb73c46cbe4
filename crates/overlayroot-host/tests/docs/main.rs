// SPDX-License-Identifier: GPL-2.0-or-later
//! The documents say what the tables of this crate say: every key, default, deprecated name,
//! reason code, step and field of the record.
#![allow(missing_docs, clippy::panic, reason = "tests")]

mod record;
mod security;
mod sources;

use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::keys::{KEYS, Key};
use overlayroot_core::parse::cmdline::Source;
use overlayroot_core::value::field::Origin;
use overlayroot_host::watch::journald::message_id;
use overlayroot_host::watch::levels::FillLevel;
use std::fs;
use std::path::Path;

/// A file of the repository.
fn read(path: &str) -> String {
    let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    fs::read_to_string(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display()))
}

/// A man page as a reader sees it: without font changes, break points, macros and line ends.
fn man(path: &str) -> String {
    let mut text = String::new();
    for line in read(path).lines() {
        let words = match line.split_once(' ') {
            // a heading or a tag ends what came before
            None if line.starts_with('.') => "\u{1}",
            Some((macro_name, rest)) if macro_name.starts_with('.') => rest,
            _ => line,
        };
        text.push_str(words);
        text.push(' ');
    }
    for (from, to) in
        [("\\-", "-"), ("\\:", ""), ("\\&", ""), ("\\fB", ""), ("\\fI", ""), ("\\fR", ""), ("\\fP", ""), ("\\~", " ")]
    {
        text = text.replace(from, to);
    }
    text
}

/// What follows the key's own line `NAME=SYNTAX`, up to the next key's or to the end.
fn section<'a>(page: &'a str, name: &str, key: &Key) -> &'a str {
    let head = |key: &Key| format!("{}={} ", key.name, key.syntax());
    let (_, rest) =
        page.split_once(&head(key)).unwrap_or_else(|| panic!("{name} lacks the line '{}'", head(key).trim()));
    let ends = KEYS.iter().filter_map(|other| rest.find(&head(other)));
    rest.get(..ends.min().unwrap_or(rest.len())).unwrap_or(rest)
}

/// How the pages write a default.
fn default(key: &Key) -> &'static str {
    if key.default.is_empty() { "none" } else { key.default }
}

/// Who has a package has no Makefile: nothing that a program or a page of the manual says needs one.
#[test]
fn no_advice_needs_the_source() {
    let targets = ["install", "enable", "disable", "deb", "dist", "test", "check"];
    let mut seen = 0;
    let mut todo = vec![
        Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/man"),
    ];
    while let Some(at) = todo.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                todo.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            let said = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in said {
                for target in targets {
                    assert!(!line.contains(&format!("make {target}")), "{}: {line}", path.display());
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn the_man_pages_have_every_key_with_its_syntax_and_default() {
    for name in ["docs/reference/man/overlayroot-rs.7", "docs/reference/man/overlayroot-rs.conf.5"] {
        let page = man(name);
        for key in KEYS {
            let want = format!("Default: {}.", default(key));
            assert!(section(&page, name, key).contains(&want), "{name} lacks '{want}' below {}", key.name);
        }
    }
}

#[test]
fn the_man_page_has_every_deprecated_name() {
    let name = "docs/reference/man/overlayroot-rs.7";
    let page = man(name);
    for key in KEYS {
        let words: Vec<&str> =
            section(&page, name, key).split_whitespace().map(|word| word.trim_end_matches([',', '.'])).collect();
        for old in key.deprecated {
            assert!(words.contains(old), "{name} lacks the deprecated {old} below {}", key.name);
        }
    }
}

#[test]
fn the_example_has_every_key_with_its_default_commented_out() {
    let example = read("docs/overlayroot-rs.conf.example");
    for key in KEYS {
        let want = format!("#{}={}", key.name, key.default);
        assert!(example.lines().any(|line| line == want), "the example lacks '{want}'");
    }
    assert!(example.lines().all(|line| line.is_empty() || line.starts_with('#')), "something is in force");
}

#[test]
fn the_example_taken_in_force_changes_nothing() {
    let example = read("docs/overlayroot-rs.conf.example");
    let has_default = |line: &&str| KEYS.iter().any(|key| !key.default.is_empty() && line.starts_with(key.name));
    let lines: Vec<&str> = example.lines().filter_map(|line| line.strip_prefix('#')).filter(has_default).collect();
    let read = |text: &str| Config::read(&Inputs { conf: vec![Source::new("example", text)], ..Inputs::default() });
    let (with, without) = (read(&lines.join("\n")), read(""));
    assert!(with.issues.is_empty(), "{:?}", with.issues);
    assert!(with.timeout.origin != Origin::Default, "the lines were not read: {lines:?}");
    assert_eq!(
        (with.upper.value, with.reset.value, with.readonly.value, with.fallback.value, with.timeout.value),
        (
            without.upper.value,
            without.reset.value,
            without.readonly.value,
            without.fallback.value,
            without.timeout.value
        )
    );
}

#[test]
fn the_message_ids_are_the_documents() {
    let (page, guide) = (man("docs/reference/man/overlayctl.8"), read("docs/guide/levels.md"));
    for (level, word) in
        [(FillLevel::Fine, "back to normal"), (FillLevel::Warning, "warning"), (FillLevel::Critical, "critical")]
    {
        let want = format!("{} ({word})", message_id(level));
        assert!(page.contains(&want), "docs/reference/man/overlayctl.8 lacks '{want}'");
        assert!(level == FillLevel::Fine || guide.contains(message_id(level)), "docs/guide/levels.md lacks {word}'s");
    }
}

#[test]
fn the_package_of_debian_has_the_version_of_the_crates() {
    let changelog = read("debian/changelog");
    let first = changelog.lines().next().unwrap_or_default();
    assert!(first.starts_with(concat!("overlayroot-rs (", env!("CARGO_PKG_VERSION"), ") ")), "{first}");
}
