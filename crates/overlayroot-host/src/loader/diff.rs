// SPDX-License-Identifier: GPL-2.0-or-later
//! What an edit changes, to be looked at: the lines that go and the lines that come.

use super::line::lines;
use overlayroot_core::value::diagnostics::{escape, steers};

/// `--- a`, `+++ b`, and the lines that differ; no context, for the files are short.
pub fn diff(path: &str, before: Option<&[u8]>, after: Option<&[u8]>) -> String {
    let name = |there: bool| if there { format!("/{path}") } else { "/dev/null".to_owned() };
    let mut out = format!("--- {}\n+++ {}\n", name(before.is_some()), name(after.is_some()));
    let (old, new) = (lines(before.unwrap_or_default()), lines(after.unwrap_or_default()));
    let mut say = |sign: char, line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_end_matches(['\n', '\r']);
        // the filling of GRUB's environment block is one long line
        let text = if text.starts_with("####") { escape(text) } else { escaped(text) };
        out.push_str(&format!("{sign}{text}\n"));
    };
    if old.len() == new.len() {
        for (old, new) in old.iter().zip(&new).filter(|(old, new)| old != new) {
            say('-', old);
            say('+', new);
        }
        return out;
    }
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let rest = |all: &[&[u8]]| all.len() - same;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest(&old).min(rest(&new)));
    let tail = tail.take_while(|(old, new)| old == new).count();
    old.iter().take(old.len() - tail).skip(same).for_each(|line| say('-', line));
    new.iter().take(new.len() - tail).skip(same).for_each(|line| say('+', line));
    out
}

/// Control characters of somebody's file do not reach the terminal.
fn escaped(text: &str) -> String {
    let plain = |c: char| !steers(c) || c == '\t';
    text.chars().map(|c| if plain(c) { c.to_string() } else { c.escape_default().to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_differ() {
        let changed = diff("a", Some(b"x\ny\nz\n"), Some(b"x\nY\nz\n"));
        assert_eq!(changed, "--- /a\n+++ /a\n-y\n+Y\n");
        assert_eq!(diff("a", None, Some(b"x\n\x1b")), "--- /dev/null\n+++ /a\n+x\n+\\u{1b}\n");
        assert_eq!(diff("a", Some(b"x\ny\nz\n"), Some(b"x\nz\n")), "--- /a\n+++ /a\n-y\n");
    }
}
