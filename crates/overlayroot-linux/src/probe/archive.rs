// SPDX-License-Identifier: GPL-2.0-or-later
//! What there is for the archive that a new upper is populated from.

use crate::probe::place;
use crate::source;
use overlayroot_core::config::Config;
use overlayroot_core::facts::{Archive, Facts, Node};
use overlayroot_core::parse::cmdline::Arg;

/// What there is for the archive that is asked for.
pub fn look(config: &Config, args: &[Arg]) -> Archive {
    let Some(asked) = &config.populate.value else {
        return Archive::default();
    };
    let mut found = Archive::default();
    for name in asked.programs() {
        if place::is_here(name) {
            found.programs.push(name.to_owned());
        }
    }
    found.proxy = proxy(args);
    found
}

/// dracut's `proxy=`.
pub fn proxy(args: &[Arg]) -> Option<String> {
    let proxy = args.iter().rfind(|arg| arg.key == b"proxy").and_then(|arg| arg.value.clone());
    proxy.and_then(|value| String::from_utf8(value).ok()).filter(|value| !value.is_empty())
}

/// Whether an archive that is to lie in the root at `root` is not there. For the host: the boot finds out.
pub fn is_missing(config: &Config, node: &Node, root: &str) -> bool {
    let Some(asked) = config.populate.value.as_ref().filter(|asked| !asked.is_url()) else {
        return false;
    };
    let node = overlayroot_core::plan::hostname::node(config, &Facts { node: node.clone(), ..Facts::default() });
    asked.on(&node).is_ok_and(|path| source::open_in_root(root, &path).is_err())
}
