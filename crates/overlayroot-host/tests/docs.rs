// SPDX-License-Identifier: GPL-2.0-or-later
//! The documents say what the tables of this crate say: every key, default, deprecated name,
//! reason code, step and field of the record.
#![allow(missing_docs, clippy::panic, reason = "tests")]

use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::keys::{KEYS, Key};
use overlayroot_core::parse::cmdline::Source;
use overlayroot_core::value::field::Origin;
use overlayroot_host::watch::journald::message_id;
use overlayroot_host::watch::levels::FillLevel;
use std::collections::{BTreeMap, BTreeSet};
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
    let head = |key: &Key| format!("{}={} ", key.name, key.syntax);
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

/// What stands between quotes right behind each of the `marks`, blanks between passed over.
fn quoted_behind(source: &str, marks: &[&str]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for mark in marks {
        for rest in source.split(mark).skip(1) {
            if let Some((word, _)) = rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')) {
                found.insert(word.to_owned());
            }
        }
    }
    found
}

/// The Rust files of these directories of `crates` and below, without their tests; none has to be named here.
fn sources(directories: &[&str]) -> Vec<(String, String)> {
    let mut open: Vec<String> = directories.iter().map(|directory| format!("crates/{directory}")).collect();
    let mut found = Vec::new();
    while let Some(directory) = open.pop() {
        let full = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(&directory);
        for entry in fs::read_dir(&full).unwrap_or_else(|error| panic!("{}: {error}", full.display())).flatten() {
            let path = format!("{directory}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                open.push(path);
            } else if path.ends_with(".rs") && !path.ends_with("/tests.rs") {
                let text = read(&path).split("#[cfg(test)]").next().unwrap_or_default().to_owned();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no source in {directories:?}");
    found
}

/// The same, in one text.
fn source(directories: &[&str]) -> String {
    sources(directories).into_iter().map(|(_, text)| text).collect()
}

/// The words that a plan's refusals use as codes, from their source: a code has no table.
fn refusal_codes() -> BTreeSet<String> {
    let codes = quoted_behind(&source(&["overlayroot-core/src"]), &["code:", "refuse(", "const CODE: &str ="]);
    for word in ["device-missing", "options-too-long", "populate", "look"] {
        assert!(codes.contains(word), "{word}: {codes:?}");
    }
    codes
}

fn step_names() -> BTreeSet<String> {
    let source = source(&["overlayroot-core/src"]);
    let bodies = source.split("pub fn name(&self) -> &'static str {").skip(1);
    let bodies = bodies.filter_map(|rest| rest.split_once("\n    }\n"));
    let names: BTreeSet<String> = bodies.flat_map(|(body, _)| quoted_behind(body, &["=>"])).collect();
    for word in ["look", "link-run", "make-subvolume", "write-partition"] {
        assert!(names.contains(word), "{word}: {names:?}");
    }
    names
}

/// The words that `overlayctl pull` uses as codes.
fn pull_codes() -> BTreeSet<String> {
    let source = source(&["overlayctl/src/pull"]) + &read("crates/overlayctl/src/pull.rs");
    let source = source + &read("crates/overlayroot-core/src/feature/pulled.rs");
    let codes = quoted_behind(&source, &["code:", "Failure::new("]);
    assert!(codes.contains("not-signed") && codes.contains("interrupted") && codes.contains("script"), "{codes:?}");
    codes
}

/// The words of a text that could be names of types.
fn type_names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with(|c: char| c.is_ascii_uppercase()))
}

/// Where the type `name` is that a file of overlayroot-core uses: in the file, or in one that a line with `use` names.
fn home(files: &BTreeMap<String, String>, path: &str, name: &str) -> Option<String> {
    let text = files.get(path)?;
    if [" struct ", " enum "].iter().any(|word| text.contains(&format!("\npub{word}{name} {{"))) {
        return Some(path.to_owned());
    }
    let uses = text.lines().find(|line| line.contains("use ") && type_names(line).any(|word| word == name))?;
    let module = uses.rsplit_once("::")?.0.trim_start_matches("pub ").trim_start_matches("use ");
    let inside = path.trim_end_matches(".rs").trim_end_matches("/mod");
    let other = match module.strip_prefix("crate::") {
        Some(module) => format!("crates/overlayroot-core/src/{}", module.replace("::", "/")),
        None => format!("{inside}/{}", module.replace("::", "/")),
    };
    let other = [".rs", "/mod.rs"].map(|end| other.clone() + end).into_iter().find(|file| files.contains_key(file))?;
    home(files, &other, name)
}

/// Every field that JSON of these types has, those of the types in it too.
fn fields(roots: &[(&str, &str)]) -> BTreeSet<String> {
    let files: BTreeMap<String, String> = sources(&["overlayroot-core/src"]).into_iter().collect();
    let at = |file: &str| format!("crates/overlayroot-core/src/{file}");
    let mut open: Vec<(String, String)> = roots.iter().map(|(file, name)| (at(file), (*name).to_owned())).collect();
    let (mut seen, mut found) = (BTreeSet::new(), BTreeSet::new());
    while let Some((path, name)) = open.pop() {
        if ["String", "Option", "Vec"].contains(&name.as_str()) {
            continue;
        }
        let path = home(&files, &path, &name).unwrap_or_else(|| panic!("{path}: where is {name}?"));
        if !seen.insert((path.clone(), name.clone())) {
            continue;
        }
        let text = files.get(&path).map(String::as_str).unwrap_or_default();
        let body = text.split_once(&format!("\npub struct {name} {{\n")).and_then(|(_, rest)| rest.split_once("\n}\n"));
        for line in body.into_iter().flat_map(|(body, _)| body.lines()) {
            if let Some((field, kind)) = line.strip_prefix("    pub ").and_then(|line| line.split_once(": ")) {
                found.insert(field.to_owned());
                open.extend(type_names(kind).map(|kind| (path.clone(), kind.to_owned())));
            }
        }
    }
    found
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
fn the_record_s_document_has_every_code_and_step() {
    let page = read("docs/reference/record.md");
    for code in refusal_codes().union(&step_names()).cloned().chain(pull_codes()) {
        assert!(page.contains(&format!("| `{code}` |")), "docs/reference/record.md has no row for `{code}`");
    }
}

#[test]
fn the_record_s_document_has_every_field_and_outcome() {
    let page = read("docs/reference/record.md");
    let fields = fields(&[("record/mod.rs", "Record"), ("feature/pulled.rs", "Pulled")]);
    // of the record, of what was asked for, of facts.rs, layout.rs and stale.rs
    for field in ["took_us", "path_dev", "packages", "marker", "differs"] {
        assert!(fields.contains(field), "{field}: {fields:?}");
    }
    for field in &fields {
        assert!(page.contains(&format!("`{field}`")), "docs/reference/record.md lacks the field `{field}`");
    }
    for word in ["applied", "degraded", "off", "refused", "failed", "done", "undone", "unit", "hook", "hand"] {
        assert!(page.contains(&format!("`{word}`")), "docs/reference/record.md lacks `{word}`");
    }
}

#[test]
fn the_package_of_debian_has_the_version_of_the_crates() {
    let changelog = read("debian/changelog");
    let first = changelog.lines().next().unwrap_or_default();
    assert!(first.starts_with(concat!("overlayroot-rs (", env!("CARGO_PKG_VERSION"), ") ")), "{first}");
}

/// A promise of SECURITY.md, and the file and the tests that hold it.
fn promises() -> Vec<(String, String, Vec<String>)> {
    let text = read("SECURITY.md");
    let (_, held) = text.split_once("\n## Tests\n").unwrap_or_else(|| panic!("no table of tests"));
    let rows = held.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    let mut promises = Vec::new();
    for row in rows.filter(|row| row.contains('`')) {
        let [promise, file, tests] = row.split(" | ").collect::<Vec<_>>()[..] else { panic!("three cells: {row}") };
        let words = |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
        let [file] = &words(file)[..] else { panic!("one file: {row}") };
        promises.push((promise.to_owned(), file.clone(), words(tests)));
    }
    promises
}

#[test]
fn every_promise_of_security_md_has_tests_and_each_is_there() {
    let text = read("SECURITY.md");
    let promises = promises();
    let (_, rest) = text.split_once("\n## What is defended\n").unwrap_or(("", &text));
    let (defended, _) = rest.split_once("\n## ").unwrap_or((rest, ""));
    let titles: Vec<&str> = defended.lines().filter_map(|line| line.strip_prefix("**")?.split("**").next()).collect();
    assert!(titles.len() >= 12, "{titles:?}");
    for title in titles {
        // Without what stands in brackets, and without its end.
        let short = title.split(" (").next().unwrap_or(title).trim_end_matches(['.', ',']);
        assert!(promises.iter().any(|(promise, ..)| short.starts_with(promise.as_str())), "{title}: no test is named");
    }
    for (promise, file, tests) in &promises {
        assert!(defended.contains(promise.as_str()), "{promise}: it is not promised");
        let source = read(file);
        assert!(file.ends_with(".toml") || !tests.is_empty(), "{promise}: {file} without tests");
        for test in tests {
            let (before, _) = source
                .split_once(&format!("fn {test}("))
                .unwrap_or_else(|| panic!("{promise}: {file} has no test {test}"));
            // A comment or an attribute may stand between.
            let near: Vec<&str> = before.lines().rev().take(6).collect();
            assert!(near.iter().any(|line| line.trim() == "#[test]"), "{promise}: {test} of {file} is no test");
            let own = near.iter().take_while(|line| line.trim() != "}");
            assert!(!own.into_iter().any(|line| line.contains("#[ignore")), "{promise}: {test} of {file} is not run");
        }
    }
}
