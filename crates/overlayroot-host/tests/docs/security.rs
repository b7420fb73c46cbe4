// SPDX-License-Identifier: GPL-2.0-or-later
//! SECURITY.md: each promise has tests, and each of them is there.

use crate::read;

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
