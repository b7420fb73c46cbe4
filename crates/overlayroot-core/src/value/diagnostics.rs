// SPDX-License-Identifier: GPL-2.0-or-later
//! What is wrong with something the user wrote, in one line with key, value, source and a hint.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What is wrong with a value, and what may have been meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In words.
    pub text: String,
    /// The nearest right spelling.
    pub nearest: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest}?"))
    }
}

impl Problem {
    /// The text is one line, and no longer than can be read.
    pub(crate) fn new(text: impl AsRef<str>, nearest: Option<String>) -> Self {
        Self { text: sentence(text.as_ref()), nearest }
    }

    /// A word that is none of those that are known.
    pub(crate) fn not_one_of(told: &str, word: &str, words: &[&str]) -> Self {
        Self::new(format!("{told} is not one of {}", words.join(", ")), suggest(word, words.iter().copied()))
    }
}

/// One unknown key or bad value. It never stops parsing; strict policies treat it as a failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// The key as written.
    pub key: String,
    /// The value as written; bytes that are not UTF-8 are replaced.
    pub value: String,
    /// File it came from, such as `/proc/cmdline`.
    pub source: String,
    /// What is wrong, without the three above.
    pub text: String,
    /// The nearest right spelling, where one is near.
    pub nearest: Option<String>,
}

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", escape(&self.key))?;
        if !self.value.is_empty() {
            write!(f, "={}", escape(&self.value))?;
        }
        write!(f, " in {}: {}", self.source, self.text)?;
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean {nearest}?"),
            None => Ok(()),
        }
    }
}

/// A value fit for one line of a log: control characters escaped, at most 120 characters.
pub fn escape(text: &str) -> String {
    cut(text, 120)
}

/// Whether a terminal obeys a character instead of showing it: control characters, other ends of lines, and the marks
/// of direction, by which a line reads otherwise than it is (Unicode standard annex 9, section 2).
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Text for a terminal, as long as it is: without what [`steers`] it but line ends and tabs.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match steers(c) && !matches!(c, '\n' | '\t') {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    out
}

/// What is wrong, fit for one line, whatever of the value was put into it: at most 400 characters.
pub(crate) fn sentence(text: &str) -> String {
    cut(text, 400)
}

fn cut(text: &str, most: usize) -> String {
    let mut out = String::new();
    for c in text.chars().take(most) {
        match steers(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    let all = text.chars().count();
    if all > most {
        out.push_str(&format!("... ({all} characters)"));
    }
    out
}

/// The candidate most like `word`, if any is like enough to be what was meant.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    nearest_of(word, &mut candidates.into_iter())
}

/// Once for all kinds of iterators: each would cost the initramfs 800 bytes.
fn nearest_of(word: &str, candidates: &mut dyn Iterator<Item = &str>) -> Option<String> {
    // Long hostile values would make the comparison quadratic in their length.
    let word: String = word.chars().take(64).collect();
    let mut best = (0.85, None);
    for candidate in candidates {
        let score = strsim::jaro_winkler(&word, candidate);
        if score > best.0 {
            best = (score, Some(candidate));
        }
    }
    best.1.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_names_key_value_source_and_spelling() {
        let issue = Issue {
            key: "rd.overlay.rest".into(),
            value: "1\n2".into(),
            source: "/proc/cmdline".into(),
            text: "unknown key".into(),
            nearest: suggest("rd.overlay.rest", ["rd.overlay.reset", "rd.overlay.timeout"]),
        };
        assert_eq!(
            issue.to_string(),
            "rd.overlay.rest=1\\n2 in /proc/cmdline: unknown key; did you mean rd.overlay.reset?"
        );
    }

    #[test]
    fn what_turns_a_line_round_is_escaped() {
        for c in ['\u{202e}', '\u{2066}', '\u{200f}', '\u{61c}', '\u{2028}', '\u{85}', '\u{1b}'] {
            let name = format!("a{c}b");
            let escaped = format!("a{}b", c.escape_default());
            assert_eq!((escape(&name), plain(&name)), (escaped.clone(), escaped));
        }
        assert_eq!((escape("א ب ä"), plain("א ب ä\n\t")), ("א ب ä".into(), "א ب ä\n\t".into()));
    }

    #[test]
    fn nothing_near_gives_no_hint() {
        assert_eq!(suggest("xyzzy", ["tmpfs", "ro", "none", "halt"]), None);
    }
}
