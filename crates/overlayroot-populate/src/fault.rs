// SPDX-License-Identifier: GPL-2.0-or-later
//! Why it could not be done: a word for scripts, a line for people.

use rustix::io::Errno;
use std::fmt;
use std::io;

/// A reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `fetch`, `sha256`, `archive`, `no-room` or `io` (docs/reference/record.md).
    pub word: &'static str,
    /// One line.
    pub text: String,
}

/// What every function here gives back.
pub type Result<T> = std::result::Result<T, Fault>;

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.word, self.text)
    }
}

/// The archive is at fault.
pub fn archive<T>(text: impl Into<String>) -> Result<T> {
    Err(Fault { word: "archive", text: text.into() })
}

/// A reason of a function elsewhere.
pub fn io(error: impl fmt::Display) -> Fault {
    Fault { word: "io", text: format!("{error:#}") }
}

/// Names what a call was made for.
pub trait At<T> {
    /// The reason, with `what` before it. A full file system has a word of its own.
    fn at(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            // What has no number comes from a decoder.
            let word = match error.raw_os_error() {
                _ if full => "no-room",
                Some(_) => "io",
                None => "archive",
            };
            Fault { word, text: format!("{}: {error}", what()) }
        })
    }
}

impl<T> At<T> for std::result::Result<T, Errno> {
    fn at(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(io::Error::from).at(what)
    }
}

/// A name of an archive, fit for a line.
pub fn shown(name: &[u8]) -> String {
    overlayroot_core::value::diagnostics::escape(&String::from_utf8_lossy(name))
}
