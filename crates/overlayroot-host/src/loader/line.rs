// SPDX-License-Identifier: GPL-2.0-or-later
//! Kernel arguments put into a line of somebody else's file, and taken out again, byte by byte: what is not ours
//! keeps its spelling and its blanks.

use overlayroot_core::parse::cmdline::{Arg, is_space, spans};
use std::ops::Range;

/// Whether an argument is one of ours to take away: `rd.overlay`, what is below it, and every name beginning so.
pub fn is_ours(arg: &Arg) -> bool {
    arg.key.starts_with(b"rd.overlay")
}

/// Our arguments in a text, as `key=value` without the quotes of the kernel's command line.
pub fn ours(text: &[u8]) -> Vec<String> {
    spans(text).iter().filter(|(_, arg)| is_ours(arg)).map(|(_, arg)| arg.text()).collect()
}

/// The text without our arguments, each with one blank beside it.
pub fn without(text: &[u8]) -> Vec<u8> {
    let mut out = text.to_vec();
    for (span, _) in spans(text).into_iter().filter(|(_, arg)| is_ours(arg)).rev() {
        cut(&mut out, span);
    }
    out
}

/// Takes a span out together with the blank before it, or at the beginning the blank behind it.
pub fn cut(text: &mut Vec<u8>, span: Range<usize>) {
    let blank = |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(|&byte| is_space(byte));
    let (from, to) = match span.start {
        0 if blank(Some(span.end)) => (0, span.end + 1),
        start if blank(start.checked_sub(1)) => (start - 1, span.end),
        start => (start, span.end),
    };
    let to = to.min(text.len());
    text.drain(from.min(to)..to);
}

/// The text with these arguments, written as they are, behind all others.
///
/// # Errors
/// A quote before them that is not closed would swallow them.
pub fn with(text: &[u8], args: &[String]) -> Result<Vec<u8>, String> {
    if text.iter().filter(|&&byte| byte == b'"').count() % 2 == 1 {
        return Err("a quote in it is not closed".to_owned());
    }
    let mut out = text.to_vec();
    for arg in args {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(arg.as_bytes());
    }
    Ok(out)
}

/// A line without its end, and the end: LF, CR LF or nothing.
pub fn split_end(line: &[u8]) -> (&[u8], &[u8]) {
    let body = line.strip_suffix(b"\n").map(|body| body.strip_suffix(b"\r").unwrap_or(body)).unwrap_or(line);
    line.split_at(body.len())
}

/// Lines with their ends.
pub fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|&byte| byte == b'\n').collect()
}

/// Which of the lines of a file of arguments takes new ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// The first: the only one that a Raspberry Pi's firmware hears.
    First,
    /// The last that says something (kernel-install joins all).
    Last,
}

/// A file that holds nothing but arguments.
///
/// # Errors
/// As [`with`].
pub fn edit_file(text: &[u8], at: Where, args: &[String]) -> Result<Vec<u8>, String> {
    let says = |line: &&[u8]| {
        let line = line.trim_ascii();
        !line.is_empty() && !line.starts_with(b"#")
    };
    let all = lines(text);
    let chosen = match at {
        Where::First => 0,
        Where::Last => all.iter().rposition(&says).unwrap_or(0),
    };
    let comment = |line: &&[u8]| at == Where::Last && line.trim_ascii_start().starts_with(b"#");
    if !args.is_empty() && all.get(chosen).is_some_and(comment) {
        return Err("it has comments only".to_owned());
    }
    let mut out = Vec::with_capacity(text.len() + 64);
    for (i, line) in all.iter().enumerate() {
        let (body, end) = split_end(line);
        let heard = if at == Where::First { i == 0 } else { says(line) || i == chosen };
        match heard && !comment(line) {
            true => out.extend(match i == chosen {
                true => with(&without(body), args)?,
                false => without(body),
            }),
            false => out.extend_from_slice(body),
        }
        out.extend_from_slice(end);
    }
    if all.is_empty() {
        out = with(b"", args)?;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(args: &[&str]) -> Vec<String> {
        args.iter().map(|arg| (*arg).to_owned()).collect()
    }

    fn there(text: &str, args: &[&str]) -> String {
        String::from_utf8(with(text.as_bytes(), &strings(args)).unwrap()).unwrap()
    }

    #[test]
    fn only_ours_go_and_blanks_stay() {
        let text = br#"  quiet rd.overlay="LABEL=my disk"  rd.overlay.timeout=5 rd.live.overlay=x	splash "#;
        assert_eq!(String::from_utf8(without(text)).unwrap(), "  quiet  rd.live.overlay=x\tsplash ");
        assert_eq!(without(b"rd.overlay quiet"), b"quiet");
        assert_eq!(without(b"rd.overlayroot-rs.x=1 rd.overlay=0"), b"");
        assert_eq!(ours(text), ["rd.overlay=LABEL=my disk", "rd.overlay.timeout=5"]);
    }

    #[test]
    fn new_ones_come_last() {
        assert_eq!(there("", &["rd.overlay=tmpfs"]), "rd.overlay=tmpfs");
        assert_eq!(there("quiet ", &["a", "b=c"]), "quiet  a b=c");
        assert!(with(b"x=\"open", &strings(&["a"])).is_err());
    }

    #[test]
    fn files_of_one_line_and_of_several() {
        let edit = |text: &str, at| {
            let out = edit_file(text.as_bytes(), at, &strings(&["rd.overlay=tmpfs"])).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert_eq!(edit("console=tty1 rootwait\r\n", Where::First), "console=tty1 rootwait rd.overlay=tmpfs\r\n");
        assert_eq!(edit("a\nrd.overlay\n", Where::First), "a rd.overlay=tmpfs\nrd.overlay\n");
        assert_eq!(edit("# x\na rd.overlay\nb\n\n", Where::Last), "# x\na\nb rd.overlay=tmpfs\n\n");
        assert_eq!(edit("", Where::Last), "rd.overlay=tmpfs");
    }

    proptest::proptest! {
        #[test]
        fn there_and_back_is_the_same(text in "[ a-c=\\t#\\r\\n]{0,60}(rd\\.live\\.overlay=1)?[ \\n]{0,2}", first: bool) {
            let at = if first { Where::First } else { Where::Last };
            let args = strings(&["rd.overlay=tmpfs:size=1G", "rd.overlay.timeout=5"]);
            let Ok(there) = edit_file(text.as_bytes(), at, &args) else { return Ok(()) };
            // a file that is one comment takes nothing
            let back = edit_file(&there, at, &[]).unwrap();
            proptest::prop_assert_eq!(String::from_utf8(back).unwrap(), text);
            let again = edit_file(&there, at, &args).unwrap();
            proptest::prop_assert_eq!(again, there);
        }
    }
}
