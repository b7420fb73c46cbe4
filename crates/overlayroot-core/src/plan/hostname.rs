// SPDX-License-Identifier: GPL-2.0-or-later
//! The name that the machine gets, and what else `${...}` stands for.

use crate::config::Config;
use crate::facts::{Facts, Node};
use crate::feature::hostname::check;
use crate::feature::template::Into;
use crate::step::refusal::Refusal;

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
