// SPDX-License-Identifier: GPL-2.0-or-later
//! The kernel command line as dracut lexes it. Must not interpret any key.
//!
//! dracut joins its sources with spaces and hands the whole to `dracut-util`, whose tokenizer is
//! the kernel's `next_arg` (lib/cmdline.c): double quotes hold spaces and are removed only at
//! the ends of a value or token, there are no escapes, and an unclosed quote runs to the end,
//! also across sources. `vm content` holds this file against the real program of each test root.

use std::ops::Range;

/// One place arguments come from, in the order of rising precedence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Path a person can open, such as `/proc/cmdline`.
    pub name: String,
    /// Its raw bytes; the kernel passes on whatever the boot loader gave, not only UTF-8.
    pub text: Vec<u8>,
    /// It is the kernel's own command line, of this boot or of one to come; Ubuntu's argument counts only there.
    pub kernels: bool,
}

impl Source {
    /// A source from anything that is bytes.
    pub fn new(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        let name = name.into();
        Self { kernels: name == "/proc/cmdline", name, text: text.into() }
    }

    /// The command line that a boot loader will hand to a kernel, named by the file it stands in.
    pub fn handed(name: impl Into<String>, text: impl Into<Vec<u8>>) -> Self {
        Self { kernels: true, ..Self::new(name, text) }
    }
}

/// One `key` or `key=value` of the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arg {
    /// Bytes before the first `=` that is not the token's first byte.
    pub key: Vec<u8>,
    /// `None` for a bare key; `Some(empty)` for `key=`.
    pub value: Option<Vec<u8>>,
    /// Name of the [`Source`] in which the token starts.
    pub source: String,
}

impl Arg {
    /// `key=value` for a person to read, bytes that are not UTF-8 replaced.
    pub fn text(&self) -> String {
        let key = String::from_utf8_lossy(&self.key);
        match &self.value {
            Some(value) => format!("{key}={}", String::from_utf8_lossy(value)),
            None => key.into_owned(),
        }
    }
}

/// The kernel's `isspace` is Latin-1: 0xA0 counts, even inside a UTF-8 sequence.
pub fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ' | 0xA0)
}

/// Splits all sources into arguments, first source first; the last occurrence of a key wins.
pub fn lex(sources: &[Source]) -> Vec<Arg> {
    let mut joined = Vec::new();
    let mut starts = Vec::new();
    for source in sources {
        starts.push((joined.len(), source.name.as_str()));
        // The shell that reads the files drops NUL and turns line ends into spaces.
        joined.extend(source.text.iter().filter(|&&byte| byte != 0).map(|&byte| match byte {
            b'\n' => b' ',
            other => other,
        }));
        joined.push(b' ');
    }
    let name_at = |offset: usize| {
        let found = starts.iter().rev().find(|(start, _)| *start <= offset);
        found.map_or("", |(_, name)| name).to_owned()
    };
    let mut args = Vec::new();
    let mut at = 0;
    while let Some(rest) = joined.get(at..) {
        let Some(skip) = rest.iter().position(|&byte| !is_space(byte)) else {
            break;
        };
        at += skip;
        let (len, key, value) = next_arg(joined.get(at..).unwrap_or_default());
        args.push(Arg { key, value, source: name_at(at) });
        at += len.max(1);
    }
    args
}

/// The arguments of one text with the bytes that each takes up, quotes included, in their order.
pub fn spans(text: &[u8]) -> Vec<(Range<usize>, Arg)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(skip) = rest.iter().position(|&byte| !is_space(byte)) else {
            break;
        };
        at += skip;
        let (len, key, value) = next_arg(text.get(at..).unwrap_or_default());
        let end = at + len.max(1);
        found.push((at..end, Arg { key, value, source: String::new() }));
        at = end;
    }
    found
}

