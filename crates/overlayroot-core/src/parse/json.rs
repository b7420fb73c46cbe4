// SPDX-License-Identifier: GPL-2.0-or-later
//! The little of JSON that the initramfs reads: strings, and lists of them. A parser would be 13 KB of each image.

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

/// A list of strings, and nothing behind it.
pub fn strings(text: &str) -> Option<Vec<String>> {
    let mut rest = text.trim().strip_prefix('[')?.trim_start();
    let mut found = Vec::new();
    while !rest.starts_with(']') {
        let (one, after) = string(rest)?;
        found.push(one);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => Some(more.trim_start()).filter(|more| more.starts_with('"'))?,
            None => after,
        };
    }
    (rest == "]").then_some(found)
}

/// A string as JSON has it.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_they_are_written() {
        let all = ["/a b", "/\"q\"", "/back\\slash", "/new\nline", "/\u{1b}[2J", "/\u{e4}"].map(str::to_owned);
        let text = format!("[{}]", all.iter().map(|one| quoted(one)).collect::<Vec<_>>().join(", "));
        assert_eq!(strings(&text).as_deref(), Some(&all[..]));
        assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), all);
        assert_eq!(strings(" [ ] "), Some(Vec::new()));
        for bad in ["", "[", "[\"a\"", "[\"a\",]", "[a]", "[\"a\"] x", "\"a\""] {
            assert_eq!(strings(bad), None, "{bad}");
        }
    }
}
