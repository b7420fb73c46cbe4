// SPDX-License-Identifier: GPL-2.0-or-later
//! Where log lines go: stderr with syslog prefixes that journald understands, and the kernel's
//! log where no journal listens (the shell initrd), so that they reach the booted system.

pub mod kmsg;

use overlayroot_core::value::diagnostics::plain;
use std::fmt::{Arguments, Write};
use std::io::{self, Write as _};
pub use tracing::Level;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// A subscriber without spans or filters; tracing-subscriber would add 40 KB to the initramfs.
struct Lines {
    most: Level,
    kmsg: bool,
    prefix: bool,
}

/// Sends events up to `most` on their way. A second call changes nothing.
pub fn start(most: Level, to_kernel: bool) {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let lines = Lines { most, kmsg: to_kernel && !journal, prefix: journal };
    // An error means that a subscriber is there already.
    let _ = tracing::subscriber::set_global_default(lines);
}

/// An event. The one place that calls tracing's macros: each other would have half a kilobyte of its own in the
/// program, for its file, line and fields, which nobody reads here.
pub fn say(level: Level, text: Arguments<'_>) {
    match level {
        Level::ERROR => tracing::error!("{text}"),
        Level::WARN => tracing::warn!("{text}"),
        Level::INFO => tracing::info!("{text}"),
        _ => tracing::debug!("{text}"),
    }
}

macro_rules! error {
    ($($text:tt)*) => { $crate::log::say($crate::log::Level::ERROR, format_args!($($text)*)) };
}
macro_rules! warning {
    ($($text:tt)*) => { $crate::log::say($crate::log::Level::WARN, format_args!($($text)*)) };
}
macro_rules! info {
    ($($text:tt)*) => { $crate::log::say($crate::log::Level::INFO, format_args!($($text)*)) };
}
macro_rules! debug {
    ($($text:tt)*) => { $crate::log::say($crate::log::Level::DEBUG, format_args!($($text)*)) };
}
pub(crate) use {debug, error, info, warning};

#[derive(Default)]
struct Message(String);

impl Visit for Message {
    // No event of ours carries one of these; without this, formatting them would cost 10 KB.
    fn record_f64(&mut self, _: &Field, _: f64) {}

    fn record_i128(&mut self, _: &Field, _: i128) {}

    fn record_u128(&mut self, _: &Field, _: u128) {}

    fn record_bytes(&mut self, _: &Field, _: &[u8]) {}

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let written = match field.name() {
            "message" => write!(self.0, "{value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
        // Writing into a String can't fail.
        let _ = written;
    }
}

/// One line without control characters.
fn line(text: &str) -> String {
    plain(text).replace('\n', " ")
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= &self.most
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message::default();
        event.record(&mut message);
        let level = match *event.metadata().level() {
            Level::ERROR => 3,
            Level::WARN => 4,
            Level::INFO => 5,
            _ => 7,
        };
        // What the kernel, a program or a file said may be in it.
        let text = line(&message.0);
        let prefix = if self.prefix { format!("<{level}>") } else { String::new() };
        let whole = format!("{prefix}overlayroot-rs: {text}\n");
        // In one piece. Nobody could be told that it can't be written.
        let _ = io::stderr().write_all(whole.as_bytes());
        if self.kmsg && level < 7 {
            kmsg::write(level, &text);
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_and_steers_no_terminal() {
        assert_eq!(line("a b\u{e4}"), "a b\u{e4}");
        assert_eq!(line("a\n<0>b\u{1b}[2J\u{9b}"), "a <0>b\\u{1b}[2J\\u{9b}");
    }
}
