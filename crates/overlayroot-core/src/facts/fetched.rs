// SPDX-License-Identifier: GPL-2.0-or-later
//! The image of `root=live:URL` as `overlay-image` fetched it: `/run/overlayroot/image.json`.

use crate::value::diagnostics::escape;
use crate::value::why::Why;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Version of the form; raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

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
            (From::Cache, _) => write!(f, "from the cache on {}", escape(&self.cache))?,
            (From::Server, Some(_)) => write!(f, "from {}, kept on {}", escape(&self.url), escape(&self.cache))?,
            (From::Server, None) => write!(f, "from {}, in RAM", escape(&self.url))?,
        }
        let sum = if self.sha256.is_empty() { "not checked" } else { "checked" };
        write!(f, ", {} MB, {sum}", self.bytes.div_ceil(1_000_000))
    }
}

impl Fetched {
    /// As `overlay-image` leaves it for `overlay-assemble`, a line for each field that has a value. Not JSON: its
    /// reader would be 13 KB more in every initramfs (docs/internals/dependencies.md).
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
        Some(format!("the image is not kept on {} ({}): {}", escape(&self.cache), why.code, why.text))
    }

    /// Whether this is about the file or device at `path`, and tells its sum.
    pub fn tells(&self, path: &str) -> bool {
        !self.sha256.is_empty() && self.path == path
    }
}
