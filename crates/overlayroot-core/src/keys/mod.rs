// SPDX-License-Identifier: GPL-2.0-or-later
//! The one table of keys. Arguments, configuration files, man pages, `--help` and the record
//! use its words; `overlayroot-host/tests/docs` fails where a man page lacks a row.

mod name;
mod told;

pub use name::{is_known, is_ours, nearest_name};

use crate::value::diagnostics::{Problem, suggest};
use serde::{Deserialize, Serialize};

/// One key of the kernel command line and of the configuration files.
#[derive(Debug)]
pub struct Key {
    /// Its name; dracut compares names byte by byte, `-`, `_` and `.` are different.
    pub name: &'static str,
    /// Older names dracut-ng still takes, looked at only where `name` does not occur.
    pub deprecated: &'static [&'static str],
    /// What holds where the key does not occur.
    pub default: &'static str,
}

/// `rd.overlay`.
pub static OVERLAY: Key =
    Key { name: "rd.overlay", deprecated: &["rd.live.overlay.overlayfs", "rd.live.overlay"], default: "0" };
/// `rd.overlay.reset`.
pub static RESET: Key = Key { name: "rd.overlay.reset", deprecated: &["rd.live.overlay.reset"], default: "0" };
/// `rd.overlay.readonly`.
pub static READONLY: Key = Key {
    name: "rd.overlay.readonly",
    deprecated: &["rd.live.overlay.readonly", "rd.live.overlayfs.readonly"],
    default: "0",
};
/// `rd.overlay.name`.
pub static NAME: Key = Key { name: "rd.overlay.name", deprecated: &[], default: "overlay" };
/// `rd.overlay.crypt`.
pub static CRYPT: Key = Key { name: "rd.overlay.crypt", deprecated: &[], default: "" };
/// `rd.overlay.fallback`.
pub static FALLBACK: Key = Key { name: "rd.overlay.fallback", deprecated: &[], default: "tmpfs" };
/// `rd.overlay.timeout`.
pub static TIMEOUT: Key = Key { name: "rd.overlay.timeout", deprecated: &[], default: "30" };
/// `rd.overlay.stale`.
pub static STALE: Key = Key { name: "rd.overlay.stale", deprecated: &[], default: "warn" };
/// `rd.overlay.image.sha256`.
pub static IMAGE_SHA256: Key = Key { name: "rd.overlay.image.sha256", deprecated: &[], default: "" };
/// `rd.overlay.image.cache`.
pub static IMAGE_CACHE: Key = Key { name: "rd.overlay.image.cache", deprecated: &[], default: "" };
/// `rd.overlay.hostname`.
pub static HOSTNAME: Key = Key { name: "rd.overlay.hostname", deprecated: &[], default: "" };
/// `rd.overlay.populate`.
pub static POPULATE: Key = Key { name: "rd.overlay.populate", deprecated: &[], default: "" };
/// `rd.overlay.git`.
pub static GIT: Key = Key { name: "rd.overlay.git", deprecated: &[], default: "" };
/// `rd.overlay.git.verify`.
pub static GIT_VERIFY: Key = Key { name: "rd.overlay.git.verify", deprecated: &[], default: "" };
/// `rd.overlay.path`.
pub static PATH: Key = Key { name: "rd.overlay.path", deprecated: &[], default: "" };
/// `rd.overlay.path.dev`.
pub static PATH_DEV: Key = Key { name: "rd.overlay.path.dev", deprecated: &[], default: "" };
/// `rd.overlay.watch.warn`.
pub static WATCH_WARN: Key = Key { name: "rd.overlay.watch.warn", deprecated: &[], default: "70" };
/// `rd.overlay.watch.critical`.
pub static WATCH_CRITICAL: Key = Key { name: "rd.overlay.watch.critical", deprecated: &[], default: "90" };
/// `rd.overlay.watch.textfile`.
pub static WATCH_TEXTFILE: Key = Key { name: "rd.overlay.watch.textfile", deprecated: &[], default: "" };

/// Every key, in the order the manual lists them.
pub static KEYS: [&Key; 19] = [
    &OVERLAY,
    &RESET,
    &READONLY,
    &NAME,
    &CRYPT,
    &FALLBACK,
    &TIMEOUT,
    &STALE,
    &IMAGE_SHA256,
    &IMAGE_CACHE,
    &HOSTNAME,
    &POPULATE,
    &GIT,
    &GIT_VERIFY,
    &PATH,
    &PATH_DEV,
    &WATCH_WARN,
    &WATCH_CRITICAL,
    &WATCH_TEXTFILE,
];

/// Ubuntu's argument, mapped onto the same configuration (overlayroot-rs(7), COMPATIBILITY).
pub const UBUNTU: &str = "overlayroot";

/// Longest wait, in seconds, that `rd.overlay.timeout` may ask for: one day.
pub const MOST_TIMEOUT: u32 = 86_400;

/// What to boot where the overlay asked for can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fallback {
    /// An overlay with its upper in RAM; dracut-ng's behaviour, but loud.
    Tmpfs,
    /// The root read-only, without an overlay.
    Ro,
    /// The plain root as it is.
    None,
    /// No root: the emergency shell.
    Halt,
}

impl Fallback {
    /// Every value in the words of the grammar.
    pub const ALL: [(&'static str, Fallback); 4] =
        [("tmpfs", Fallback::Tmpfs), ("ro", Fallback::Ro), ("none", Fallback::None), ("halt", Fallback::Halt)];

    /// Its word in the grammar.
    pub fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, value)| *value == self);
        found.map_or("tmpfs", |(word, _)| word)
    }

    /// Whether a mistake in the configuration is a failure of its own.
    pub fn strict(self) -> bool {
        self != Fallback::Tmpfs
    }
}

/// dracut's boolean: false for exactly `0`, `no` and `off`; bare and empty are true.
pub fn parse_bool(value: Option<&str>) -> bool {
    !matches!(value, Some("0" | "no" | "off"))
}

/// What a boolean was meant to be; `None` where nobody can tell. dracut takes all but `0`, `no` and `off` for true,
/// and `rd.overlay.reset=false` would discard what it says to keep.
pub fn meant(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "" | "1" | "yes" | "on" | "true" | "y" | "t" => Some(true),
        "0" | "no" | "off" | "false" | "n" | "f" | "none" | "never" | "disable" | "disabled" => Some(false),
        _ => None,
    }
}

/// The value of `rd.overlay.fallback`.
pub fn parse_fallback(value: &str) -> Result<Fallback, Problem> {
    let found = Fallback::ALL.iter().find(|(word, _)| *word == value);
    found.map(|(_, fallback)| *fallback).ok_or_else(|| {
        let near = suggest(value, Fallback::ALL.iter().map(|(word, _)| *word));
        Problem::new("not one of tmpfs, ro, none, halt; using the default tmpfs", near)
    })
}

/// The value of `rd.overlay.timeout`, in seconds.
pub fn parse_timeout(value: &str) -> Result<u32, Problem> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    match value.parse::<u32>() {
        Ok(seconds) if digits && seconds <= MOST_TIMEOUT => Ok(seconds),
        _ => Err(Problem::new(
            format!("not a number of seconds from 0 to {MOST_TIMEOUT}; using the default {}", TIMEOUT.default),
            None,
        )),
    }
}

#[cfg(test)]
mod tests;
