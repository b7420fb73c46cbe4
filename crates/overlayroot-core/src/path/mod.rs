// SPDX-License-Identifier: GPL-2.0-or-later
//! What `rd.overlay.path=` may say: a kind, a path or the name of a preset, and parameters (docs/guide/paths.md).

mod bind;
pub mod params;
mod persist;
pub mod plan;
pub mod preset;
mod readonly;
mod volatile;

pub use crate::path::params::{Params, parse_dev};

use crate::parse::mountinfo::Mount;
use crate::path::params::parse_params;
use crate::path::plan::{Builder, Keeper};
use crate::path::preset::Preset;
use crate::step::path::Kind;
use crate::step::refusal::Refusal;
use crate::value::diagnostics::{Problem, escape};
use crate::value::glob;
use crate::value::path::plain_path;
use std::fmt;

/// The one dispatch over the policies.
impl Kind {
    /// The parameters that it takes; `either`: it may become volatile.
    pub(crate) fn params(self, either: bool) -> Vec<&'static str> {
        let also = if either { volatile::PARAMS } else { &[] };
        let own = match self {
            Self::Persist => persist::PARAMS,
            Self::Volatile => volatile::PARAMS,
            Self::Bind | Self::Readonly => &[],
        };
        own.iter().chain(also).copied().collect()
    }

    /// Its part of the plan, and what keeps the path.
    ///
    /// # Errors
    /// Why it can't be had.
    pub(crate) fn plan(self, builder: &mut Builder<'_>, asked: &Asked) -> Result<Option<Keeper>, Refusal> {
        match self {
            Self::Persist => persist::plan(builder, asked),
            Self::Volatile => volatile::plan(builder, asked).map(|()| None),
            Self::Bind => bind::plan(builder, asked).map(|()| None),
            Self::Readonly => readonly::plan(builder, asked).map(|()| None),
        }
    }

    /// Whether nothing is made for it: what is to be read-only, or the lower's own, must be there anyway.
    fn is_of_what_is_there(self) -> bool {
        match self {
            Self::Bind | Self::Readonly => true,
            Self::Persist | Self::Volatile => false,
        }
    }

    /// Whether what is mounted on the path is what the policy has mounted there.
    pub fn holds(self, mount: &Mount) -> bool {
        match self {
            Self::Persist => persist::holds(mount),
            Self::Volatile => volatile::holds(mount),
            Self::Bind => bind::holds(mount),
            Self::Readonly => readonly::holds(mount),
        }
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
    (!name.starts_with('.') || pattern.starts_with('.')) && glob::fits(pattern, name)
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
                escape(head)
            ));
        }
        None => (None, head),
    };
    let preset = if place.starts_with('/') { None } else { Some(preset::find(place)?) };
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

pub(crate) fn problem<T>(text: String) -> Result<T, Problem> {
    Err(Problem::new(text, None))
}

fn kind(word: &str) -> Result<Kind, Problem> {
    let found = Kind::ALL.iter().find(|(name, _)| *name == word);
    found
        .map(|(_, kind)| *kind)
        .ok_or_else(|| Problem::not_one_of(&format!("'{}'", escape(word)), word, &Kind::ALL.map(|(name, _)| name)))
}

fn one(kind: Kind, place: &str, params: Params) -> Result<Asked, Problem> {
    let path = plain_path(place)?;
    let first = path.split('/').nth(1).unwrap_or_default();
    if matches!(first, "dev" | "proc" | "sys" | "run") {
        return problem(format!("'{}' lies where the kernel's and /run's own file systems are mounted", escape(&path)));
    }
    let (parent, name) = parts(&path);
    let glob = has_glob(&path);
    let slash = place.ends_with('/');
    if has_glob(parent) {
        return problem(format!("'{}': * and ? can stand in the last part only", escape(&path)));
    }
    if glob && (slash || kind != Kind::Persist) {
        return problem(format!("'{}': * and ? stand for files, and files can be kept (persist:) only", escape(&path)));
    }
    if name.len() > 200 || path.len() > 1000 {
        return problem(format!("'{}' is too long", escape(&path)));
    }
    let form = match (glob, slash) {
        (true, _) => Form::Files,
        (_, true) => Form::Directory,
        _ => Form::Open,
    };
    // Its name in the store has room for every byte of it.
    if form != Form::Files && crate::parse::fstab::escaped(&path).len() > 240 {
        return problem(format!("'{}' is too long", escape(&path)));
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
        if_there: preset.if_there || kind.is_of_what_is_there(),
        params: params.clone(),
    };
    Ok(preset.paths.iter().map(asked).collect())
}

#[cfg(test)]
mod tests;
