// SPDX-License-Identifier: GPL-2.0-or-later
//! Where the demonstration is seen: a terminal, with progress, or a file, with plain lines. What was shown is kept
//! with its time, for a recording.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// A question that the lines below it answer; on a page of its own in a recording.
    Title,
    /// Said by the demonstration.
    Note,
    /// A command that is run.
    Command,
    /// What it prints.
    Output,
    /// What was found out in the end.
    Result,
}

impl Style {
    /// The escape sequence that begins it on a terminal; none for plain text.
    fn escape(self) -> &'static str {
        match self {
            Self::Title | Self::Result => "\x1b[1m",
            Self::Note => "\x1b[2m",
            Self::Command => "\x1b[36m",
            Self::Output => "",
        }
    }
}

/// A line that was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Since the demonstration began.
    pub at: Duration,
    /// What it is.
    pub style: Style,
    /// Without control characters.
    pub text: String,
}

/// A terminal or a file, and what it was told.
#[derive(Debug)]
pub struct Screen {
    start: Instant,
    terminal: bool,
    colour: bool,
    waiting: bool,
    rows: Vec<Row>,
}

impl Screen {
    /// Standard output, as it is.
    #[must_use]
    pub fn open() -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let terminal = io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
        Self { start: Instant::now(), terminal, colour: terminal && !set("NO_COLOR"), waiting: false, rows: Vec::new() }
    }

    /// Shows a line, and keeps it.
    pub fn line(&mut self, style: Style, text: &str) {
        let text = clean(text);
        self.write(&format!("{}\n", dressed(style, &text, self.colour)));
        self.rows.push(Row { at: self.start.elapsed(), style, text });
    }

    /// Says what is waited for, in place of what was waited for before; on a terminal only.
    pub fn wait(&mut self, text: &str) {
        if self.terminal {
            self.write(&dressed(Style::Note, text, self.colour));
            self.waiting = true;
        }
    }

    /// Takes away what was waited for.
    pub fn waited(&mut self) {
        self.write("");
    }

    /// All lines so far.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    fn write(&mut self, text: &str) {
        let over = if self.waiting { "\r\x1b[K" } else { "" };
        self.waiting = false;
        let mut out = io::stdout().lock();
        // nobody reads: nothing to tell
        let _ = write!(out, "{over}{text}").and_then(|()| out.flush());
    }
}

fn dressed(style: Style, text: &str, colour: bool) -> String {
    let escape = style.escape();
    if colour && !escape.is_empty() && !text.is_empty() { format!("{escape}{text}\x1b[0m") } else { text.to_owned() }
}

/// Text without escape sequences and other control characters: a guest's output does not drive the terminal.
fn clean(text: &str) -> String {
    crate::watch::plain(text).replace('\t', "    ").chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_does_not_drive_the_terminal() {
        assert_eq!(clean("a\x1b[31mred\x1b[0m\tb\r\x07\u{9b}c"), "ared    bc");
    }

    #[test]
    fn without_colour_nothing_is_added() {
        for style in [Style::Title, Style::Note, Style::Command, Style::Output, Style::Result] {
            assert_eq!(dressed(style, "text", false), "text");
            assert_eq!(dressed(style, "", true), "");
        }
        assert_eq!(dressed(Style::Title, "text", true), "\x1b[1mtext\x1b[0m");
        assert_eq!(dressed(Style::Output, "text", true), "text");
    }

    #[test]
    fn a_file_gets_no_progress_and_rows_are_kept() {
        let mut screen =
            Screen { start: Instant::now(), terminal: false, colour: false, waiting: false, rows: Vec::new() };
        screen.wait("booting");
        assert!(!screen.waiting);
        screen.line(Style::Command, "$ ls\x1b[K");
        let [row] = screen.rows() else { panic!("one row") };
        assert_eq!((row.style, row.text.as_str()), (Style::Command, "$ ls"));
    }
}
