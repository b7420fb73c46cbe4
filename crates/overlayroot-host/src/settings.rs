// SPDX-License-Identifier: GPL-2.0-or-later
//! The effective configuration, key by key in the order of the one table, for `overlayctl config` and `explain`.
//! Pure.

use overlayroot_core::config::conf_file::{self, conf_args, redacted, ubuntu_file};
use overlayroot_core::config::ubuntu;
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::keys::{self, KEYS, Key};
use overlayroot_core::parse::cmdline::{Arg, lex};
use overlayroot_core::upper::Upper;
use overlayroot_core::value::diagnostics::{escape, suggest};
use overlayroot_core::value::field::Origin;
use serde::Serialize;

/// A key, what holds for it, and who said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its name in the table.
    pub key: &'static str,
    /// What holds; empty for none. Without passwords.
    pub value: String,
    /// What holds where nobody says anything.
    pub default: &'static str,
    /// Where the value came from.
    pub origin: From,
    /// Every place that says something about it, in rising precedence.
    pub said: Vec<Said>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum From {
    /// The table.
    Default,
    /// Written somewhere.
    Given {
        /// The argument as written, without passwords.
        text: String,
        /// The file, with the line where it is a configuration file.
        source: String,
    },
}

/// One place that says something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Said {
    /// The argument as written, without passwords.
    pub text: String,
    /// The file, with the line where it is a configuration file.
    pub source: String,
    /// Whether it is the one that counts.
    pub decides: bool,
    /// Why it does not count; empty where it does.
    pub why: String,
}

/// Everything, in the table's order.
pub fn settings(inputs: &Inputs, config: &Config) -> Vec<Setting> {
    KEYS.iter().map(|key| setting(inputs, config, key)).collect()
}

/// The row of the table for a name as a person writes it: also a deprecated one, and without `rd.` or `rd.overlay.`.
///
/// # Errors
/// The nearest name, where one is near.
pub fn find(name: &str) -> Result<&'static Key, Option<String>> {
    let name = name.split('=').next().unwrap_or(name).trim();
    let full = [name.to_owned(), format!("rd.{name}"), format!("rd.overlay.{name}")];
    let row = KEYS.iter().find(|key| full.iter().any(|name| key.name == name || key.deprecated.contains(&&**name)));
    row.copied().ok_or_else(|| {
        let names = || KEYS.iter().flat_map(|key| key.deprecated.iter().chain([&key.name]).copied());
        let near = |text: &String| suggest(text, names());
        // The last part alone tells more than the beginning that all have.
        let short = KEYS.iter().filter_map(|key| key.name.strip_prefix("rd.overlay."));
        let found = suggest(name.rsplit('.').next().unwrap_or(name), short).map(|word| format!("rd.overlay.{word}"));
        found.or_else(|| full.first().and_then(near))
    })
}

fn setting(inputs: &Inputs, config: &Config, key: &'static Key) -> Setting {
    let origin = match origin(config, key) {
        Origin::Default => From::Default,
        Origin::Given { text, source } => From::Given { text: told(text), source: source.clone() },
    };
    let value = value(config, key, &origin);
    let said = said(inputs, config, key, &origin);
    Setting { key: key.name, value, default: key.default, origin, said }
}

fn is(key: &Key, row: &Key) -> bool {
    key.name == row.name
}

/// Where the field of a key came from.
fn origin<'a>(config: &'a Config, key: &Key) -> &'a Origin {
    let crypt = matches!(config.upper.value, Upper::Crypt(_));
    let fields = [
        (&keys::RESET, &config.reset.origin),
        (&keys::READONLY, &config.readonly.origin),
        (&keys::NAME, &config.name.origin),
        (&keys::FALLBACK, &config.fallback.origin),
        (&keys::TIMEOUT, &config.timeout.origin),
        (&keys::STALE, &config.stale.origin),
        (&keys::IMAGE_SHA256, &config.image_sha256.origin),
        (&keys::IMAGE_CACHE, &config.image_cache.origin),
        (&keys::HOSTNAME, &config.hostname.origin),
        (&keys::POPULATE, &config.populate.origin),
        (&keys::GIT, &config.git.origin),
        (&keys::GIT_VERIFY, &config.git_verify.origin),
        (&keys::PATH, config.paths.last().map_or(&Origin::Default, |path| &path.origin)),
        (&keys::PATH_DEV, &config.path_dev.origin),
        (&keys::WATCH_WARN, &config.watch_warn.origin),
        (&keys::WATCH_CRITICAL, &config.watch_critical.origin),
        (&keys::WATCH_TEXTFILE, &config.watch_textfile.origin),
        (if crypt { &keys::CRYPT } else { &keys::OVERLAY }, &config.upper.origin),
    ];
    fields.into_iter().find(|(row, _)| is(key, row)).map_or(&Origin::Default, |(_, origin)| origin)
}

