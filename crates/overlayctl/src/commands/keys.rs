// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl keys`: the one table, for people.

use crate::output::exit::Exit;
use anyhow::Result;
use overlayroot_core::keys::KEYS;

/// Prints every key.
pub fn run() -> Result<Exit> {
    for key in KEYS {
        println!("{}={}", key.name, key.syntax());
        println!("    {}", key.help());
        let default = if key.default.is_empty() { "none" } else { key.default };
        println!("    default: {default}");
        if !key.deprecated.is_empty() {
            println!("    also (deprecated): {}", key.deprecated.join(", "));
        }
    }
    Ok(Exit::Good)
}
