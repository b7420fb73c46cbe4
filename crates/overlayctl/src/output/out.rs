// SPDX-License-Identifier: GPL-2.0-or-later
//! Printing, for the whole crate: colours only where stdout is a terminal, and a reader that goes away
//! (`overlayctl keys | head -1`) is no panic. The macros stand before std's. Signs that ASCII lacks become others
//! where the locale is not UTF-8, and prose is folded at the terminal's width; JSON is neither.
//!
//! What a file, a name, a label or a record holds is not to steer the terminal: what goes to one goes through
//! [`Plain`], whoever printed it, and has no control characters but line ends, tabs and our own colours.

use crate::output::exit::Exit;
use overlayroot_core::value::diagnostics::plain;
use std::fmt::{self, Arguments, Write as _};
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static ENDS: AtomicBool = AtomicBool::new(false);
static PAGED: AtomicBool = AtomicBool::new(false);
static COLUMNS: OnceLock<Option<usize>> = OnceLock::new();
static ASCII: OnceLock<bool> = OnceLock::new();

/// The signs that we print, and what stands for them in ASCII.
const SIGNS: [(char, &str); 4] = [('\u{2588}', "#"), ('\u{2591}', "."), ('\u{25cf}', "*"), ('\u{2026}', "...")];

/// Prints to stdout.
macro_rules! print {
    ($($arg:tt)*) => { $crate::output::out::put(format_args!($($arg)*), false) };
}

/// Prints to stdout, with a line end.
macro_rules! println {
    () => { $crate::output::out::put(format_args!(""), true) };
    ($($arg:tt)*) => { $crate::output::out::put(format_args!($($arg)*), true) };
}

/// Prints to stderr.
macro_rules! eprint {
    ($($arg:tt)*) => { $crate::output::out::put_error(format_args!($($arg)*), false) };
}

/// Prints to stderr, with a line end.
macro_rules! eprintln {
    () => { $crate::output::out::put_error(format_args!(""), true) };
    ($($arg:tt)*) => { $crate::output::out::put_error(format_args!($($arg)*), true) };
}

/// From now on the program ends where nobody reads any more. Not for verbs that change something: they go on.
pub fn end_with_the_reader() {
    ENDS.store(true, Ordering::Relaxed);
}

/// Stdout is the pipe of a pager from now on, and so still for a terminal.
pub fn is_paged() {
    PAGED.store(true, Ordering::Relaxed);
}

/// Whether stdout ends at a terminal, by way of a pager or not.
pub fn for_terminal() -> bool {
    PAGED.load(Ordering::Relaxed) || std::io::stdout().is_terminal()
}

/// Columns of the terminal; `None` where stdout ends at none. A pager asks before it takes stdout's place.
pub fn columns() -> Option<usize> {
    *COLUMNS.get_or_init(|| {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    })
}

/// Prose that begins in column `indent`, in lines that fit the terminal; whole where none is there.
pub fn fold(indent: usize, text: &str) -> String {
    columns().map_or_else(|| text.to_owned(), |columns| folded(indent, text, columns))
}

/// At blanks; a word that is longer than a line stays whole.
fn folded(indent: usize, text: &str, columns: usize) -> String {
    const LEAST: usize = 20;
    let width = columns.saturating_sub(indent);
    if width < LEAST {
        return text.to_owned();
    }
    let (mut out, mut column) = (String::with_capacity(text.len()), 0);
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && column + 1 + length > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = 0;
        } else if index > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

/// Whether the locale's characters are not those of UTF-8 (locale(7): the first that is set).
fn is_ascii() -> bool {
    *ASCII.get_or_init(|| {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        !is_utf8(&["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default())
    })
}

fn is_utf8(locale: &str) -> bool {
    let (_, charset) = locale.split_once('.').unwrap_or_default();
    let charset = charset.split('@').next().unwrap_or_default();
    charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
}

/// The text as the locale can have it.
fn in_locale(text: String, ascii: bool) -> String {
    match ascii && !text.is_ascii() {
        true => SIGNS.iter().fold(text, |text, (sign, instead)| text.replace(*sign, instead)),
        false => text,
    }
}

/// Prints JSON to stdout: for programs, whatever the locale is.
///
/// # Errors
/// Where it can't be written as JSON.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(value)?;
    to_stdout(format_args!("{text}"), true, false);
    Ok(())
}

/// Hands on what is written to it, as [`plain`] has it where that is wanted. A piece that is one colour or one attribute and nothing else
/// is what anstyle writes, and so is the start of the bar's line; a value that is just that can colour at most.
struct Plain<'a> {
    to: &'a mut dyn Write,
    how: How,
    failed: Option<std::io::Error>,
}

/// What becomes of a text on its way.
#[derive(Debug, Clone, Copy)]
struct How {
    /// Nothing in it steers a terminal.
    plain: bool,
    /// Our own signs are in ASCII.
    ascii: bool,
}

impl fmt::Write for Plain<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let own = !self.how.plain || piece == CLEAR || is_colour(piece);
        let bytes = in_locale(if own { piece.to_owned() } else { plain(piece) }, self.how.ascii);
        self.to.write_all(bytes.as_bytes()).map_err(|error| {
            self.failed = Some(error);
            fmt::Error
        })
    }
}

/// Goes back to the start of the line, and empties it.
pub const CLEAR: &str = "\r\x1b[K";

