// SPDX-License-Identifier: GPL-2.0-or-later
//! Parameters behind a value, comma separated: what the kinds of upper share.

use crate::value::diagnostics::{Problem, escape, suggest};
use crate::value::file_system::MadeFs;
use crate::value::path::plain_path;
use crate::value::size::{LEAST, SIZES, Size, human};

pub(crate) type Params<'a> = Vec<(&'a str, Option<&'a str>)>;

/// The path and the parameters behind it.
pub(crate) fn split(text: &str) -> Result<(String, Params<'_>), Problem> {
    let mut parts = text.split(',');
    let path = plain_path(parts.next().unwrap_or_default())?;
    let params = parts.filter(|part| !part.is_empty());
    let params = params.map(|part| part.split_once('=').map_or((part, None), |(key, value)| (key, Some(value))));
    Ok((path, params.collect()))
}

pub(crate) fn size(key: &str, value: Option<&str>) -> Result<Size, Problem> {
    let value = value.unwrap_or_default();
    Size::parse(value).ok_or_else(|| {
        let text = format!("{key}={} is not a size of at least {}, {SIZES}", escape(value), human(LEAST));
        Problem::new(text, None)
    })
}

pub(crate) fn fs(word: &str) -> Result<MadeFs, Problem> {
    let found = MadeFs::ALL.iter().find(|(name, _)| *name == word);
    found
        .map(|(_, fs)| *fs)
        .ok_or_else(|| Problem::not_one_of(&format!("fs={}", escape(word)), word, &MadeFs::ALL.map(|(name, _)| name)))
}

/// Refuses a size in bytes that `fs` can't be made in; percentages are known at the boot.
pub(crate) fn enough(fs: MadeFs, size: Option<Size>) -> Result<(), Problem> {
    match size {
        Some(Size::Bytes(bytes)) if bytes < fs.least() => {
            Err(Problem::new(format!("{} needs at least size={}", fs.word(), human(fs.least())), None))
        }
        _ => Ok(()),
    }
}

pub(crate) fn unknown(key: &str, known: &[&'static str]) -> Problem {
    let text = format!("'{}' is not among the parameters {}", escape(key), known.join(", "));
    Problem::new(text, suggest(key, known.iter().copied()))
}