fn value(config: &Config, key: &Key, origin: &From) -> String {
    let truth = |yes: bool| if yes { "1" } else { "0" }.to_owned();
    if is(key, &keys::OVERLAY) {
        return config.upper.value.as_argument();
    }
    if is(key, &keys::CRYPT) {
        let Upper::Crypt(spec) = &config.upper.value else { return String::new() };
        return redacted(spec);
    }
    if is(key, &keys::RESET) {
        return truth(config.reset.value);
    }
    if is(key, &keys::READONLY) {
        return truth(config.readonly.value);
    }
    if is(key, &keys::TIMEOUT) {
        return config.timeout.value.to_string();
    }
    if is(key, &keys::PATH) {
        return paths_said(config).iter().map(|(text, _)| after_equals(text)).collect::<Vec<_>>().join(" ");
    }
    match origin {
        From::Default => key.default.to_owned(),
        From::Given { text, .. } => after_equals(text).to_owned(),
    }
}

fn after_equals(text: &str) -> &str {
    text.split_once('=').map_or("", |(_, value)| value)
}

/// The places whose paths count, each once: the one key of which several do.
fn paths_said(config: &Config) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for path in &config.paths {
        if let Origin::Given { text, source } = &path.origin {
            let place = (told(text), source.clone());
            if !found.contains(&place) {
                found.push(place);
            }
        }
    }
    found
}

/// Every place that says something about a key, in rising precedence.
fn said(inputs: &Inputs, config: &Config, key: &Key, origin: &From) -> Vec<Said> {
    let (conf, line) = (conf_args(&inputs.conf, &mut Vec::new()), lex(&inputs.cmdline));
    let named =
        |arg: &&Arg| key.name.as_bytes() == arg.key || key.deprecated.iter().any(|old| old.as_bytes() == arg.key);
    let written = |arg: &Arg| (told(&arg.text()), arg.source.clone());
    let mut all: Vec<(String, String)> = if is(key, &keys::OVERLAY) { ubuntu_said(inputs) } else { Vec::new() };
    all.extend(conf.iter().chain(&line).filter(named).map(written));
    let decides = |(text, source): &(String, String)| match origin {
        From::Default => false,
        From::Given { text: by, source: at } => source == at && text == by,
    };
    let last = all.iter().rposition(decides);
    let several = if is(key, &keys::PATH) { paths_said(config) } else { Vec::new() };
    let counts = |index: usize| last == Some(index) || all.get(index).is_some_and(|place| several.contains(place));
    let why = |index: usize, text: &str| {
        if counts(index) {
            return String::new();
        }
        let issue = config.issues.iter().find(|issue| text == format!("{}={}", issue.key, issue.value));
        match (issue, origin) {
            (Some(issue), _) => issue.text.clone(),
            (None, From::Given { text, source }) => format!("{} in {source} decides", escape(text)),
            (None, From::Default) => "it has no effect".to_owned(),
        }
    };
    let said = |(index, (text, source)): (usize, &(String, String))| Said {
        why: why(index, text),
        decides: counts(index),
        text: text.clone(),
        source: source.clone(),
    };
    all.iter().enumerate().map(said).collect()
}

/// Ubuntu's argument and files, which count where none of ours is there.
fn ubuntu_said(inputs: &Inputs) -> Vec<(String, String)> {
    let files = inputs.ubuntu.iter().filter_map(|file| Some((ubuntu_file(file)?, file.name.clone())));
    let line = inputs.cmdline.iter().filter(|source| source.kernels);
    let line = line.filter_map(|source| Some((ubuntu::last_value(source)?, source.name.clone())));
    let all = files.chain(line).filter(|(value, _)| !value.is_empty());
    all.map(|(value, source)| (format!("{}={}", keys::UBUNTU, conf_file::told(keys::UBUNTU, &value)), source)).collect()
}

/// An argument without a password.
fn told(text: &str) -> String {
    match text.split_once('=') {
        Some((key, value)) => format!("{key}={}", conf_file::told(key, value)),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
