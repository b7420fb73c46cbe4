// SPDX-License-Identifier: GPL-2.0-or-later
//! extlinux.conf, as U-Boot's distro boot and syslinux read it: the `append` lines.

use super::line::{lines, split_end, with, without};
use crate::cmdline::is_space;

/// What is behind a line's `append`, with the blank before it.
fn appended(line: &[u8]) -> Option<&[u8]> {
    let body = line.trim_ascii_start();
    let (word, rest) = body.split_at_checked(6)?;
    let blank = rest.first().is_none_or(|&byte| is_space(byte));
    (word.eq_ignore_ascii_case(b"append") && blank).then_some(rest)
}

/// All `append` lines, without the word.
pub fn all(text: &[u8]) -> Vec<&[u8]> {
    lines(text).into_iter().filter_map(|line| appended(split_end(line).0)).collect()
}

/// The file with exactly these arguments of ours in each `append`.
///
/// # Errors
/// A quote that is not closed, a file without `append`.
pub fn edit(text: &[u8], args: &[String]) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len() + 256);
    let mut none = true;
    for line in lines(text) {
        let (body, end) = split_end(line);
        match appended(body) {
            Some(rest) => {
                none = false;
                out.extend_from_slice(body.get(..body.len() - rest.len()).unwrap_or_default());
                // a blank keeps the word and the first argument apart
                let rest = without(rest);
                match rest.is_empty() && !args.is_empty() {
                    true => out.extend_from_slice(format!(" {}", args.join(" ")).as_bytes()),
                    false => out.extend_from_slice(&with(&rest, args)?),
                }
            }
            None => out.extend_from_slice(body),
        }
        out.extend_from_slice(end);
    }
    match none {
        true => Err("it has no append line".to_owned()),
        false => Ok(out),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_append_and_back() {
        let text = "label a\n\tlinux /a\n\tAPPEND root=x\nlabel b\n  append\nappendix y\n";
        let there = edit(text.as_bytes(), &["rd.overlay=tmpfs".to_owned()]).unwrap();
        let want =
            "label a\n\tlinux /a\n\tAPPEND root=x rd.overlay=tmpfs\nlabel b\n  append rd.overlay=tmpfs\nappendix y\n";
        assert_eq!(String::from_utf8(there.clone()).unwrap(), want);
        assert_eq!(edit(&there, &[]).unwrap(), text.as_bytes());
        assert_eq!(all(&there).len(), 2);
        assert!(edit(b"label a\n", &[]).is_err());
    }
}
