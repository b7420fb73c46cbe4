// SPDX-License-Identifier: GPL-2.0-or-later
//! What `rd.overlay.path=` may say: a kind, a path or the name of a preset, and parameters (docs/paths.md).

use crate::issue::{nearest, shown};
use crate::ondisk::{plain_path, unknown};
use crate::path_preset::{self, Preset};
use crate::upper::{Device, Problem, is_size, parse_device};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What is to become of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Kept, whatever becomes of the upper.
    Persist,
    /// On a tmpfs of its own.
    Volatile,
    /// The lower's own, writable.
    Bind,
    /// As it is in the merged root, read-only.
    Readonly,
}

impl Kind {
    /// Every kind with its word.
    pub const ALL: [(&'static str, Self); 4] =
        [("persist", Self::Persist), ("volatile", Self::Volatile), ("bind", Self::Bind), ("readonly", Self::Readonly)];

    /// Its word in the grammar.
    pub fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, kind)| *kind == self);
        found.map_or("persist", |(word, _)| word)
    }
}

/// What the value says is at the path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A directory, made where it is not there.
    Directory,
    /// Files, by the last part of the path.
    Files,
    /// What is there decides.
    Open,
}

/// What is asked for one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// What is to become of it.
    pub kind: Kind,
    /// Path in the root; its last part may have `*` and `?`.
    pub path: String,
    /// What it is.
    pub form: Form,
    /// Name of the preset it comes from.
    pub preset: Option<&'static str>,
    /// Volatile where there is no place to keep it: a preset whose kind nobody gave.
    pub either: bool,
    /// Passed over where it is not in the root.
    pub if_there: bool,
    /// The parameters.
    pub params: Params,
}

/// The parameters of one value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Params {
    /// Device to keep it on.
    pub dev: Option<Device>,
    /// Limit of a tmpfs, as of an upper in RAM.
    pub size: Option<String>,
    /// Limit on the number of files of a tmpfs.
    pub nr_inodes: Option<String>,
    /// Mode of a tmpfs; that of the directory where none is given.
    pub mode: Option<u32>,
    /// A tmpfs begins with what the directory holds.
    pub copy: bool,
}

impl Params {
    /// Limit of a tmpfs where none is given: a quarter of RAM each.
    pub const DEFAULT_SIZE: &str = "25%";

    /// Mount options of a tmpfs. Its mode is set with the other attributes.
    pub fn options(&self) -> String {
        let mut out = format!("size={}", self.size.as_deref().unwrap_or(Self::DEFAULT_SIZE));
        if let Some(inodes) = &self.nr_inodes {
            out.push_str(&format!(",nr_inodes={inodes}"));
        }
        out
    }
}

impl Asked {
    /// Whether the last part of the path stands for several files.
    pub fn is_glob(&self) -> bool {
        has_glob(&self.path)
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.form == Form::Directory { "/" } else { "" };
        let either = if self.either { " or volatile" } else { "" };
        write!(f, "{}{either}:{}{slash}", self.kind.word(), self.path)
    }
}

fn has_glob(path: &str) -> bool {
    path.contains(['*', '?'])
}

/// Whether a file's name fits a pattern of `*` and `?`; neither stands for a leading dot.
pub fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where to go on when what follows the last `*` does not fit: it takes one more.
    let mut back: Option<(usize, usize)> = None;
    while let Some(c) = name.get(n) {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p + 1, n));
                p += 1;
            }
            Some(want) if *want == '?' || want == c => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((after, from)) = back else { return false };
                back = Some((after, from + 1));
                p = after;
                n = from + 1;
            }
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|c| *c == '*')
}

