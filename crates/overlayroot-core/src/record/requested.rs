// SPDX-License-Identifier: GPL-2.0-or-later
//! What was asked for, as the record keeps it.

use crate::config::Config;
use serde::{Deserialize, Serialize};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requested {
    /// `off`, `tmpfs`, `device`, `dir`, `loop`, `part`, `subvol` or `crypt`.
    pub upper: String,
    /// The upper in words.
    pub spec: String,
    /// Where it was asked for.
    pub origin: String,
    /// `rd.overlay.reset`.
    pub reset: bool,
    /// `rd.overlay.readonly`.
    pub readonly: bool,
    /// `rd.overlay.name`; empty where it is the default.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `rd.overlay.fallback`.
    pub fallback: String,
    /// `rd.overlay.timeout`, seconds.
    pub timeout: u32,
    /// `rd.overlay.stale`.
    #[serde(default)]
    pub stale: String,
    /// `rd.overlay.image.sha256`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image_sha256: String,
    /// `rd.overlay.image.cache`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image_cache: String,
    /// `rd.overlay.hostname` as written; empty where none was asked for.
    #[serde(default)]
    pub hostname: String,
    /// `rd.overlay.populate` as written, without a password; empty where none was asked for.
    #[serde(default)]
    pub populate: String,
    /// `rd.overlay.git` as written; empty where none was asked for.
    #[serde(default)]
    pub git: String,
    /// `rd.overlay.git.verify`; empty where none was asked for.
    #[serde(default)]
    pub git_verify: String,
    /// `rd.overlay.path`, each path in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// `rd.overlay.path.dev`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path_dev: String,
}

impl Requested {
    /// The part of a configuration that the record keeps.
    pub fn of(config: &Config) -> Self {
        // Nothing, where a mistake leaves open what is to be verified.
        let git = crate::plan::git::asked(config).ok().flatten();
        Self {
            upper: config.upper.value.kind().to_owned(),
            spec: config.upper.value.to_string(),
            origin: config.upper.origin.to_string(),
            reset: config.reset.value,
            readonly: config.readonly.value,
            name: config.name.value.clone().unwrap_or_default(),
            fallback: config.fallback.value.word().to_owned(),
            timeout: config.timeout.value,
            stale: config.stale.value.word().to_owned(),
            image_sha256: config.image_sha256.value.clone().unwrap_or_default(),
            image_cache: config.image_cache.value.as_ref().map(ToString::to_string).unwrap_or_default(),
            hostname: config.hostname.value.as_ref().map(ToString::to_string).unwrap_or_default(),
            populate: config.populate.value.as_ref().map(ToString::to_string).unwrap_or_default(),
            git: git.as_ref().map(|asked| asked.git.to_string()).unwrap_or_default(),
            git_verify: git.and_then(|asked| asked.verify).unwrap_or_default(),
            paths: config.paths.iter().map(|asked| asked.value.to_string()).collect(),
            path_dev: config.path_dev.value.as_ref().map(ToString::to_string).unwrap_or_default(),
        }
    }
}
