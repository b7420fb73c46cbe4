// SPDX-License-Identifier: GPL-2.0-or-later
//! JSON: one object, each change on a line of its own, so that it can also be read line by line.

use super::place::Place;
use super::{Form, Out};
use overlayroot_diff::{Change, Kind, Stat, Type};
use serde::Serialize;
use std::borrow::Cow;

/// Version of the form; raised when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Side {
    size: u64,
    mode: String,
    uid: u32,
    gid: u32,
    /// Seconds since 1970.
    mtime: i64,
}

#[derive(Serialize)]
struct Entry<'a> {
    path: Cow<'a, str>,
    /// The bytes in hexadecimal, where they are no UTF-8 and `path` is not all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    kind: &'static str,
    #[serde(rename = "type")]
    is: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    what: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    now: Option<Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    was: Option<Side>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    linked: bool,
}

/// The form.
#[derive(Default)]
pub struct Json {
    /// Not out yet: a path that is not there gives an error and no JSON.
    head: Option<String>,
    any: bool,
    line: Vec<u8>,
}

impl Json {
    fn headed(&mut self, out: &mut Out) {
        if let Some(head) = self.head.take() {
            out.put(head.as_bytes());
        }
    }
}

fn side(stat: Stat) -> Side {
    let size = if matches!(stat.kind, Type::File | Type::Symlink) { stat.size } else { 0 };
    Side { size, mode: format!("{:04o}", stat.mode), uid: stat.uid, gid: stat.gid, mtime: stat.mtime.0 }
}

fn entry<'a>(change: &Change<'a>) -> Entry<'a> {
    let path = String::from_utf8_lossy(change.path);
    let hex = || change.path.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
    Entry {
        path_hex: matches!(path, Cow::Owned(_)).then(hex),
        path,
        kind: change.kind.word(),
        is: change.is.word(),
        what: change.what.words().collect(),
        from: change.from.map(String::from_utf8_lossy),
        now: change.now.filter(|_| change.kind != Kind::Removed).map(side),
        was: change.was.map(side),
        linked: change.again,
    }
}

impl Form for Json {
    fn begin(&mut self, place: &Place, path: &[u8]) {
        let head = serde_json::json!({
            "upper": place.upper.to_string_lossy(),
            "lowers": place.lowers.iter().map(|path| path.to_string_lossy()).collect::<Vec<_>>(),
            "path": String::from_utf8_lossy(path),
        });
        let head = head.to_string();
        let rest = head.strip_prefix('{').and_then(|head| head.strip_suffix('}')).unwrap_or_default();
        self.head = Some(format!("{{\"schema\":{SCHEMA},{rest},\"changes\":["));
    }

    fn change(&mut self, change: &Change<'_>, out: &mut Out) {
        self.headed(out);
        self.line.clear();
        self.line.extend_from_slice(if self.any { b",\n" } else { b"\n" });
        self.any = true;
        // strings and numbers into memory: neither can fail
        if serde_json::to_writer(&mut self.line, &entry(change)).is_ok() {
            out.put(&self.line);
        }
    }

    fn end(&mut self, changes: u64, out: &mut Out) {
        self.headed(out);
        out.put(format!("\n],\"count\":{changes}}}\n").as_bytes());
    }
}
