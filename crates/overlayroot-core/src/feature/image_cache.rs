// SPDX-License-Identifier: GPL-2.0-or-later
//! The image of `root=live:URL`, fetched by `overlay-image`: which sum it must have, where it is kept, what came of
//! it (`/run/overlayroot/image`, and `image` in the record).

use crate::feature::{image, populate};
use crate::value::device::{Device, parse_device};
use crate::value::diagnostics::Problem;

/// What fetches, checks and keeps it; only in images that ask for it.
pub const PROGRAM: &str = "overlay-image";
/// What dracut's netroot starts for [`PREFIX`]: the word before the colon, and "root".
pub const HANDLER: &str = "overlayimageroot";
/// What our `netroot=` begins with.
pub(crate) const PREFIX: &str = "overlayimage:";
/// What dracut's livenet makes of `root=live:URL` (dracut 049 to 111: modules.d/*livenet/parse-livenet.sh).
pub(crate) const THEIRS: &str = "livenet:";
/// The directory of the cache, on its device.
pub const DIRECTORY: &str = ".overlayroot/images";

/// The value of `rd.overlay.image.cache`; empty is none.
///
/// # Errors
/// What is no device.
pub fn parse_cache(value: &str) -> Result<Option<Device>, Problem> {
    if value.is_empty() {
        return Ok(None);
    }
    let problem = |text: String| Problem::new(format!("{text}; no image is kept"), None);
    match parse_device(value) {
        Some(device) => device.map(Some).map_err(|bad| problem(bad.text)),
        None => Err(problem("none of LABEL=, UUID=, PARTLABEL=, PARTUUID=, /dev/".to_owned())),
    }
}

/// Whether a `netroot=` is ours.
pub fn is_ours(netroot: &str) -> bool {
    netroot.starts_with(PREFIX)
}

/// The URL in what dracut's netroot hands over, or a URL given by hand.
pub fn url_of(netroot: &str) -> Option<&str> {
    Some(netroot.strip_prefix(PREFIX).unwrap_or(netroot)).filter(|url| fetchable(url))
}

pub(crate) fn fetchable(url: &str) -> bool {
    let scheme = url.split_once("://").filter(|(_, rest)| !rest.is_empty());
    scheme.is_some_and(|(scheme, _)| populate::SCHEMES.contains(&scheme))
}

/// The URL's file name.
pub fn name(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let after = path.split_once("://").map_or(path, |(_, rest)| rest);
    after.rsplit_once('/').map_or("", |(_, name)| name)
}

/// Where the sum of the image at `url` lies: beside it, as `overlayctl image build` puts it.
pub fn sum_url(url: &str) -> String {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let (path, rest) = url.split_at_checked(end).unwrap_or((url, ""));
    format!("{path}.sha256{rest}")
}

/// The sum of `name` in what sha256sum(1) has written: the line of that name, or the only one.
pub fn sum_in(text: &str, name: &str) -> Option<String> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let entries: Vec<(&str, &str)> = lines
        .map(|line| {
            let (sum, file) = line.split_once([' ', '\t']).unwrap_or((line, ""));
            (sum, file.trim_start_matches([' ', '\t', '*']))
        })
        .collect();
    let named = entries.iter().find(|(_, file)| file.rsplit('/').next() == Some(name));
    let (sum, _) = named.or(if entries.len() == 1 { entries.first() } else { None })?;
    image::parse_sha256(sum).ok().flatten()
}

#[cfg(test)]
mod tests;
