// SPDX-License-Identifier: GPL-2.0-or-later
//! `rd.overlay.hostname`: the machine's name, from a value that may be the same for many machines.

use crate::config::Config;
use crate::facts::{Facts, Node};
use crate::issue::shown;
use crate::refusal::Refusal;
use crate::upper::Problem;
use crate::vars::{self, Into, Template};

/// Most bytes of a name (kernel: `__NEW_UTS_LEN`).
pub const MOST: usize = 64;

/// The value of `rd.overlay.hostname`; empty is none.
pub fn parse(value: &str) -> Result<Option<Template>, Problem> {
    if value.is_empty() {
        return Ok(None);
    }
    let template = vars::parse(value)?;
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
    format!("'{}' has '{}', which can't be in a hostname", shown(name), shown(&bad.to_string()))
}

/// Whether it is a name (RFC 1123, 2.1) that the kernel takes.
///
/// # Errors
/// What is wrong with it.
pub fn check(name: &str) -> Result<(), String> {
    if name.len() > MOST {
        return Err(format!("'{}' has {} bytes, a hostname at most {MOST}", shown(name), name.len()));
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

/// The name of this machine; `None` where none is asked for.
///
/// # Errors
/// Where it can't be had here.
pub fn of(config: &Config, facts: &Facts) -> Result<Option<String>, Refusal> {
    let Some(template) = &config.hostname.value else {
        return Ok(None);
    };
    let name = template.expand(&facts.node, Into::Hostname);
    let name = name.and_then(|name| check(&name).map(|()| name));
    let refused = |why| Refusal {
        code: "hostname",
        text: format!("{}: {why}; no hostname is set", config.hostname.origin),
        stand_aside: false,
    };
    name.map(Some).map_err(refused)
}

/// The machine as other values see it: `${hostname}` is the name that it gets, or nothing where that can't be had.
pub fn node(config: &Config, facts: &Facts) -> Node {
    let hostname = match of(config, facts) {
        Ok(Some(name)) => Some(name),
        Ok(None) => facts.node.hostname.clone(),
        Err(_) => None,
    };
    Node { hostname, ..facts.node.clone() }
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
