// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl uppers`: the upper in use and those that are kept beside it.

use crate::commands::reset::ask;
use crate::output::exit::{Exit, refuse};
use crate::output::format::date;
use crate::state::kept::{self, Found, Pending, number, places};
use crate::state::walk::{self, Size};
use anyhow::{Context, Result};
use clap::Subcommand;
use overlayroot_core::feature::stale::parse;
use overlayroot_core::layout::Store;
use overlayroot_core::layout::pending::Marker;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::size::rounded;
use overlayroot_linux::step::reset;
use overlayroot_linux::step::stale::{Stored, stored};
use overlayroot_linux::step::store::{DESCRIPTION, described, with};
use overlayroot_linux::sys::attributes::copy_times;
use overlayroot_linux::sys::files;
use overlayroot_linux::sys::newfile::write_durable;
use serde::Serialize;
use serde_json::json;
use std::fs;
use std::time::UNIX_EPOCH;

/// The verbs of `overlayctl uppers`.
#[derive(Debug, Subcommand)]
pub enum OfUppers {
    /// Use a kept upper from the next boot on, and keep the one in use now
    Restore {
        /// Its name, such as overlay.1
        name: String,
    },
    /// Discard a kept upper, at once
    Remove {
        /// Its name, such as overlay.1
        name: String,
    },
    /// Set or clear the description of an upper
    Describe {
        /// Its name, such as overlay.1, or that of the one in use
        // The completions exchange it, and what is exchanged comes last.
        #[arg(index = 1)]
        name: String,
        /// At most 200 characters; without it the description is cleared
        #[arg(index = 2, default_value = "", hide_default_value = true)]
        text: String,
    },
}

#[derive(Serialize)]
struct Upper {
    name: String,
    current: bool,
    #[serde(flatten)]
    size: Size,
    /// Seconds since 1970.
    begun: u64,
    /// What somebody said of it.
    description: Option<String>,
}

/// Letters of a description.
const LONGEST: usize = 200;

/// Shows them.
pub fn list(as_json: bool) -> Result<Exit> {
    let store = match kept::find()? {
        Found::Upper(_, store) => store,
        Found::None(why) => return refuse(&why),
    };
    let mut uppers = vec![upper(store.name(), true, &store.upper, &store.fingerprint)?];
    for number in numbers(&store)? {
        let (directory, fingerprint) = store.kept(number);
        uppers.push(upper(&format!("{}.{number}", store.name()), false, &directory, &fingerprint)?);
    }
    let pending = kept::pending(&store)?;
    if as_json {
        let next = pending.marker().map(|marker| serde_json::from_str::<serde_json::Value>(&marker.to_string()));
        let value = json!({ "uppers": uppers, "next_boot": next.transpose()? });
        crate::output::out::json(&value)?;
        return Ok(Exit::Good);
    }
    for upper in &uppers {
        let mark = if upper.current { '*' } else { ' ' };
        let (size, files, begun) = (rounded(upper.size.bytes), upper.size.files, date(upper.begun));
        let said = upper.description.as_ref().map(|text| format!("  {}", escape(text))).unwrap_or_default();
        println!("{mark} {:<14} {size:>10}  {files:>8} files  created {begun}{said}", upper.name);
    }
    if pending != Pending::Nothing {
        println!("at the next boot: {}", words(pending.marker()));
    }
    Ok(Exit::Good)
}

/// Prints the names of those that are kept, one a line.
pub fn names() -> Result<Exit> {
    let store = match kept::find()? {
        Found::Upper(_, store) => store,
        Found::None(why) => return refuse(&why),
    };
    for number in numbers(&store)? {
        println!("{}.{number}", store.name());
    }
    Ok(Exit::Good)
}

/// What a marker means, also one that is not understood.
pub fn words(marker: Option<&Marker>) -> String {
    marker.map_or_else(|| "reset.json is not valid and will be ignored".to_owned(), Marker::words)
}

/// Asks the next boot to use a kept upper.
pub fn restore(name: &str) -> Result<Exit> {
    let (record, store) = match kept::find()? {
        Found::Upper(record, store) => (record, store),
        Found::None(why) => return refuse(&why),
    };
    if number(&store, name).is_none() {
        return refuse(&format!("{name} is not a kept upper, see overlayctl uppers"));
    }
    if record.requested.reset {
        return refuse("rd.overlay.reset is set, which would discard it at every boot");
    }
    ask(&store, &Marker::Restore(name.to_owned()))?;
    Ok(Exit::Good)
}

/// Throws a kept upper away.
pub fn remove(name: &str) -> Result<Exit> {
    let store = match kept::find()? {
        Found::Upper(_, store) => store,
        Found::None(why) => return refuse(&why),
    };
    if name == store.name() {
        return refuse(&format!("{name} is in use; overlayctl reset discards it at the next boot"));
    }
    let Some(number) = number(&store, name) else {
        return refuse(&format!("{name} is not a kept upper, see overlayctl uppers"));
    };
    if kept::pending(&store)? == Pending::Asked(Marker::Restore(name.to_owned())) {
        return refuse(&format!("{name} will be restored at the next boot; overlayctl reset --cancel cancels that"));
    }
    reset::discard(&store, number)?;
    println!("{name} was discarded; the next boot frees its space, or overlayctl trash empty does now");
    Ok(Exit::Good)
}

