// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a word is the name of a key, or was meant to be one.

use crate::keys::{KEYS, OVERLAY, UBUNTU};
use crate::value::diagnostics::suggest;

/// Whether a key is, or was meant to be, one of ours: any case, `_` and `-` for `.`, `:` for `=`, and a slip or two of
/// the hand.
pub fn is_ours(key: &str) -> bool {
    let plain = plain(key);
    plain.starts_with(OVERLAY.name) || (key != UBUNTU && is_near(&plain))
}

/// The name that a key was meant to be, if one is near.
pub fn nearest_name(key: &str) -> Option<String> {
    suggest(&plain(key), names().chain([UBUNTU]))
}

/// A key as people mistake it; of one that is no name at all, no more than is compared in no time.
fn plain(key: &str) -> String {
    let key = key.split(':').next().unwrap_or(key);
    key.chars().take(64).map(|c| if matches!(c, '_' | '-') { '.' } else { c.to_ascii_lowercase() }).collect()
}

/// Whether at most two letters are wrong, missing, too many or exchanged. No argument of dracut, systemd or the kernel
/// is so near; a test holds that against a list of theirs.
fn is_near(plain: &str) -> bool {
    let near = |name: &str, text: &str| strsim::osa_distance(name, text) <= 2;
    // What lies below rd.overlay may be misspelt itself.
    let head = plain.match_indices('.').nth(1).map_or(plain, |(at, _)| plain.get(..at).unwrap_or(plain));
    near(OVERLAY.name, head) || names().chain([UBUNTU]).any(|name| near(name, plain))
}

/// Every name in the table, older ones among them.
fn names() -> impl Iterator<Item = &'static str> {
    KEYS.iter().flat_map(|row| row.deprecated.iter().chain([&row.name])).copied()
}

/// Whether the table has this key, under its name or a deprecated one.
pub fn is_known(key: &str) -> bool {
    KEYS.iter().any(|row| row.name == key || row.deprecated.contains(&key))
}
