// SPDX-License-Identifier: GPL-2.0-or-later
//! The little of JSON that the initramfs reads: strings. A parser would be 13 KB of each image.

/// A JSON string at the beginning, and what follows it.
pub fn string(text: &str) -> Option<(String, &str)> {
    let body = text.strip_prefix('"')?;
    let mut out = String::new();
    let mut chars = body.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, body.get(at + 1..)?)),
            '\\' => out.push(match chars.next()?.1 {
                'n' => '\n',
                't' => '\t',
                'r' => '\r',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => {
                    let digits: String = chars.by_ref().take(4).map(|(_, digit)| digit).collect();
                    char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                }
                plain => plain,
            }),
            plain => out.push(plain),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_read_as_they_are_written() {
        for one in ["/a b", "/\"q\"", "/back\\slash", "/new\nline", "/\u{1b}[2J", "/\u{e4}", ""] {
            let text = format!("{},rest", serde_json::to_string(one).unwrap());
            assert_eq!(string(&text), Some((one.to_owned(), ",rest")));
        }
        for bad in ["", "\"", "\"a", "a\"", "\"\\u12\""] {
            assert_eq!(string(bad), None, "{bad}");
        }
    }
}