fn numbers(store: &Store) -> Result<Vec<u32>> {
    let parent = store.whole().rsplit_once('/').map_or("/", |(parent, _)| parent);
    let mut numbers = Vec::new();
    for entry in fs::read_dir(parent).with_context(|| format!("reading {parent}"))? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| number(store, name)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn upper(name: &str, current: bool, directory: &str, fingerprint: &str) -> Result<Upper> {
    let metadata = fs::symlink_metadata(fingerprint).or_else(|_| fs::symlink_metadata(directory));
    let modified = metadata.and_then(|metadata| metadata.modified()).with_context(|| format!("looking at {name}"))?;
    let begun = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let description = description(fingerprint);
    Ok(Upper { name: name.to_owned(), current, size: walk::size(directory)?, begun, description })
}

/// Has the list say what an upper is.
pub fn describe(name: &str, text: &str) -> Result<Exit> {
    if let Err(why) = fit(text) {
        return refuse(&why);
    }
    let store = match kept::find()? {
        Found::Upper(_, store) => store,
        Found::None(why) => return refuse(&why),
    };
    let Some((_, path)) = places(&store, Some(name)) else {
        return refuse(&format!("{} is not a kept upper, see overlayctl uppers", escape(name)));
    };
    match stored(&path) {
        Stored::Is(_) => write_description(&path, text)?,
        Stored::None => return refuse(&format!("{path} does not exist, which would hold the description")),
        Stored::Unclear(why) => return refuse(&why),
    }
    Ok(Exit::Good)
}

/// Whether it is a line that can be shown.
fn fit(text: &str) -> Result<(), String> {
    match text.chars().any(char::is_control) || text.chars().count() > LONGEST {
        true => Err(format!("a description is one line of at most {LONGEST} characters, without control characters")),
        false => Ok(()),
    }
}

/// Puts it behind the fingerprint, which stays as old as it is: that is when the upper was begun.
fn write_description(path: &str, text: &str) -> Result<()> {
    let old = files::read_small(path).with_context(|| format!("reading {path}"))?;
    let old = String::from_utf8(old).with_context(|| format!("reading {path}"))?;
    let times = fs::symlink_metadata(path).with_context(|| format!("looking at {path}"))?;
    let quoted = serde_json::to_string(text)?;
    // Its first quote is the end of DESCRIPTION.
    let field = format!("{}{quoted}}}", DESCRIPTION.trim_end_matches('"'));
    let field = (!text.is_empty()).then_some(field.as_str());
    let new = with(&old, field).filter(|new| parse(new).is_some() && parse(new) == parse(&old));
    write_durable(path, &new.with_context(|| format!("{path} is not valid"))?)?;
    copy_times(&times, path)
}

/// What somebody said of the upper whose fingerprint this is; it lies on a device, and may be anything.
fn description(path: &str) -> Option<String> {
    let field = described(path)?;
    let field = format!("{{{}", field.strip_prefix(',')?);
    let value: serde_json::Value = serde_json::from_str(&field).ok()?;
    value.get("description")?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_told_and_changed_and_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("overlay.1.json");
        let path = path.to_str().unwrap();
        let text = "{\"uuid\":\"u\",\"fstype\":\"ext4\",\"os\":\"debian 13\",\"packages\":1,\"taken\":2}";
        fs::write(path, text).unwrap();
        let early = UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        fs::File::options().write(true).open(path).unwrap().set_modified(early).unwrap();
        for said in ["before the upgrade", "\"quoted\" \\ and \u{fc}", ""] {
            write_description(path, said).unwrap();
            assert_eq!(description(path).unwrap_or_default(), said);
            assert_eq!(fs::metadata(path).unwrap().modified().unwrap(), early, "it is as old as it was");
            let stored = overlayroot_core::feature::stale::parse(&fs::read_to_string(path).unwrap()).unwrap();
            assert_eq!((stored.os.as_str(), stored.taken), ("debian 13", 2));
        }
        assert_eq!(fs::read_to_string(path).unwrap(), text);
        for bad in ["two\nlines", "\u{1b}[2J", &"x".repeat(201)] {
            assert!(fit(bad).is_err(), "{bad}");
        }
        // What lies on a device may be anything.
        fs::write(path, format!("{}{}\\u001b[2J\"}}", text.trim_end_matches('}'), DESCRIPTION)).unwrap();
        assert_eq!(description(path).as_deref(), Some("\u{1b}[2J"), "who prints it escapes it");
        fs::write(path, "half").unwrap();
        assert!(write_description(path, "x").is_err() && description(path).is_none());
        fs::remove_file(path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
        assert!(write_description(path, "x").is_err() && description(path).is_none());
    }
}
