// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks at the paths that have a policy of their own, and for the devices that are to keep them.

use crate::probe::{device, place};
use overlayroot_core::config::Config;
use overlayroot_core::facts::device::Lookup;
use overlayroot_core::facts::place::Place;
use std::collections::BTreeMap;
use std::time::Duration;

/// What lies at each of them in the root at `root`.
pub fn places(config: &Config, root: &str) -> BTreeMap<String, Place> {
    let asked = config.paths.iter().map(|asked| asked.value.path.clone());
    let mut places = BTreeMap::new();
    // collect() would sort them first
    places.extend(asked.map(|path| (path.clone(), place::look(root, &path))));
    places
}

/// The devices that are asked for to keep some of them, each waited for if `wait`.
pub fn stores(config: &Config, wait: bool) -> BTreeMap<String, Lookup> {
    let mut found = BTreeMap::new();
    for asked in config.stores() {
        let seconds = if wait { config.timeout.value } else { 0 };
        found.entry(asked.to_string()).or_insert_with(|| {
            device::resolve(asked, Duration::from_secs(seconds.into()), || {
                if seconds > 0 {
                    crate::log::warning!("waiting up to {seconds} s for {asked}, which keeps paths");
                }
            })
        });
    }
    found
}
