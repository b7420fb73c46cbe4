// SPDX-License-Identifier: GPL-2.0-or-later
//! Printing, for the whole crate: colours only where stdout is a terminal, and a reader that goes away
//! (`overlayctl keys | head -1`) is no panic. The macros stand before std's.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// What a shell says of a program that SIGPIPE ended; Rust programs ignore that signal.
const SIGPIPE_STATUS: i32 = 141;

static ENDS: AtomicBool = AtomicBool::new(false);

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

/// Writes to stdout; see the macros.
pub fn put(args: Arguments<'_>, line: bool) {
    let result = write(&mut anstream::stdout().lock(), args, line);
    let Err(error) = result else { return };
    if error.kind() != ErrorKind::BrokenPipe {
        put_error(format_args!("overlayctl: writing to stdout: {error}"), true);
    }
    if ENDS.load(Ordering::Relaxed) {
        let pipe = error.kind() == ErrorKind::BrokenPipe;
        std::process::exit(if pipe { SIGPIPE_STATUS } else { 3 });
    }
}

/// Writes to stderr; where that fails nobody can be told.
pub fn put_error(args: Arguments<'_>, line: bool) {
    let _ = write(&mut anstream::stderr().lock(), args, line);
}

fn write(to: &mut dyn Write, args: Arguments<'_>, line: bool) -> std::io::Result<()> {
    to.write_fmt(args)?;
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
        assert_eq!(write(&mut Gone, format_args!("x{}", 1), true).unwrap_err().kind(), ErrorKind::BrokenPipe);
        let mut text = Vec::new();
        write(&mut text, format_args!("x{}", 1), true).unwrap();
        assert_eq!(text, b"x1\n");
    }
}
