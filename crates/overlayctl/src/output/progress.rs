// SPDX-License-Identifier: GPL-2.0-or-later
//! A bar that moves on a terminal; elsewhere each stage is one line.

use crate::output::out::CLEAR;
use std::io::IsTerminal;

/// A bar of 24 cells.
pub fn cells(percent: u64) -> String {
    const WIDTH: u64 = 24;
    let full = (percent * WIDTH / 100).min(WIDTH);
    (0..WIDTH).map(|cell| if cell < full { '█' } else { '░' }).collect()
}

/// The bar, on stderr.
pub struct Bar {
    terminal: bool,
    shown: String,
}

impl Bar {
    /// Shows nothing yet.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), shown: String::new() }
    }

    /// Shows how far `stage` is; `all` is 0 where nobody knows.
    pub fn show(&mut self, stage: &str, done: u64, all: u64) {
        let text = match (self.terminal, (done * 100).checked_div(all)) {
            (true, Some(percent)) => format!("{stage:<22} {} {percent} %", cells(percent)),
            _ => stage.to_owned(),
        };
        if text == self.shown {
            return;
        }
        match self.terminal {
            true => eprint!("{CLEAR}{text}"),
            false => eprintln!("{text}"),
        }
        self.shown = text;
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if self.terminal && !self.shown.is_empty() {
            eprint!("{CLEAR}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_full() {
        assert_eq!(cells(0), "░".repeat(24));
        assert_eq!(cells(50), "█".repeat(12) + &"░".repeat(12));
        assert_eq!(cells(300), "█".repeat(24));
    }
}
