// SPDX-License-Identifier: GPL-2.0-or-later
//! A value taken apart: what each part of it means, and what the boot's own parser says of it.

use super::form::Form;
use super::values;
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::keys::Key;
use overlayroot_core::parse::cmdline::Source;
use overlayroot_core::path::preset;
use overlayroot_core::value::size::bytes_of;
use overlayroot_core::value::size::rounded;
use overlayroot_host::settings;
use serde::Serialize;

/// A part of a value that was given.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Said {
    /// As it was given.
    pub part: String,
    /// What it means.
    pub text: String,
}

/// What was found of a value.
#[derive(Debug, Serialize)]
pub struct Given {
    /// As it was given, without passwords.
    pub value: String,
    /// Its parts, in their order.
    pub parts: Vec<Said>,
    /// What the boot makes of it.
    pub taken_as: String,
    /// What is wrong with it.
    pub mistakes: Vec<String>,
}

/// Reads a value as the boot would.
pub fn read(key: &'static Key, value: &str) -> Given {
    let argument = match value.contains(char::is_whitespace) {
        true => format!("{}=\"{value}\"", key.name),
        false => format!("{}={value}", key.name),
    };
    let inputs = Inputs { cmdline: vec![Source::handed("the value given", argument)], ..Inputs::default() };
    let config = Config::read(&inputs);
    let setting = settings::settings(&inputs, &config).into_iter().find(|setting| setting.key == key.name);
    // Who prints it again must not print a password.
    let told = setting.as_ref().and_then(|setting| setting.said.last());
    let told = told.and_then(|said| said.text.split_once('=')).map_or_else(String::new, |(_, text)| text.to_owned());
    let mistakes = config.issues.iter().map(|issue| match &issue.nearest {
        Some(nearest) => format!("{}; did you mean {nearest}?", issue.text),
        None => issue.text.clone(),
    });
    Given {
        parts: parts(key, &told),
        taken_as: setting.map(|setting| setting.value).unwrap_or_default(),
        mistakes: mistakes.collect(),
        value: told,
    }
}

/// Takes it apart.
fn parts(key: &Key, value: &str) -> Vec<Said> {
    let forms = values::of(key);
    let preset = |name: &str| preset(name).filter(|_| !values::presets(key).is_empty());
    let said = |part: &str, text: String| Said { part: part.to_owned(), text };
    let form = forms.iter().filter(|form| form.fits(value)).max_by_key(|form| form.fixed.len());
    let Some(form) = form else { return preset(value).map(|text| said(value, text)).into_iter().collect() };
    let rest = value.get(form.fixed.len()..).unwrap_or_default();
    let mut words = rest.split(',');
    let name = if form.parameters.is_empty() { rest } else { words.next().unwrap_or_default() };
    let mut all = Vec::new();
    if !form.fixed.is_empty() || form.rest.name.is_empty() {
        all.push(said(form.fixed, form.says.to_owned()));
    }
    let (named, first) = (!form.rest.name.is_empty(), name);
    if named && !first.is_empty() {
        let of_form = if form.fixed.is_empty() {
            format!("{}: {}", form.says, form.rest.says)
        } else {
            form.rest.says.to_owned()
        };
        all.push(said(first, preset(first).unwrap_or(of_form)));
    }
    let first = (!named).then_some(first);
    let words = first.into_iter().chain(words).filter(|word| !word.is_empty() && !form.parameters.is_empty());
    all.extend(words.map(|word| said(word, parameter(form, word))));
    all
}

fn parameter(form: &Form, word: &str) -> String {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    let found = form.parameters.iter().find(|part| part.name.split('=').next() == Some(key));
    let Some(found) = found else { return "no parameter of this kind".to_owned() };
    let size = found.name.ends_with("=SIZE").then(|| bytes_of(value)).flatten().filter(|bytes| *bytes > 0);
    match size {
        Some(bytes) => format!("{} ({})", found.says, rounded(bytes)),
        None => found.says.to_owned(),
    }
}

/// What a preset stands for.
fn preset(name: &str) -> Option<String> {
    let name = name.split(',').next().unwrap_or(name);
    let found = preset::find(name).ok()?;
    Some(format!("stands for {}", found.paths.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlayroot_core::keys::{self, KEYS};

    fn texts(key: &'static Key, value: &str) -> Vec<(String, String)> {
        read(key, value).parts.into_iter().map(|said| (said.part, said.text)).collect()
    }

    #[test]
    fn each_part_of_a_value_is_told() {
        let found = texts(&keys::OVERLAY, "dir:/x,size=2G");
        assert_eq!(found.iter().map(|(part, _)| part.as_str()).collect::<Vec<_>>(), ["dir:", "/x", "size=2G"]);
        assert!(found[0].1.contains("changes stay") && found[2].1.ends_with("(2.0 GiB)"), "{found:?}");
        let found = texts(&keys::OVERLAY, "tmpfs:size=50%,nr_inodes=200k");
        assert_eq!(found.len(), 3);
        assert!(found[0].1.contains("lost at reboot"), "{found:?}");
        let found = texts(&keys::OVERLAY, "LABEL=my,disk");
        assert_eq!((found.len(), found[1].0.as_str()), (2, "my,disk"), "a label is all the rest");
        assert_eq!(texts(&keys::OVERLAY, "tmpfs").len(), 1);
        assert!(texts(&keys::STALE, "park")[0].1.contains("another name"));
        assert!(texts(&keys::PATH, "persist:machine-id")[1].1.contains("/etc/machine-id"));
        assert!(texts(&keys::PATH, "journal")[0].1.contains("/var/log/journal"));
        assert!(texts(&keys::TIMEOUT, "5")[0].1.contains("seconds"));
    }

    #[test]
    fn what_the_boot_would_not_take_is_a_mistake() {
        for (value, why) in
            [("dir:/x,sise=2G", "size"), ("tmpsf", "tmpfs"), ("loop:/x,size=1", "16M"), ("dri:/x", "dir:")]
        {
            let found = read(&keys::OVERLAY, value);
            assert!(found.mistakes.iter().any(|text| text.contains(why)), "{value}: {found:?}");
            assert!(found.taken_as.starts_with("tmpfs"), "{found:?}");
        }
        assert!(read(&keys::OVERLAY, "dir:/x,size=2G").mistakes.is_empty());
        let found = read(&keys::GIT, "https://me:secret@host/r");
        assert!(!format!("{found:?}").contains("secret"), "{found:?}");
    }

    #[test]
    fn the_table_has_every_form_and_parameter_of_the_syntax() {
        let words = |text: &str| -> Vec<String> {
            let all = text.split(['|', ',', '[', ']']).map(|word| word.trim_start_matches(':').to_owned());
            all.filter(|word| !word.is_empty()).collect()
        };
        // A BOOL has two words, a preset is a name of the path, rest is a size.
        let own = ["BOOL", "KIND:", "PRESET", "PARAMETERS", "rest"];
        for key in KEYS {
            let mut known: Vec<String> = Vec::new();
            for form in values::of(key) {
                known.extend(words(&form.syntax()));
                known.extend(form.parameters.iter().flat_map(|part| words(part.name)));
            }
            for word in words(key.syntax()).iter().filter(|word| !own.contains(&word.as_str())) {
                assert!(known.contains(word), "{}: the table lacks {word}: {known:?}", key.name);
            }
            assert!(!known.is_empty(), "{}", key.name);
        }
    }
}