/// A path split into its directory (empty for `/`) and its last part.
pub fn parts(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// One value of `rd.overlay.path`.
///
/// # Errors
/// What is not understood; the whole value is left out then.
pub fn parse(value: &str) -> Result<Vec<Asked>, Problem> {
    let (head, params) = value.split_once(',').unwrap_or((value, ""));
    let (kind, place) = match head.split_once(':') {
        Some((word, place)) => (Some(kind(word)?), place),
        None if head.starts_with('/') => {
            return problem(format!(
                "'{}' has no kind: persist:, volatile:, bind: or readonly: before it",
                shown(head)
            ));
        }
        None => (None, head),
    };
    let preset = if place.starts_with('/') { None } else { Some(path_preset::find(place)?) };
    let (effective, either) = match (kind, preset) {
        (Some(kind), _) => (kind, false),
        (None, Some(preset)) => (Kind::Persist, preset.either),
        (None, None) => (Kind::Persist, false),
    };
    let params = parse_params(params, effective, either)?;
    match preset {
        Some(preset) => of_preset(preset, effective, either, &params),
        None => one(effective, place, params).map(|asked| vec![asked]),
    }
}

fn problem<T>(text: String) -> Result<T, Problem> {
    Err(Problem::new(text, None))
}

fn kind(word: &str) -> Result<Kind, Problem> {
    let found = Kind::ALL.iter().find(|(name, _)| *name == word);
    found.map(|(_, kind)| *kind).ok_or_else(|| {
        let near = nearest(word, Kind::ALL.iter().map(|(name, _)| *name));
        Problem::new(format!("'{}' is not one of persist, volatile, bind, readonly", shown(word)), near)
    })
}

fn one(kind: Kind, place: &str, params: Params) -> Result<Asked, Problem> {
    let path = plain_path(place)?;
    let first = path.split('/').nth(1).unwrap_or_default();
    if matches!(first, "dev" | "proc" | "sys" | "run") {
        return problem(format!("'{}' lies where the kernel's and /run's own file systems are mounted", shown(&path)));
    }
    let (parent, name) = parts(&path);
    let glob = has_glob(&path);
    let slash = place.ends_with('/');
    if has_glob(parent) {
        return problem(format!("'{}': * and ? can stand in the last part only", shown(&path)));
    }
    if glob && (slash || kind != Kind::Persist) {
        return problem(format!("'{}': * and ? stand for files, and files can be kept (persist:) only", shown(&path)));
    }
    if name.len() > 200 || path.len() > 1000 {
        return problem(format!("'{}' is too long", shown(&path)));
    }
    let form = match (glob, slash) {
        (true, _) => Form::Files,
        (_, true) => Form::Directory,
        _ => Form::Open,
    };
    // Its name in the store has room for every byte of it.
    if form != Form::Files && crate::fstab::escaped(&path).len() > 240 {
        return problem(format!("'{}' is too long", shown(&path)));
    }
    Ok(Asked { kind, path, form, preset: None, either: false, if_there: false, params })
}

fn of_preset(preset: &'static Preset, kind: Kind, either: bool, params: &Params) -> Result<Vec<Asked>, Problem> {
    if preset.form == Form::Files && kind != Kind::Persist {
        return problem(format!("{} stands for files, and files can be kept (persist:) only", preset.name));
    }
    let asked = |path: &&str| Asked {
        kind,
        path: (*path).to_owned(),
        form: preset.form,
        preset: Some(preset.name),
        either,
        // What is to be read-only, or the lower's own, must be there anyway.
        if_there: preset.if_there || matches!(kind, Kind::Bind | Kind::Readonly),
        params: params.clone(),
    };
    Ok(preset.paths.iter().map(asked).collect())
}

fn parse_params(text: &str, kind: Kind, either: bool) -> Result<Params, Problem> {
    const PERSIST: &[&str] = &["dev"];
    const VOLATILE: &[&str] = &["size", "nr_inodes", "mode", "copy"];
    const EITHER: &[&str] = &["dev", "size", "nr_inodes", "mode", "copy"];
    let known = match kind {
        Kind::Persist if either => EITHER,
        Kind::Persist => PERSIST,
        Kind::Volatile => VOLATILE,
        Kind::Bind | Kind::Readonly => &[],
    };
    let mut params = Params::default();
    for param in text.split(',').filter(|param| !param.is_empty()) {
        let (key, value) = param.split_once('=').unwrap_or((param, ""));
        if !known.contains(&key) {
            return Err(match known {
                [] => Problem::new(format!("{} takes no parameters, not '{}'", kind.word(), shown(key)), None),
                _ => unknown(key, known),
            });
        }
        match key {
            "dev" => params.dev = Some(device(value)?),
            "size" => params.size = Some(limit(key, value, true)?),
            "nr_inodes" => params.nr_inodes = Some(limit(key, value, false)?),
            "mode" => params.mode = Some(mode(value)?),
            _ => params.copy = true,
        }
    }
    Ok(params)
}

fn limit(key: &str, value: &str, percent: bool) -> Result<String, Problem> {
    match is_size(value, percent) {
        true => Ok(value.to_owned()),
        false => {
            let forms = if percent { "a number with k, m, g or t, or percent" } else { "a number" };
            problem(format!("{key}={} is not {forms}", shown(value)))
        }
    }
}

fn mode(value: &str) -> Result<u32, Problem> {
    let digits = (3..=4).contains(&value.len()) && value.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    match u32::from_str_radix(value, 8) {
        Ok(mode) if digits => Ok(mode),
        _ => problem(format!("mode={} is not three or four octal digits", shown(value))),
    }
}

fn device(value: &str) -> Result<Device, Problem> {
    match parse_device(value) {
        Some(device) => device,
        None => problem(format!(
            "dev={} is not one of LABEL=, UUID=, PARTLABEL=, PARTUUID= and a path below /dev",
            shown(value)
        )),
    }
}

/// The value of `rd.overlay.path.dev`; empty is none.
///
/// # Errors
/// What is no device.
pub fn parse_dev(value: &str) -> Result<Option<Device>, Problem> {
    if value.is_empty() { Ok(None) } else { device(value).map(Some) }
}

#[cfg(test)]
#[path = "path_spec_tests.rs"]
mod tests;
