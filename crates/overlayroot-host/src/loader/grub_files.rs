// SPDX-License-Identifier: GPL-2.0-or-later
//! The files of the shell that update-grub reads, /etc/default/grub and grub.d: what they say, and the edits.

use super::line::{lines, split_end, without};
use super::{DEFAULT_GRUB, GRUB_D, Tree};

/// Our file, which comes after those of the distribution and the cloud.
pub const DROP_IN: &str = "etc/default/grub.d/50-overlayroot-rs.cfg";

/// The variables whose value gets onto the kernel's command line.
const VARIABLES: [&str; 3] = ["GRUB_CMDLINE_LINUX", "GRUB_CMDLINE_LINUX_DEFAULT", "GRUB_CMDLINE_LINUX_RECOVERY"];

/// The files of the shell, in the order in which update-grub reads them.
pub(super) fn files(tree: &Tree) -> impl Iterator<Item = (&str, &[u8])> {
    let drop_ins = tree.files.range(GRUB_D.to_owned()..).take_while(|(path, _)| path.starts_with(GRUB_D));
    let all = tree.files.get_key_value(DEFAULT_GRUB).into_iter().chain(drop_ins);
    all.map(|(path, text)| (path.as_str(), text.as_slice()))
}

/// The text of our file; `args` are words of GRUB's shell.
pub(super) fn drop_in(args: &[String]) -> String {
    let words = args.join(" ");
    let quoted: String =
        words.chars().flat_map(|c| if "\\\"$`".contains(c) { vec!['\\', c] } else { vec![c] }).collect();
    format!(
        "# Written by overlayctl enable, removed by overlayctl disable.\n\
         GRUB_CMDLINE_LINUX=\"$GRUB_CMDLINE_LINUX {quoted}\"\n"
    )
}

/// A shell file with our arguments taken out of the variables' values, and the lines in which something of ours is
/// left that this does not understand.
pub fn without_ours(text: &[u8]) -> (Vec<u8>, Vec<usize>) {
    let mut out = Vec::with_capacity(text.len());
    let mut left = Vec::new();
    for (number, line) in lines(text).into_iter().enumerate() {
        let (body, _) = split_end(line);
        let comment = body.trim_ascii_start().starts_with(b"#");
        let edited = value_of(body).filter(|_| !comment).map(|(from, to)| {
            let part = |range: std::ops::Range<usize>| line.get(range).unwrap_or_default();
            [part(0..from), &without(part(from..to)), part(to..line.len())].concat()
        });
        let line = edited.as_deref().unwrap_or(line);
        if !comment && String::from_utf8_lossy(line).contains("rd.overlay") {
            left.push(number + 1);
        }
        out.extend_from_slice(line);
    }
    (out, left)
}

/// Where the value lies within a line that assigns one of the variables, the quotes around it left out.
fn value_of(line: &[u8]) -> Option<(usize, usize)> {
    let text = std::str::from_utf8(line).ok()?;
    let start = text.trim_start();
    let start = start.strip_prefix("export ").unwrap_or(start).trim_start();
    let (name, value) = start.split_once('=')?;
    if !VARIABLES.contains(&name.strip_suffix('+').unwrap_or(name)) {
        return None;
    }
    let from = text.len() - value.len();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let Some(quote) = quote else {
        // Without quotes the value is one word.
        return Some((from, from + value.find([' ', '\t', ';']).unwrap_or(value.len())));
    };
    let inner = value.get(1..)?;
    let mut escaped = false;
    for (i, c) in inner.char_indices() {
        match c {
            '\\' if quote == '"' && !escaped => escaped = true,
            c if c == quote && !escaped => return Some((from + 1, from + 1 + i)),
            _ => escaped = false,
        }
    }
    None
}

