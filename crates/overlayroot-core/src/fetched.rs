// SPDX-License-Identifier: GPL-2.0-or-later
//! The image of `root=live:URL`, fetched by `overlay-image`: which sum it must have, where it is kept, what came of
//! it (`/run/overlayroot/image`, and `image` in the record).

use crate::config::Config;
use crate::grammar::IMAGE_CACHE;
use crate::image;
use crate::issue::shown;
use crate::populate;
use crate::pulled::Why;
use crate::upper::{Device, Problem, Upper, parse_device};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Version of the form; raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;
/// What fetches, checks and keeps it; only in images that ask for it.
pub const PROGRAM: &str = "overlay-image";
/// What dracut's netroot starts for [`PREFIX`]: the word before the colon, and "root".
pub const HANDLER: &str = "overlayimageroot";
/// What our `netroot=` begins with.
const PREFIX: &str = "overlayimage:";
/// What dracut's livenet makes of `root=live:URL` (dracut 049 to 111: modules.d/*livenet/parse-livenet.sh).
const THEIRS: &str = "livenet:";
/// The directory of the cache, on its device.
pub const DIRECTORY: &str = ".overlayroot/images";

/// Where the bytes came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// An earlier boot had kept it.
    Cache,
    /// The server, at this boot.
    #[default]
    Server,
}

/// What became of the image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fetched {
    /// [`SCHEMA`].
    pub schema: u32,
    /// URL, without a password.
    pub url: String,
    /// SHA-256 that it was found to have, in lower case; empty where nobody said which it must be.
    pub sha256: String,
    /// Who said which: `key` or `server`; empty for nobody.
    pub sum_by: String,
    /// Bytes.
    pub bytes: u64,
    /// Where the bytes came from.
    pub from: From,
    /// What dmsquash-live was given: the file, or a loop device of it.
    pub path: String,
    /// The device that holds it; none where it lies in RAM.
    pub device: Option<String>,
    /// `rd.overlay.image.cache` as asked for; empty where it was not.
    pub cache: String,
    /// Why it is not kept, where that was asked for.
    pub why: Option<Why>,
}

impl fmt::Display for Fetched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, &self.device) {
            (From::Cache, _) => write!(f, "from the cache on {}", shown(&self.cache))?,
            (From::Server, Some(_)) => write!(f, "from {}, kept on {}", shown(&self.url), shown(&self.cache))?,
            (From::Server, None) => write!(f, "from {}, in RAM", shown(&self.url))?,
        }
        let sum = if self.sha256.is_empty() { "not checked" } else { "checked" };
        write!(f, ", {} MB, {sum}", self.bytes.div_ceil(1_000_000))
    }
}

impl Fetched {
    /// As `overlay-image` leaves it for `overlay-assemble`, a line for each field that has a value. Not JSON: its
    /// reader would be 13 KB more in every initramfs (docs/dependencies.md).
    pub fn text(&self) -> String {
        let bytes = self.bytes.to_string();
        let from = if self.from == From::Cache { "cache" } else { "server" };
        let why = self.why.as_ref().map(|why| format!("{} {}", why.code, why.text)).unwrap_or_default();
        let fields = [
            ("url", self.url.as_str()),
            ("sha256", &self.sha256),
            ("sum_by", &self.sum_by),
            ("bytes", &bytes),
            ("from", from),
            ("path", &self.path),
            ("device", self.device.as_deref().unwrap_or_default()),
            ("cache", &self.cache),
            ("why", &why),
        ];
        let lines = fields.iter().filter(|(_, value)| !value.is_empty());
        let lines = lines.map(|(name, value)| format!("{name} {}\n", value.replace('\n', " ")));
        format!("schema {SCHEMA}\n{}", lines.collect::<String>())
    }

    /// Reads that; nothing where it has another form.
    pub fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let text = |name: &str| value(name).unwrap_or_default().to_owned();
        let schema = value("schema")?.parse().ok().filter(|schema| *schema == SCHEMA)?;
        let why = value("why").map(|why| why.split_once(' ').unwrap_or((why, "")));
        Some(Self {
            schema,
            url: text("url"),
            sha256: text("sha256"),
            sum_by: text("sum_by"),
            bytes: value("bytes")?.parse().ok()?,
            from: if value("from")? == "cache" { From::Cache } else { From::Server },
            path: text("path"),
            device: value("device").map(str::to_owned),
            cache: text("cache"),
            why: why.map(|(code, text)| Why { code: code.to_owned(), text: text.to_owned() }),
        })
    }

    /// What is to be said where it was asked for in vain.
    pub fn complaint(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        Some(format!("the image is not kept on {} ({}): {}", shown(&self.cache), why.code, why.text))
    }

    /// Whether this is about the file or device at `path`, and tells its sum.
    pub fn tells(&self, path: &str) -> bool {
        !self.sha256.is_empty() && self.path == path
    }
}

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

/// What `netroot=` becomes: ours where the image is to be kept or checked or to be our lower, and curl can fetch it;
/// else as it is.
pub fn netroot(config: &Config, netroot: &str) -> String {
    let wanted = config.asks_for_overlay() || config.image_cache.value.is_some() || image::asked(config);
    let url = netroot.strip_prefix(THEIRS).filter(|url| wanted && fetchable(url));
    url.map_or_else(|| netroot.to_owned(), |url| format!("{PREFIX}{url}"))
}

/// Whether a `netroot=` is ours.
pub fn is_ours(netroot: &str) -> bool {
    netroot.starts_with(PREFIX)
}

/// The URL in what dracut's netroot hands over, or a URL given by hand.
pub fn url_of(netroot: &str) -> Option<&str> {
    Some(netroot.strip_prefix(PREFIX).unwrap_or(netroot)).filter(|url| fetchable(url))
}

fn fetchable(url: &str) -> bool {
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

/// Whether the upper's own device is asked for as the cache. It can't be both: the overlay wants it writable and
/// for itself, and the image is read from it all the time.
pub fn is_uppers(config: &Config) -> bool {
    let cache = config.image_cache.value.as_ref();
    match &config.upper.value {
        Upper::Part(part) => cache == Some(&Device::PartLabel(part.label.clone())),
        _ => cache.is_some() && cache == upper_device(config),
    }
}

/// The device that the upper is on, as asked for.
pub fn upper_device(config: &Config) -> Option<&Device> {
    match &config.upper.value {
        Upper::Device(device) => Some(device),
        Upper::Loop(file) => file.dev.as_ref(),
        _ => None,
    }
}

/// What a plan says where a cache is asked for and nothing has been fetched for it.
pub(crate) fn note(config: &Config, fetched: Option<&Fetched>) -> Option<String> {
    let asked = config.image_cache.value.as_ref().filter(|_| fetched.is_none())?;
    let (key, asked) = (IMAGE_CACHE.name, shown(&asked.to_string()));
    Some(format!("{key}={asked} has no effect: it is for root=live:URL, in an image with {PROGRAM}"))
}

#[cfg(test)]
#[path = "fetched_tests.rs"]
mod tests;
