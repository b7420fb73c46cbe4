// SPDX-License-Identifier: GPL-2.0-or-later
//! Names are bytes; a terminal and a log want text.

use std::borrow::Cow;

/// What a terminal obeys: control characters, other ends of lines, marks of direction. As in overlayroot-core, which
/// this crate does without.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A path fit for one line: what steers a terminal is escaped, and bytes that are not UTF-8 stand as `\xff`.
/// It is never cut.
pub fn shown(path: &[u8]) -> Cow<'_, str> {
    // nearly every name, and by far the fastest test
    if path.iter().all(|byte| matches!(byte, b' '..=b'~')) {
        return String::from_utf8_lossy(path);
    }
    let mut out = String::with_capacity(path.len() + 16);
    for chunk in path.utf8_chunks() {
        for c in chunk.valid().chars() {
            match steers(c) {
                true => out.extend(c.escape_default()),
                false => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        assert_eq!(shown(b"/etc/fstab"), "/etc/fstab");
        assert_eq!(shown("/tmp/ä b".as_bytes()), "/tmp/ä b");
        assert_eq!(shown(b"/a\nb\x1b[31m"), "/a\\nb\\u{1b}[31m");
        assert_eq!(shown(b"/a\xff\xfeb"), "/a\\xff\\xfeb");
        assert_eq!(shown("/\u{85}".as_bytes()), "/\\u{85}");
        assert_eq!(shown("/a\u{202e}b".as_bytes()), "/a\\u{202e}b");
        assert_eq!(shown(b"/dev-disk-by\\x2duuid"), "/dev-disk-by\\x2duuid");
        let long = "x".repeat(5000);
        assert_eq!(shown(long.as_bytes()), long);
    }
}