/// Our arguments as the shell files ask for them. Not a shell: a value that a variable or a command brings is not seen.
pub(super) fn configured(texts: &[&[u8]]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in texts.iter().flat_map(|text| lines(text)) {
        let (body, _) = split_end(line);
        let Some((from, to)) = value_of(body) else { continue };
        let raw = String::from_utf8_lossy(body.get(from..to).unwrap_or_default()).into_owned();
        // A backslash before a special character is the shell's; GRUB's words come after it.
        let value = match body.get(from.wrapping_sub(1)) {
            Some(b'"') => unescaped(&raw),
            _ => raw,
        };
        let own = value.contains("$GRUB_CMDLINE_LINUX") || value.contains("${GRUB_CMDLINE_LINUX");
        let variable = String::from_utf8_lossy(body).contains("GRUB_CMDLINE_LINUX=");
        if variable && !own && !String::from_utf8_lossy(body).contains("+=") {
            // Said anew: what earlier files gave to it is lost.
            found.clear();
        }
        found.extend(words(&value).into_iter().filter(|word| word.starts_with("rd.overlay")));
    }
    found
}

/// Where GRUB is told to boot without an initramfs, as Ubuntu's images for clouds have it. The last word counts.
pub(super) fn bare_boot(tree: &Tree) -> Option<(&str, usize)> {
    let mut last = None;
    for (path, text) in files(tree) {
        for (number, line) in lines(text).into_iter().enumerate() {
            if let Some(value) = line.trim_ascii().strip_prefix(b"GRUB_FORCE_PARTUUID=") {
                let set = !matches!(value, b"" | b"\"\"" | b"''");
                last = set.then_some((path, number + 1));
            }
        }
    }
    last
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some(next)) if "\\\"$`".contains(next) => {
                out.push(next);
                chars.next();
            }
            _ => out.push(c),
        }
    }
    out
}

/// The words of a line of GRUB's shell, quotes taken off.
pub fn words(line: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, None) if c.is_whitespace() => found.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_every_quoting() {
        let text = "# GRUB_CMDLINE_LINUX=\"rd.overlay\"\nGRUB_CMDLINE_LINUX=\"quiet rd.overlay=LABEL=x\" # rd\n\
                    GRUB_CMDLINE_LINUX_DEFAULT='rd.overlay splash'\nGRUB_CMDLINE_LINUX=rd.overlay\n\
                    export GRUB_CMDLINE_LINUX+=\" rd.overlay=\\\"LABEL=my disk\\\" a\"\nX=\"$(echo rd.overlay)\"\n";
        let (out, left) = without_ours(text.as_bytes());
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "# GRUB_CMDLINE_LINUX=\"rd.overlay\"\nGRUB_CMDLINE_LINUX=\"quiet\" # rd\n\
             GRUB_CMDLINE_LINUX_DEFAULT='splash'\nGRUB_CMDLINE_LINUX=\n\
             export GRUB_CMDLINE_LINUX+=\" a\"\nX=\"$(echo rd.overlay)\"\n"
        );
        assert_eq!(left, [6]);
    }

    #[test]
    fn our_file_and_back() {
        let args = ["rd.overlay=tmpfs".to_owned(), "'rd.overlay.hostname=n-${serial}'".to_owned()];
        let text = drop_in(&args);
        assert!(
            text.ends_with("$GRUB_CMDLINE_LINUX rd.overlay=tmpfs 'rd.overlay.hostname=n-\\${serial}'\"\n"),
            "{text}"
        );
        let base = b"GRUB_CMDLINE_LINUX=\"rd.overlay.timeout=5 quiet\"\n";
        let got = configured(&[base, text.as_bytes()]);
        assert_eq!(got, ["rd.overlay.timeout=5", "rd.overlay=tmpfs", "rd.overlay.hostname=n-${serial}"]);
        let lost = configured(&[text.as_bytes(), b"GRUB_CMDLINE_LINUX=\"quiet\"\n"]);
        assert_eq!(lost, Vec::<String>::new());
    }

    #[test]
    fn words_of_grub_s_shell() {
        assert_eq!(words(r#"a 'b c' "d\"e" f\ g"#), ["a", "b c", "d\"e", "f g"]);
    }
}
