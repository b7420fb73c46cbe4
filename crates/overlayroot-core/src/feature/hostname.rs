// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.hostname`: the machine's name, from a value that may be the same for many machines.

use crate::feature::template::{self, Template};
use crate::value::diagnostics::{Problem, escape};

/// Most bytes of a name (kernel: `__NEW_UTS_LEN`).
pub const MOST: usize = 64;

/// The value of `rd.overlay.hostname`; empty is none.
pub fn parse(value: &str) -> Result<Option<Template>, Problem> {
    if value.is_empty() {
        return Ok(None);
    }
    let template = template::parse(value)?;
    let wrong = match template.misfit(fits) {
        Some(bad) => Err(misfit(value, bad)),
        None if template.is_plain() => check(value),
        None => Ok(()),
    };
    match wrong {
        Err(text) => Err(Problem::new(format!("{text}; no hostname is set"), None)),
        Ok(()) => Ok(Some(template)),
    }
}

fn fits(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '.'
}

fn misfit(name: &str, bad: char) -> String {
    format!("'{}' has '{}', which can't be in a hostname", escape(name), escape(&bad.to_string()))
}

/// Whether it is a name (RFC 1123, 2.1) that the kernel takes.
///
/// # Errors
/// What is wrong with it.
pub fn check(name: &str) -> Result<(), String> {
    if name.len() > MOST {
        return Err(format!("'{}' has {} bytes, a hostname at most {MOST}", escape(name), name.len()));
    }
    if let Some(bad) = name.chars().find(|c| !fits(*c)) {
        return Err(misfit(name, bad));
    }
    let good = |label: &str| (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
    match name.split('.').all(good) {
        true => Ok(()),
        false => Err(format!("'{name}' is not a hostname: each part has 1 to 63 characters and no hyphen at an end")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let long = "a".repeat(63);
        for good in ["a", "node7", "N-7.hpc.example", "7", "1.2.3.4", long.as_str()] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let (label, whole) = ("a".repeat(64), format!("{long}.a"));
        for bad in
            ["", ".", "a.", ".a", "a..b", "-a", "a-", "a.-b", "a_b", "a b", "é", label.as_str(), whole.as_str(), "a\n"]
        {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_can_be_told_at_once_is_told_at_once() {
        assert_eq!(parse(""), Ok(None));
        assert!(parse("node-${serial}").is_ok());
        for bad in ["my_host", "node_${mac}", "-x", "a b", "${host}"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
