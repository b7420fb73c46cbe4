// SPDX-License-Identifier: GPL-2.0-or-later
//! `${hostname}`, `${mac}`, `${serial}`, `${uuid}` and `${ip}` in values: one configuration for many machines.

use crate::facts::Node;
use crate::value::diagnostics::{Problem, escape, suggest};
use std::fmt;

/// What a value may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Var {
    /// The machine's name.
    Hostname,
    /// Address of the card it booted from, as `52:54:00:12:34:56`.
    Mac,
    /// Serial number in its firmware.
    Serial,
    /// UUID in its firmware, in lower case.
    Uuid,
    /// Address of that card's interface.
    Ip,
}

impl Var {
    /// Every variable in the words of the grammar.
    pub const ALL: [(&'static str, Var); 5] =
        [("hostname", Var::Hostname), ("mac", Var::Mac), ("serial", Var::Serial), ("uuid", Var::Uuid), ("ip", Var::Ip)];

    /// Its word in the grammar.
    pub fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, value)| *value == self);
        found.map_or("hostname", |(word, _)| word)
    }

    fn of(self, node: &Node) -> Option<&str> {
        let value = match self {
            Self::Hostname => &node.hostname,
            Self::Mac => &node.mac,
            Self::Serial => &node.serial,
            Self::Uuid => &node.uuid,
            Self::Ip => &node.ip,
        };
        value.as_deref().filter(|value| !value.is_empty())
    }
}

/// What a value becomes a part of, which decides what is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Into {
    /// Everything but letters, digits, `-`, `.`, `_` and `~` is percent-encoded (RFC 3986, 2.3).
    Url,
    /// One part of a path: no slash, no control character.
    Path,
    /// A hostname has no colon: those of a MAC or IP address, and the dots of the latter, become hyphens.
    Hostname,
}

/// A value with variables in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Var(Var),
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads a value. A `$` that no `{` follows is a `$`.
///
/// # Errors
/// A variable that is not known, and one without an end.
pub fn parse(text: &str) -> Result<Template, Problem> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, behind)) = after.split_once('}') else {
            return Err(Problem::new("'${' without '}'", None));
        };
        let Some((_, var)) = Var::ALL.iter().find(|(word, _)| *word == name) else {
            let near = suggest(name, Var::ALL.iter().map(|(word, _)| *word)).map(|word| format!("${{{word}}}"));
            let text = format!("no variable '${{{}}}', only hostname, mac, serial, uuid, ip", escape(name));
            return Err(Problem::new(text, near));
        };
        parts.push(Part::Text(before.to_owned()));
        parts.push(Part::Var(*var));
        rest = behind;
    }
    parts.push(Part::Text(rest.to_owned()));
    Ok(Template { text: text.to_owned(), parts })
}

impl Template {
    /// A value without variables, whatever it looks like.
    pub(crate) fn literal(text: &str) -> Self {
        Self { text: text.to_owned(), parts: vec![Part::Text(text.to_owned())] }
    }

    /// The variables in it.
    pub fn vars(&self) -> impl Iterator<Item = Var> {
        self.parts.iter().filter_map(|part| match part {
            Part::Var(var) => Some(*var),
            Part::Text(_) => None,
        })
    }

    /// Whether there is no variable in it.
    pub fn is_plain(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, Part::Var(_)))
    }

    /// The first character between the variables that does not fit.
    pub fn misfit(&self, fits: fn(char) -> bool) -> Option<char> {
        let mut parts = self.parts.iter();
        parts.find_map(|part| match part {
            Part::Text(text) => text.chars().find(|c| !fits(*c)),
            Part::Var(_) => None,
        })
    }

    /// Puts the machine's values in.
    ///
    /// # Errors
    /// The variable that this machine has no value for, or one that can't stand there.
    pub fn expand(&self, node: &Node, into: Into) -> Result<String, String> {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Var(var) => {
                    let value = var.of(node);
                    let value = value.ok_or_else(|| format!("${{{}}} is not known on this machine", var.word()))?;
                    out.push_str(&fit(*var, value, into)?);
                }
            }
        }
        Ok(out)
    }
}

fn fit(var: Var, value: &str, into: Into) -> Result<String, String> {
    match into {
        Into::Url => Ok(percent_encoded(value)),
        Into::Hostname if matches!(var, Var::Mac | Var::Ip) => {
            Ok(value.chars().map(|c| if matches!(c, ':' | '.') { '-' } else { c }).collect())
        }
        Into::Hostname => Ok(value.to_owned()),
        Into::Path if value.contains('/') || value.chars().any(char::is_control) => {
            Err(format!("${{{}}} is '{}', which can't be part of a path", var.word(), escape(value)))
        }
        Into::Path => Ok(value.to_owned()),
    }
}

fn percent_encoded(value: &str) -> String {
    let mut out = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> Node {
        let some = |text: &str| Some(text.to_owned());
        Node {
            hostname: some("n7.hpc"),
            mac: some("52:54:00:ab:cd:ef"),
            serial: some("A/B é"),
            uuid: None,
            ip: some("192.0.2.7"),
        }
    }

    #[test]
    fn a_dollar_stays_a_dollar() {
        for text in ["", "$", "a$b", "$5", "}", "$(reboot)", "$$"] {
            let template = parse(text).unwrap();
            assert_eq!(
                (template.expand(&Node::default(), Into::Url).unwrap(), template.vars().count()),
                (text.into(), 0)
            );
        }
    }

    #[test]
    fn values_are_made_to_fit() {
        let at = |text: &str, into| parse(text).unwrap().expand(&node(), into);
        assert_eq!(
            at("http://s/${mac}/${serial}.tar", Into::Url).unwrap(),
            "http://s/52%3A54%3A00%3Aab%3Acd%3Aef/A%2FB%20%C3%A9.tar"
        );
        assert_eq!(at("n-${mac}", Into::Hostname).unwrap(), "n-52-54-00-ab-cd-ef");
        assert_eq!(at("ip${ip}.x", Into::Hostname).unwrap(), "ip192-0-2-7.x");
        assert_eq!(at("${hostname}", Into::Hostname).unwrap(), "n7.hpc");
        assert_eq!(at("/n/${mac}.tar", Into::Path).unwrap(), "/n/52:54:00:ab:cd:ef.tar");
        assert!(at("/n/${serial}.tar", Into::Path).unwrap_err().contains("${serial} is 'A/B"));
        assert_eq!(at("x${uuid}", Into::Url).unwrap_err(), "${uuid} is not known on this machine");
    }

    #[test]
    fn unknown_ones_are_named() {
        let problem = parse("http://s/${seral}").unwrap_err();
        assert_eq!(
            problem.to_string(),
            "no variable '${seral}', only hostname, mac, serial, uuid, ip; did you mean ${serial}?"
        );
        assert!(parse("${}").is_err() && parse("${MAC}").is_err() && parse("${mac").is_err());
    }

    proptest::proptest! {
        #[test]
        fn what_goes_into_a_url_can_only_be_itself(value in ".{0,40}") {
            let node = Node { serial: Some(format!("x{value}")), ..Node::default() };
            let out = parse("${serial}").unwrap().expand(&node, Into::Url).unwrap();
            proptest::prop_assert!(out.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
        }
    }
}
