// SPDX-License-Identifier: GPL-2.0-or-later
//! What the manual says of a key, out of the page itself: there is no second text to keep in step.

use overlayroot_core::keys::{KEYS, Key};

/// overlayroot-rs(7), as it is installed.
const PAGE: &str = include_str!("../../../../docs/reference/man/overlayroot-rs.7");

/// The paragraphs below a key's own line, as plain text; empty where the page has none.
pub fn about(key: &Key) -> Vec<String> {
    let mut lines = PAGE.lines().skip_while(|line| !is_head(line, key)).skip(1).peekable();
    let mut paragraphs = Vec::new();
    let mut text = String::new();
    while let Some(line) = lines.next() {
        match line.split_once(' ').map_or(line, |(first, _)| first) {
            ".SH" | ".SS" => break,
            ".TP" if lines.peek().is_some_and(|next| KEYS.iter().any(|other| is_head(next, other))) => break,
            ".IP" | ".PP" | ".TP" | ".P" | ".LP" => {
                paragraphs.push(std::mem::take(&mut text));
                if let Some(mark) = line.strip_prefix(".IP ").and_then(|rest| rest.split(' ').next()) {
                    text.push_str(&plain(mark));
                }
            }
            name if name.starts_with('.') && !is_font(name) => {}
            _ => {
                let words = said(line);
                if !text.is_empty() && !words.is_empty() {
                    text.push(' ');
                }
                text.push_str(&words);
            }
        }
    }
    paragraphs.push(text);
    paragraphs.retain(|paragraph| !paragraph.is_empty());
    paragraphs
}

/// Whether the line is the tag under which a key is described.
fn is_head(line: &str, key: &Key) -> bool {
    is_font(line.split(' ').next().unwrap_or_default()) && said(line).trim() == format!("{}={}", key.name, key.syntax())
}

fn is_font(name: &str) -> bool {
    matches!(name, ".B" | ".I" | ".R" | ".BR" | ".RB" | ".BI" | ".IB" | ".RI" | ".IR")
}

/// One line without its macros and escapes.
fn said(line: &str) -> String {
    match line.split_once(' ') {
        // These two set every word in its font, the others join words of changing fonts.
        Some((".B" | ".I" | ".R", rest)) => plain(rest),
        Some((name, rest)) if is_font(name) => words(rest).concat(),
        _ => plain(line),
    }
}

/// The arguments of a macro: blanks part them, but not between quotes.
fn words(rest: &str) -> Vec<String> {
    let (mut all, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in rest.chars() {
        match c {
            '"' => quoted = !quoted,
            ' ' if !quoted => all.push(plain(&std::mem::take(&mut word))),
            other => word.push(other),
        }
    }
    all.push(plain(&word));
    all
}

fn plain(text: &str) -> String {
    const ESCAPES: [(&str, &str); 16] = [
        ("\\-", "-"),
        ("\\:", ""),
        ("\\&", ""),
        ("\\fB", ""),
        ("\\fI", ""),
        ("\\fR", ""),
        ("\\fP", ""),
        ("\\~", " "),
        ("\\ ", " "),
        ("\\(aq", "'"),
        ("\\(dq", "\""),
        ("\\(bu", "*"),
        ("\\(ha", "^"),
        ("\\(ti", "~"),
        ("\\(em", "-"),
        ("\\e", "\\"),
    ];
    ESCAPES.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_its_text_and_nothing_of_the_next() {
        for key in KEYS {
            let text = about(key).join("\n");
            let default = if key.default.is_empty() { "none" } else { key.default };
            assert!(text.contains(&format!("Default: {default}.")), "{}: {text}", key.name);
            assert!(!text.contains("\\f") && !text.contains("\\(") && !text.contains("\\-"), "{}: {text}", key.name);
            for other in KEYS.iter().filter(|other| other.name != key.name) {
                assert!(
                    !text.contains(&format!("{}={}", other.name, other.syntax())),
                    "{} has {}",
                    key.name,
                    other.name
                );
            }
        }
    }

    #[test]
    fn lines_as_a_reader_sees_them() {
        assert_eq!(said(".BR 0 ,"), "0,");
        assert_eq!(said(".BR tmpfs: \\fIparameters\\fR:"), "tmpfs:parameters:");
        assert_eq!(said(".B tune2fs \\-O project,quota"), "tune2fs -O project,quota");
        assert_eq!(said(".RB ( \"e2fsck \\-p\" )"), "(e2fsck -p)");
    }
}