/// Reset, bold, dimmed, and the eight colours, plain and bright (ECMA-48, SGR).
fn is_colour(piece: &str) -> bool {
    let code = piece.strip_prefix("\x1b[").and_then(|rest| rest.strip_suffix('m'));
    code.and_then(|code| code.parse::<u8>().ok()).is_some_and(|code| matches!(code, 0..=2 | 30..=37 | 90..=97))
}

/// Writes to stdout; see the macros.
pub fn put(args: Arguments<'_>, line: bool) {
    to_stdout(args, line, is_ascii());
}

fn to_stdout(args: Arguments<'_>, line: bool, ascii: bool) {
    let result = write(&mut anstream::stdout().lock(), args, line, How { plain: for_terminal(), ascii });
    let Err(error) = result else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        put_error(format_args!("overlayctl: writing to stdout: {error}"), true);
    }
    if ENDS.load(Ordering::Relaxed) {
        let pipe = error.kind() == ErrorKind::BrokenPipe;
        if pipe { Exit::Unread.now() } else { Exit::Failed.now() }
    }
}

/// Writes to stderr; where that fails nobody can be told.
pub fn put_error(args: Arguments<'_>, line: bool) {
    // Wherever it goes: nobody reads it but people, and journald takes it as it is.
    let _ = write(&mut anstream::stderr().lock(), args, line, How { plain: true, ascii: is_ascii() });
}

fn write(to: &mut dyn Write, args: Arguments<'_>, line: bool, how: How) -> std::io::Result<()> {
    let mut plain = Plain { to: &mut *to, how, failed: None };
    let written = plain.write_fmt(args);
    let failed = plain.failed.take();
    written.map_err(|_| failed.unwrap_or_else(|| ErrorKind::Other.into()))?;
    if line { to.write_all(b"\n") } else { to.flush() }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_is_an_error_and_no_panic() {
        for plain in [false, true] {
            let how = How { plain, ascii: false };
            let error = write(&mut Gone, format_args!("x{}", 1), true, how).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            let mut text = Vec::new();
            write(&mut text, format_args!("x{}", 1), true, how).unwrap();
            assert_eq!(text, b"x1\n");
        }
    }

    fn on_terminal(args: Arguments<'_>) -> String {
        let mut text = Vec::new();
        write(&mut text, args, false, How { plain: true, ascii: false }).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[test]
    fn our_signs_are_ascii_where_the_locale_is_not_utf_8() {
        for (locale, utf8) in [
            ("", false),
            ("C", false),
            ("POSIX", false),
            ("de_DE.ISO-8859-1", false),
            ("de_DE@euro", false),
            ("C.UTF-8", true),
            ("de_DE.utf8", true),
            ("de_DE.UTF-8@euro", true),
        ] {
            assert_eq!(is_utf8(locale), utf8, "{locale}");
        }
        let in_ascii = |plain| {
            let mut text = Vec::new();
            let sign = "\u{25cf}";
            write(&mut text, format_args!("{sign} {}", "\u{2588}\u{2591}\u{2026}"), true, How { plain, ascii: true })
                .unwrap();
            String::from_utf8(text).unwrap()
        };
        assert_eq!((in_ascii(true).as_str(), in_ascii(false).as_str()), ("* #....\n", "* #....\n"));
    }

    #[test]
    fn prose_is_folded_at_blanks() {
        let text = "a few words that go on and on, /with/a/path/that/has/no/blank/in/it at all";
        let lines = folded(4, text, 30);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines[0], "a few words that go on and");
        assert!(lines[1..].iter().all(|line| line.starts_with("    ")), "{lines:?}");
        assert!(lines.contains(&"    /with/a/path/that/has/no/blank/in/it"), "{lines:?}");
        let joined: Vec<&str> = lines.iter().map(|line| line.trim_start()).collect();
        assert_eq!(joined.join(" "), text);
        assert_eq!(folded(24, text, 40), text, "no room for words");
        assert_eq!(folded(0, "x", 80), "x");
    }

    #[test]
    fn our_colours_stay_and_what_a_value_has_is_escaped() {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        let value = "a\x1b[31mb\x07\r\u{9b}2J";
        assert_eq!(
            on_terminal(format_args!("{red}x {value:<3}{red:#}\ty\n")),
            "\x1b[1m\x1b[31mx a\\u{1b}[31mb\\u{7}\\r\\u{9b}2J\x1b[0m\ty\n"
        );
        assert_eq!(on_terminal(format_args!("{CLEAR}{}", "x")), "\r\x1b[Kx");
    }

    proptest::proptest! {
        #[test]
        fn no_value_steers_the_terminal(values in proptest::collection::vec("([ -~]|\\PC|[\x00-\x1f\x7f-\u{9f}]|\x1b\\[[0-9;?]{0,4}[a-zA-Z]){0,12}", 1..4)) {
            let bold = anstyle::Style::new().bold();
            let mut text = String::new();
            for value in &values {
                text += &on_terminal(format_args!("{bold}{value}{bold:#} {value:>4}\n"));
            }
            for colour in (0..=2).chain(30..=37).chain(90..=97) {
                text = text.replace(&format!("\x1b[{colour}m"), "");
            }
            proptest::prop_assert!(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{text:?}");
        }
    }
}
