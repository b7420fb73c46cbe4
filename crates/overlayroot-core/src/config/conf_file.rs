// SPDX-License-Identifier: GPL-2.0-or-later
//! Configuration files, ours and Ubuntu's, read as data. Never runs anything of them.

use crate::keys;
use crate::parse::cmdline::{Arg, Source};
use crate::value::diagnostics::{Issue, Problem};
use crate::value::redact;

pub(crate) fn make_issue(key: &str, value: &str, source: &str, problem: Problem) -> Issue {
    let all = told(key, value);
    let has_secret = all != value;
    Issue {
        key: told_key(key),
        value: all,
        source: source.to_owned(),
        // Its words may quote a part of the value.
        text: if has_secret { redact::quoting_nothing(&redact::told_in(&problem.text)) } else { problem.text },
        nearest: problem.nearest,
    }
}

/// `overlayroot=` of an `/etc/overlayroot.conf`, read as data; the original runs it as shell.
pub fn ubuntu_file(file: &Source) -> Option<String> {
    let text = String::from_utf8_lossy(&file.text);
    let mut values = text.lines().filter_map(|line| {
        let value = line.trim().strip_prefix("overlayroot=")?;
        Some(unquoted(value.split(" #").next().unwrap_or(value).trim()).to_owned())
    });
    values.next_back()
}

/// A value without the passphrase that `crypt:` may carry: the record is for everybody to read.
pub fn redacted(value: &str) -> String {
    let parts = value.split(',').map(|part| match part.rsplit_once("pass=") {
        Some((head, _)) if head.is_empty() || head.ends_with(':') => format!("{head}pass=***"),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}

/// The value of a key as people are told it: without passphrases, and with URLs as [`redact::told`].
pub fn told(key: &str, value: &str) -> String {
    let takes_url = [keys::GIT.name, keys::POPULATE.name].contains(&key);
    match takes_url || !keys::is_known(key) {
        // A misspelt key may have been meant to be one of these.
        true => redact::told(&redacted(value)),
        false => redact::told_to_end(&redacted(value)),
    }
}

/// A line of a file without "=" is all key, and so is `rd.overlay.git:URL`.
fn told_key(key: &str) -> String {
    let (first, rest) = key.split_at_checked(key.find(char::is_whitespace).unwrap_or(key.len())).unwrap_or((key, ""));
    let first = match (first.find(':'), first.rfind('@')) {
        (Some(colon), Some(at)) if colon < at => format!("{}:***", first.get(..colon).unwrap_or_default()),
        _ => redact::told_in(first),
    };
    let rest: Vec<String> = rest.split(char::is_whitespace).map(|word| redact::told(&redacted(word))).collect();
    format!("{first}{}", rest.join(" "))
}

/// Takes one pair of matching quotes off.
fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    inner('"').or_else(|| inner('\'')).unwrap_or(text)
}

/// The lines of the native configuration files, as if they had been arguments.
pub fn conf_args(files: &[Source], issues: &mut Vec<Issue>) -> Vec<Arg> {
    let mut args = Vec::new();
    for file in files {
        for (number, line) in file.text.split(|&byte| byte == b'\n').enumerate() {
            let source = format!("{}:{}", file.name, number + 1);
            let Ok(line) = std::str::from_utf8(line).map(str::trim) else {
                let line = String::from_utf8_lossy(line).into_owned();
                issues.push(make_issue(&line, "", &source, Problem::new("the line is not UTF-8, ignored", None)));
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
