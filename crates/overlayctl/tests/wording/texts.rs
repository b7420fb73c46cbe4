// SPDX-License-Identifier: GPL-2.0-or-later
//! All that users read: messages, help, manual, documents, units, and what the module and the packages say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Something that users read, and where it comes from.
pub struct Text {
    /// A file with the line, or a command.
    pub from: String,
    /// As [`plain`] has it.
    pub text: String,
}

/// In lower case, one blank for each gap, and without marks of Markdown, so that a phrase is found across lines.
pub fn plain(text: &str) -> String {
    let text: String = text.to_lowercase().chars().filter(|c| !matches!(c, '*' | '`')).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the phrase stands there, as words of its own.
pub fn has(text: &str, phrase: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(phrase).any(|(at, found)| {
        let (before, after) = (text.get(..at).unwrap_or_default(), text.get(at + found.len()..).unwrap_or_default());
        let inside = |c: Option<char>, end: Option<char>| part(c) && part(end);
        !inside(before.chars().next_back(), found.chars().next())
            && !inside(after.chars().next(), found.chars().next_back())
    })
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Files below a directory of the repository whose name ends so, sorted.
fn below(directory: &str, ends: &[&str]) -> Vec<String> {
    let (mut open, mut found) = (vec![directory.to_owned()], Vec::new());
    while let Some(here) = open.pop() {
        for entry in fs::read_dir(repository().join(&here)).unwrap_or_else(|error| panic!("{here}: {error}")) {
            let entry = entry.unwrap();
            let path = format!("{here}/{}", entry.file_name().to_string_lossy());
            if entry.path().is_dir() {
                open.push(path);
            } else if ends.iter().any(|end| path.ends_with(end)) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// All of it, read once.
pub fn all() -> &'static [Text] {
    static ALL: OnceLock<Vec<Text>> = OnceLock::new();
    ALL.get_or_init(collect)
}

fn collect() -> Vec<Text> {
    let mut all = messages();
    all.extend(help());
    let mut add = |from: &str, text: String| all.push(Text { from: from.to_owned(), text: plain(&text) });
    for path in below("docs/reference/man", &[".5", ".7", ".8"]) {
        add(&path, manual(&read(&path)));
    }
    for path in ["README.md", "SECURITY.md", "CHANGELOG.md", "CONTRIBUTING.md"] {
        add(path, read(path));
    }
    for path in below("docs", &[".md", ".example"]) {
        add(&path, read(&path));
    }
    for path in below("systemd-units", &[".service", ".target", ".conf"]) {
        for line in read(&path).lines().filter_map(|line| line.strip_prefix("Description=")) {
            add(&path, line.to_owned());
        }
    }
    let mut scripts = below("dracut", &[".sh", ".conf"]);
    scripts.extend(below("debian", &["postinst", "prerm", "postrm", "control"]));
    scripts.extend(below("packaging", &[".spec"]));
    for path in scripts {
        let said = read(&path);
        let said: Vec<&str> = said.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        add(&path, said.join("\n"));
    }
    all
}

/// What the programs print: each string of their sources, without the tests.
fn messages() -> Vec<Text> {
    let mut found = Vec::new();
    let mut paths = below("crates", &[".rs"]);
    // `make demo` is for users, the rest of the harness is not
    paths.extend(below("tests/vm/src", &[".rs"]).into_iter().filter(|path| path.contains("/demo")));
    for path in paths {
        if path.contains("/tests/") || path.ends_with("tests.rs") {
            continue;
        }
        for (line, text) in literals(before_tests(&read(&path))) {
            found.push(Text { from: format!("{path}:{line}"), text: plain(&text) });
        }
    }
    found
}

/// The tests of a file stand at its end.
fn before_tests(source: &str) -> &str {
    let ends = ["\n#[cfg(test)]\nmod ", "\n#[cfg(test)]\n#[path", "\n#[cfg(test)]\n#[allow"];
    let end = ends.iter().filter_map(|end| source.find(end)).min();
    end.and_then(|end| source.get(..end)).unwrap_or(source)
}

/// The strings of a source, each with the number of its first line. Comments are none, also those of documentation.
pub fn literals(source: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = source.chars().collect();
    let at = |place: usize| chars.get(place).copied().unwrap_or('\0');
    let (mut found, mut place, mut line) = (Vec::new(), 0, 1);
    while place < chars.len() {
        let word = place > 0 && (at(place - 1).is_alphanumeric() || at(place - 1) == '_');
        let hashes = (0..).take_while(|n| at(place + 1 + n) == '#').count();
        let end = match (at(place), at(place + 1)) {
            ('/', '/') => (place..chars.len()).find(|place| at(*place) == '\n').unwrap_or(chars.len()),
            ('/', '*') => (place + 2..chars.len())
                .find(|end| at(*end) == '/' && at(end - 1) == '*')
                .map_or(chars.len(), |end| end + 1),
            ('r', _) if !word && at(place + 1 + hashes) == '"' => {
                let begin = place + hashes + 2;
                let closes = |end: &usize| at(*end) == '"' && (1..=hashes).all(|n| at(end + n) == '#');
                let end = (begin..chars.len()).find(closes).unwrap_or(chars.len());
                found.push((line, chars.get(begin..end).unwrap_or_default().iter().collect()));
                end + 1 + hashes
            }
            ('"', _) => {
                let (text, end) = quoted(&chars, place + 1);
                found.push((line, text));
                end
            }
            // a quote or a backslash as a character, not a lifetime
            ('\'', '\\') => (place + 3..chars.len()).find(|end| at(*end) == '\'').map_or(chars.len(), |end| end + 1),
            ('\'', _) if at(place + 2) == '\'' => place + 3,
            _ => place + 1,
        };
        line += (place..end.min(chars.len())).filter(|place| at(*place) == '\n').count();
        place = end;
    }
    found
}

/// A string from behind its quote on, and where it ends. A backslash at the end of a line takes the next one's blanks.
fn quoted(chars: &[char], mut place: usize) -> (String, usize) {
    let mut text = String::new();
    while let Some(c) = chars.get(place).filter(|c| **c != '"') {
        place += 1;
        if *c != '\\' {
            text.push(*c);
            continue;
        }
        let escaped = chars.get(place).copied().unwrap_or('\0');
        place += 1;
        match escaped {
            'n' | 't' | 'r' => text.push(' '),
            '\n' => {
                while chars.get(place).is_some_and(|c| c.is_whitespace()) {
                    place += 1;
                }
            }
            other => text.push(other),
        }
    }
    (text, place + 1)
}

/// A manual page as a reader sees it: without fonts, break points and macros. A macro without words, such as a tag's,
/// ends what came before.
fn manual(page: &str) -> String {
    let mut text = String::new();
    for line in page.lines().filter(|line| !line.starts_with(".\\\"") && !line.starts_with("'\\\"")) {
        let said = match line.split_once(' ') {
            Some((name, said)) if name.starts_with('.') => said,
            None if line.starts_with('.') => "|",
            _ => line,
        };
        text.push_str(said);
        text.push(' ');
    }
    for (from, to) in
        [("\\-", "-"), ("\\:", ""), ("\\&", ""), ("\\~", " "), ("\\(aq", "'"), ("\\(dq", "\""), ("\"", "")]
    {
        text = text.replace(from, to);
    }
    for font in ["\\fB", "\\fI", "\\fR", "\\fP"] {
        text = text.replace(font, "");
    }
    // the blank between a word and the full stop that the macro sets apart
    text.replace(" .", ".").replace(" ,", ",")
}

/// The help of every verb, those that only services call included.
fn help() -> Vec<Text> {
    let (mut open, mut found) = (vec![Vec::new()], Vec::new());
    open.extend(["label", "keep", "watch", "trim"].map(|hidden| vec![hidden.to_owned()]));
    while let Some(verb) = open.pop() {
        let output = Command::new(env!("CARGO_BIN_EXE_overlayctl")).args(&verb).arg("--help").output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("Usage:"), "{verb:?}: {text}");
        let verbs = text.split_once("Options:").map_or(text.as_str(), |(verbs, _)| verbs);
        let verbs = verbs.split_once("Usage:").map_or("", |(_, verbs)| verbs);
        // What is wrapped stands further in, an argument begins with < or [.
        let verbs = verbs.lines().filter_map(|line| line.strip_prefix("  "));
        for below in verbs.filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase())) {
            let name = below.split_whitespace().next().unwrap_or_default().to_owned();
            if name != "help" {
                open.push([verb.clone(), vec![name]].concat());
            }
        }
        found.push(Text {
            from: [vec!["overlayctl".to_owned()], verb, vec!["--help".to_owned()]].concat().join(" "),
            text: plain(&text),
        });
    }
    found
}
