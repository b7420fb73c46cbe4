// SPDX-License-Identifier: GPL-2.0-or-later
//! What `netroot=` becomes, and whether the image can be kept.

use crate::config::Config;
use crate::facts::fetched::Fetched;
use crate::feature::image_cache::{PREFIX, PROGRAM, THEIRS, fetchable};
use crate::keys::IMAGE_CACHE;
use crate::value::diagnostics::escape;

/// What `netroot=` becomes: ours where the image is to be kept or checked or to be our lower, and curl can fetch it;
/// else as it is.
pub fn netroot(config: &Config, netroot: &str) -> String {
    let wanted = config.asks_for_overlay() || config.image_cache.value.is_some() || crate::plan::image::asked(config);
    let url = netroot.strip_prefix(THEIRS).filter(|url| wanted && fetchable(url));
    url.map_or_else(|| netroot.to_owned(), |url| format!("{PREFIX}{url}"))
}

/// Whether the upper's own device is asked for as the cache. It can't be both: the overlay wants it writable and
/// for itself, and the image is read from it all the time.
pub fn is_uppers(config: &Config) -> bool {
    config.image_cache.value.as_ref().is_some_and(|cache| config.upper.value.takes(cache))
}

/// What a plan says where a cache is asked for and nothing has been fetched for it.
pub(crate) fn note(config: &Config, fetched: Option<&Fetched>) -> Option<String> {
    let asked = config.image_cache.value.as_ref().filter(|_| fetched.is_none())?;
    let (key, asked) = (IMAGE_CACHE.name, escape(&asked.to_string()));
    Some(format!("{key}={asked} has no effect: it is for root=live:URL, in an image with {PROGRAM}"))
}
