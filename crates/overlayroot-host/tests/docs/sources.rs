// SPDX-License-Identifier: GPL-2.0-or-later
//! What the sources say, read as text: codes, names of steps, and fields of types.

use crate::read;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

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
pub(crate) fn refusal_codes() -> BTreeSet<String> {
    let codes = quoted_behind(&source(&["overlayroot-core/src"]), &["code:", "refuse(", "const CODE: &str ="]);
    for word in ["device-missing", "options-too-long", "populate", "look"] {
        assert!(codes.contains(word), "{word}: {codes:?}");
    }
    codes
}

pub(crate) fn step_names() -> BTreeSet<String> {
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
pub(crate) fn pull_codes() -> BTreeSet<String> {
    let source = source(&["overlayctl/src/commands/pull"]) + &read("crates/overlayctl/src/commands/pull.rs");
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
pub(crate) fn fields(roots: &[(&str, &str)]) -> BTreeSet<String> {
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
