// SPDX-License-Identifier: GPL-2.0-or-later
//! Configuration files, ours and Ubuntu's, read as data. Never runs anything of them.

use crate::cmdline::{Arg, Source};
use crate::issue::Issue;
use crate::upper::Problem;

pub(crate) fn make_issue(key: &str, value: &str, source: &str, problem: Problem) -> Issue {
    Issue {
        key: key.to_owned(),
        value: value.to_owned(),
        source: source.to_owned(),
        text: problem.text,
        nearest: problem.nearest,
    }
}

/// `overlayroot=` of an `/etc/overlayroot.conf`, read as data; the original runs it as shell.
pub(crate) fn ubuntu_file(file: &Source) -> Option<String> {
    let text = String::from_utf8_lossy(&file.text);
    let mut values = text.lines().filter_map(|line| {
        let value = line.trim().strip_prefix("overlayroot=")?;
        Some(unquoted(value.split(" #").next().unwrap_or(value).trim()).to_owned())
    });
    values.next_back()
}

/// A value without the passphrase that `crypt:` may carry: the record is for everybody to read.
pub(crate) fn redacted(value: &str) -> String {
    let parts = value.split(',').map(|part| match part.rsplit_once("pass=") {
        Some((head, _)) if head.is_empty() || head.ends_with(':') => format!("{head}pass=***"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}

/// Takes one pair of matching quotes off.
fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// The lines of the native configuration files, as if they had been arguments.
pub(crate) fn conf_args(files: &[Source], issues: &mut Vec<Issue>) -> Vec<Arg> {
    let mut args = Vec::new();
    for file in files {
        for (number, line) in file.text.split(|&byte| byte == b'\n').enumerate() {
            let source = format!("{}:{}", file.name, number + 1);
            let Ok(line) = std::str::from_utf8(line).map(str::trim) else {
                let line = String::from_utf8_lossy(line).into_owned();
                issues.push(make_issue(&line, "", &source, Problem::new("the line is not UTF-8, left out", None)));
                continue;
            };
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (key, value) = match line.split_once('=') {
                Some((key, value)) => (key.trim(), Some(unquoted(value.trim()))),
                None => (line, None),
            };
            args.push(Arg {
                key: key.as_bytes().to_vec(),
                value: value.map(|value| value.as_bytes().to_vec()),
                source,
            });
        }
    }
    args
}
