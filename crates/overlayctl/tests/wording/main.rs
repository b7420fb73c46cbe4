// SPDX-License-Identifier: GPL-2.0-or-later
//! All that users read has the words that they know: a table of wordings that were hard to read, and of what is said
//! instead.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod table;
mod texts;

use table::ROWS;
use texts::{Text, all, has, literals, plain};

/// Each place where a wording of the table stands without leave.
fn hits(texts: &[Text]) -> Vec<String> {
    let mut found = Vec::new();
    for row in ROWS {
        for phrase in row.never {
            for text in texts.iter().filter(|text| has(&text.text, phrase)) {
                if !row.right.iter().any(|(place, near, _)| text.from.contains(place) && text.text.contains(near)) {
                    found.push(format!("{}: '{phrase}'; say: {}", text.from, row.say));
                }
            }
        }
    }
    found
}

#[test]
fn nothing_is_said_that_has_better_words() {
    let found = hits(all());
    assert!(found.is_empty(), "{} wordings:\n{}", found.len(), found.join("\n"));
}

#[test]
fn each_row_finds_what_it_replaced() {
    for row in ROWS {
        let texts = [Text { from: "what was said".into(), text: plain(row.was) }];
        assert!(hits(&texts).iter().any(|hit| hit.ends_with(row.say)), "'{}' has none of {:?}", row.was, row.never);
        assert!(!row.never.iter().any(|phrase| has(&plain(row.say), phrase)), "{} is not better", row.say);
        assert!(row.never.iter().all(|phrase| plain(phrase) == *phrase), "{:?} can't be found", row.never);
    }
}

#[test]
fn what_is_better_is_said() {
    let texts = all();
    for row in ROWS.iter().filter(|row| !row.stands.is_empty()) {
        // What a value stands for is left out: '...'.
        for part in row.say.split("...").map(plain).filter(|part| !part.is_empty()) {
            let mut there = texts.iter().filter(|text| text.from.contains(row.stands));
            assert!(there.any(|text| text.text.contains(&part)), "{} does not say '{part}'", row.stands);
        }
    }
}

#[test]
fn each_exception_is_needed() {
    let texts = all();
    for row in ROWS {
        for (place, near, why) in row.right {
            let needed = |text: &Text| {
                let here = text.from.contains(place) && text.text.contains(near);
                here && row.never.iter().any(|phrase| has(&text.text, phrase))
            };
            assert!(texts.iter().any(needed), "{:?} in {place} ({why}) is nowhere", row.never);
        }
    }
}

/// What is not read can't be found to be wrong.
#[test]
fn all_that_users_read_is_read() {
    let texts = all();
    for (from, part) in [
        ("overlayctl/src/commands/shell/keeper.rs", "the lower was modified; reboot required"),
        // a string over two lines, with a backslash
        ("overlayroot-host/src/doctor/running.rs", "but its modules go to the upper, and"),
        ("overlayroot-initramfs/src/args.rs", "does nothing where that record exists"),
        ("overlayroot-populate/src/", "usage"),
        ("overlayctl --help", "check the configuration before booting"),
        ("overlayctl watch --help", "monitor usage and alert at thresholds"),
        ("overlayctl uppers describe --help", "description"),
        ("overlayctl trash empty --help", "delete"),
        // over the lines of a page, and over fonts
        (
            "docs/reference/man/overlayctl.8",
            "compares the record that the initramfs left in /run/overlayroot/state.json with",
        ),
        ("docs/reference/man/overlayroot-rs.7", "makes the root an overlay before the system starts"),
        ("docs/reference/man/overlayroot-rs.conf.5", "these files have the same keys"),
        ("README.md", "overlayroot-rs"),
        ("docs/guide/boot-loaders.md", "boot loader"),
        ("docs/overlayroot-rs.conf.example", "overlay"),
        ("systemd-units/host", "upper"),
        ("dracut/55overlayroot-rs/module-setup.sh", "dracut"),
        ("debian/overlayroot-rs.postinst", "to enable: overlayctl enable --rebuild"),
        ("debian/control", "installing it changes nothing"),
        ("packaging/overlayroot-rs.spec", "to enable: overlayctl enable --rebuild"),
        ("tests/vm/src/demo", "overlay"),
    ] {
        let found = texts.iter().any(|text| text.from.contains(from) && text.text.contains(part));
        assert!(found, "{from} does not have '{part}'");
    }
    assert!(texts.iter().filter(|text| text.from.ends_with("--help")).count() > 36, "verbs");
    assert!(texts.len() > 3000, "{}", texts.len());
}

#[test]
fn the_strings_of_a_source() {
    let source = r####"//! "no"
/// "no"
/* "no" */
fn f<'a>(x: &'a str) -> char { g("one \"two\" \
     three", '"', '\'', '\\'); h(r#"raw "x" \n"#, b"bytes"); number!("four\nfive"); 'x' }
"####;
    let found = literals(source);
    let want = [(4, "one \"two\" three"), (5, "raw \"x\" \\n"), (5, "bytes"), (5, "four five")];
    assert_eq!(found, want.map(|(line, text)| (line, text.to_owned())));
}

#[test]
fn a_phrase_is_words_of_its_own() {
    let text = plain("Begun **anew**,\n  by `it`self; manual");
    assert_eq!(text, "begun anew, by itself; manual");
    for (phrase, there) in [("anew", true), ("begun anew", true), ("anew,", true), ("new", false), ("man", false)] {
        assert_eq!(has(&text, phrase), there, "{phrase}");
    }
}
