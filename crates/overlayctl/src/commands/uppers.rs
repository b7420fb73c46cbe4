// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl uppers`: the upper in use and those that are kept beside it.

mod change;
pub mod choose;

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
use overlayroot_linux::step::stale::{Stored, stored};
use overlayroot_linux::step::store::{DESCRIPTION, described, with};
use overlayroot_linux::sys::attributes::copy_times;
use overlayroot_linux::sys::files;
use overlayroot_linux::sys::newfile::write_durable;
use serde::Serialize;
use serde_json::json;
use std::fs;

/// The verbs of `overlayctl uppers`.
#[derive(Debug, Subcommand)]
pub enum OfUppers {
    /// Use a kept upper from the next boot on, and keep the one in use now
    Restore {
        /// Its name, such as overlay.1
        name: String,
    },
    /// Create an empty upper, for rd.overlay.name
    Create {
        /// Its name: letters, digits, - and _
        new: String,
    },
    /// Copy an upper to a new name
    ///
    /// By a snapshot where it is a subvolume, also of the one in use; else by copying,
    /// by reference where the file system can.
    Clone {
        /// What is copied, such as overlay.1
        name: String,
        /// The name of the copy
        new: String,
    },
    /// Use an upper of another name from the next boot on
    ///
    /// With --tries the boots are counted: overlayroot-rs-good.service ends it behind
    /// boot-complete.target. Needs an initramfs with overlay-tries
    /// (overlayroot_tries="yes" in dracut.conf).
    Use(choose::Use),
    /// Rename an upper that is not in use
    Rename {
        /// Its name, such as overlay.1
        name: String,
        /// Its new name
        new: String,
    },
    /// Discard an upper that is not in use, at once
    Remove {
        /// Its name, such as overlay.1
        name: String,
    },
    /// Discard kept uppers, at once, except the newest
    Prune {
        /// How many stay
        #[arg(long, value_name = "N")]
        keep: usize,
        /// Only those that were created so many days ago
        #[arg(long, value_name = "DAYS")]
        older_than: Option<u64>,
        /// Print which and change nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
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

/// Does what is to be done with one of them.
pub fn run(what: &OfUppers) -> Result<Exit> {
    match what {
        OfUppers::Restore { name } => restore(name),
        OfUppers::Create { new } => change::create(new),
        OfUppers::Clone { name, new } => change::clone(name, new),
        OfUppers::Use(asked) => choose::run(asked),
        OfUppers::Rename { name, new } => change::rename(name, new),
        OfUppers::Remove { name } => change::remove(name),
        OfUppers::Prune { keep, older_than, dry_run } => change::prune(*keep, *older_than, *dry_run),
        OfUppers::Describe { name, text } => describe(name, text),
    }
}

/// Shows them.
pub fn list(as_json: bool) -> Result<Exit> {
    let store = match kept::find()? {
        Found::Upper(_, store) => store,
        Found::None(why) => return refuse(&why),
    };
    let all = kept::all(&store)?;
    let uppers = all.iter().map(|found| upper(found, &store)).collect::<Result<Vec<Upper>>>()?;
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

/// Prints the names of those that are not in use, one a line.
pub fn names() -> Result<Exit> {
    let store = match kept::find()? {
        Found::Upper(_, store) => store,
        Found::None(why) => return refuse(&why),
    };
    for upper in kept::all(&store)?.iter().filter(|upper| upper.number.is_some() || upper.store != store) {
        println!("{}", upper.name());
    }
    Ok(Exit::Good)
}

/// What a marker means, also one that is not understood.
pub fn words(marker: Option<&Marker>) -> String {
    marker.map_or_else(|| "reset.json is not valid and will be ignored".to_owned(), Marker::words)
}

/// Asks the next boot to use a kept upper.
fn restore(name: &str) -> Result<Exit> {
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

fn upper(found: &kept::Upper, store: &Store) -> Result<Upper> {
    let (directory, (_, fingerprint)) = (found.directory(), found.whole());
    Ok(Upper {
        name: found.name(),
        current: found.number.is_none() && found.store == *store,
        size: walk::size(&directory)?,
        begun: change::begun(found)?,
        description: description(&fingerprint),
    })
}

/// Has the list say what an upper is.
fn describe(name: &str, text: &str) -> Result<Exit> {
    if let Err(why) = fit(text) {
        return refuse(&why);
    }
    let store = match kept::find()? {
        Found::Upper(_, store) => store,
        Found::None(why) => return refuse(&why),
    };
    let Some((_, path)) = places(&store, Some(name)) else {
        return refuse(&format!("{} is not an upper here, see overlayctl uppers", escape(name)));
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
    use std::time::UNIX_EPOCH;

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
