// SPDX-License-Identifier: GPL-2.0-or-later
//! What files and command line say: mistakes, and what one says against the other. Pure.

use crate::doctor::{Finding, Grade, finding};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::keys::{self, Key};
use overlayroot_core::path::Asked;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::field::{Field, Origin};

pub(crate) fn configuration(inputs: &Inputs, config: &Config, found: &mut Vec<Finding>) {
    let bad = config.misunderstood() || config.fallback.value.strict();
    let grade = if bad { Grade::Problem } else { Grade::Warning };
    for issue in &config.issues {
        let todo = issue.nearest.as_ref().map_or_else(|| "overlayctl keys lists all".to_owned(), |_| String::new());
        found.push(finding("configuration", grade, issue.to_string(), todo));
    }
    for (key, file, line) in overruled(inputs) {
        let text = format!("{key}: {line} overrides {file}");
        found.push(finding("configuration", Grade::Warning, text, "set it in one place only"));
    }
    if config.issues.is_empty() {
        let text = format!("asked for: {} ({})", escape(&config.upper.value.to_string()), config.upper.origin);
        found.push(finding("configuration", Grade::Ok, text, ""));
    }
}

/// Keys to which files and command line give different values.
fn overruled(inputs: &Inputs) -> Vec<(&'static str, Origin, Origin)> {
    let files = Config::read(&Inputs { conf: inputs.conf.clone(), ..Inputs::default() });
    let line = Config::read(&Inputs { cmdline: inputs.cmdline.clone(), ..Inputs::default() });
    let differ = pairs(files, line).into_iter().filter(|(_, same, ..)| !same);
    let both = differ.filter(|(_, _, file, line)| *file != Origin::Default && *line != Origin::Default);
    both.map(|(key, _, file, line)| (key.name, file, line)).collect()
}

pub(crate) type Pair = (&'static Key, bool, Origin, Origin);

/// Each key: whether files and line agree, and who says so.
pub(crate) fn pairs(files: Config, line: Config) -> Vec<Pair> {
    fn pair<T: PartialEq>(key: &'static Key, file: Field<T>, line: Field<T>) -> Pair {
        (key, file.value == line.value, file.origin, line.origin)
    }
    let same_paths = files.paths.iter().map(|path| &path.value).eq(line.paths.iter().map(|path| &path.value));
    let first = |paths: &[Field<Asked>]| paths.first().map_or(Origin::Default, |path| path.origin.clone());
    vec![
        pair(&keys::OVERLAY, files.upper, line.upper),
        pair(&keys::RESET, files.reset, line.reset),
        pair(&keys::READONLY, files.readonly, line.readonly),
        pair(&keys::NAME, files.name, line.name),
        pair(&keys::FALLBACK, files.fallback, line.fallback),
        pair(&keys::TIMEOUT, files.timeout, line.timeout),
        pair(&keys::STALE, files.stale, line.stale),
        pair(&keys::IMAGE_SHA256, files.image_sha256, line.image_sha256),
        pair(&keys::IMAGE_CACHE, files.image_cache, line.image_cache),
        pair(&keys::HOSTNAME, files.hostname, line.hostname),
        pair(&keys::POPULATE, files.populate, line.populate),
        pair(&keys::GIT, files.git, line.git),
        pair(&keys::GIT_VERIFY, files.git_verify, line.git_verify),
        pair(&keys::WATCH_WARN, files.watch_warn, line.watch_warn),
        pair(&keys::WATCH_CRITICAL, files.watch_critical, line.watch_critical),
        pair(&keys::WATCH_TEXTFILE, files.watch_textfile, line.watch_textfile),
        pair(&keys::PATH_DEV, files.path_dev, line.path_dev),
        (&keys::PATH, same_paths, first(&files.paths), first(&line.paths)),
    ]
}