/// One token: how many bytes it takes, its key and its value.
fn next_arg(text: &[u8]) -> (usize, Vec<u8>, Option<Vec<u8>>) {
    let quoted = text.first() == Some(&b'"');
    let body = if quoted { text.get(1..).unwrap_or_default() } else { text };
    let mut in_quote = quoted;
    let mut equals = None;
    let mut end = body.len();
    for (i, &byte) in body.iter().enumerate() {
        if is_space(byte) && !in_quote {
            end = i;
            break;
        }
        // `equals == 0` means "none yet" in the kernel: a leading `=` belongs to the key.
        if byte == b'=' && i > 0 && equals.is_none() {
            equals = Some(i);
        }
        if byte == b'"' {
            in_quote = !in_quote;
        }
    }
    let mut token = body.get(..end).unwrap_or_default();
    // An opening quote of the value and one closing quote go; the closing one may have been
    // asked for by the token's own opening quote, or by the value's: at most one is there to go.
    let value_quoted = equals.is_some_and(|eq| token.get(eq + 1) == Some(&b'"'));
    if (quoted || value_quoted) && token.last() == Some(&b'"') {
        token = token.get(..token.len() - 1).unwrap_or_default();
    }
    let taken = end + usize::from(quoted);
    match equals {
        None => (taken, token.to_vec(), None),
        Some(eq) => {
            let key = token.get(..eq).unwrap_or_default().to_vec();
            let from = eq + 1 + usize::from(value_quoted);
            (taken, key, Some(token.get(from..).unwrap_or_default().to_vec()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, Option<String>)> {
        let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        lex(&[Source::new("/proc/cmdline", text)])
            .iter()
            .map(|arg| (utf8(&arg.key), arg.value.as_deref().map(utf8)))
            .collect()
    }

    fn one(text: &str) -> (String, Option<String>) {
        let all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?} gave {all:?}");
        all.into_iter().next().unwrap()
    }

    #[test]
    fn quotes_hold_spaces_and_go() {
        let want = ("rd.overlay".to_owned(), Some("LABEL=my disk".to_owned()));
        assert_eq!(one(r#"rd.overlay="LABEL=my disk""#), want);
        assert_eq!(one(r#""rd.overlay=LABEL=my disk""#), want);
    }

    #[test]
    fn quotes_inside_a_value_stay() {
        assert_eq!(one(r#"a=b"c d"e"#), ("a".into(), Some(r#"b"c d"e"#.into())));
        assert_eq!(one(r#"a=b"c""#), ("a".into(), Some(r#"b"c""#.into())));
    }

    #[test]
    fn an_unclosed_quote_runs_to_the_end() {
        assert_eq!(one(r#"a="b c d "#), ("a".into(), Some("b c d  ".into())));
    }

    #[test]
    fn bare_and_empty_differ() {
        assert_eq!(pairs("a a= =x"), [("a".into(), None), ("a".into(), Some(String::new())), ("=x".into(), None)]);
    }

    #[test]
    fn a_double_dash_does_not_end_parsing() {
        assert_eq!(pairs("-- rd.overlay").len(), 2);
    }

    #[test]
    fn every_source_counts_and_is_named() {
        let args =
            lex(&[Source::new("/etc/cmdline", "rd.overlay=0\n"), Source::new("/proc/cmdline", "quiet rd.overlay")]);
        let got: Vec<_> = args.iter().map(|a| (a.text(), a.source.as_str())).collect();
        assert_eq!(
            got,
            [
                ("rd.overlay=0".to_owned(), "/etc/cmdline"),
                ("quiet".to_owned(), "/proc/cmdline"),
                ("rd.overlay".to_owned(), "/proc/cmdline")
            ]
        );
    }

    #[test]
    fn latin1_hard_space_splits_as_in_the_kernel() {
        let args = lex(&[Source::new("x", b"a\xA0b".to_vec())]);
        assert_eq!(args.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn spans_are_what_lex_reads(text in "[ a=\"\t\u{a0}]{0,20}") {
            let text = text.into_bytes();
            let spanned: Vec<Arg> = spans(&text).into_iter().map(|(_, arg)| arg).collect();
            // lex puts a blank behind each source, which only an open quote takes in
            if text.iter().filter(|&&byte| byte == b'"').count() % 2 == 0 {
                proptest::prop_assert_eq!(spanned, lex(&[Source::new("", text)]));
            }
        }

        #[test]
        fn never_panics_and_never_makes_bytes_up(text: Vec<u8>) {
            let total: usize = lex(&[Source::new("x", text.clone())])
                .iter()
                .map(|arg| arg.key.len() + arg.value.as_ref().map_or(0, Vec::len))
                .sum();
            proptest::prop_assert!(total <= text.len() + 1);
        }
    }
}
