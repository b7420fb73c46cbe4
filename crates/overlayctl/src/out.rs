// SPDX-License-Identifier: GPL-2.0-or-later
//! Printing, for the whole crate: colours only where stdout is a terminal, and a reader that goes away
//! (`overlayctl keys | head -1`) is no panic. The macros stand before std's.
//!
//! What a file, a name, a label or a record holds is not to steer the terminal: what goes to one goes through
//! [`Plain`], whoever printed it, and has no control characters but line ends, tabs and our own colours.

use crate::exit::Exit;
use overlayroot_core::issue::plain;
use std::fmt::{self, Arguments, Write as _};
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static ENDS: AtomicBool = AtomicBool::new(false);
static PAGED: AtomicBool = AtomicBool::new(false);

/// Prints to stdout.
macro_rules! print {
    ($($arg:tt)*) => { $crate::out::put(format_args!($($arg)*), false) };
}

/// Prints to stdout, with a line end.
macro_rules! println {
    () => { $crate::out::put(format_args!(""), true) };
    ($($arg:tt)*) => { $crate::out::put(format_args!($($arg)*), true) };
}

/// Prints to stderr.
macro_rules! eprint {
    ($($arg:tt)*) => { $crate::out::put_error(format_args!($($arg)*), false) };
}

/// Prints to stderr, with a line end.
macro_rules! eprintln {
    () => { $crate::out::put_error(format_args!(""), true) };
    ($($arg:tt)*) => { $crate::out::put_error(format_args!($($arg)*), true) };
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

/// Hands on what is written to it, as [`plain`] has it. A piece that is one colour or one attribute and nothing else
/// is what anstyle writes, and so is the start of the bar's line; a value that is just that can colour at most.
struct Plain<'a> {
    to: &'a mut dyn Write,
    failed: Option<std::io::Error>,
}

impl fmt::Write for Plain<'_> {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let own = piece == CLEAR || is_colour(piece);
        let bytes = if own { piece.to_owned() } else { plain(piece) };
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
    let result = write(&mut anstream::stdout().lock(), args, line, for_terminal());
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
    let _ = write(&mut anstream::stderr().lock(), args, line, true);
}

fn write(to: &mut dyn Write, args: Arguments<'_>, line: bool, is_plain: bool) -> std::io::Result<()> {
    match is_plain {
        true => {
            let mut plain = Plain { to: &mut *to, failed: None };
            let written = plain.write_fmt(args);
            let failed = plain.failed.take();
            written.map_err(|_| failed.unwrap_or_else(|| ErrorKind::Other.into()))?;
        }
        false => to.write_fmt(args)?,
    }
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
            assert_eq!(
                write(&mut Gone, format_args!("x{}", 1), true, plain).unwrap_err().kind(),
                ErrorKind::BrokenPipe
            );
            let mut text = Vec::new();
            write(&mut text, format_args!("x{}", 1), true, plain).unwrap();
            assert_eq!(text, b"x1\n");
        }
    }

    fn on_terminal(args: Arguments<'_>) -> String {
        let mut text = Vec::new();
        write(&mut text, args, false, true).unwrap();
        String::from_utf8(text).unwrap()
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
