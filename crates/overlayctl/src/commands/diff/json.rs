// SPDX-License-Identifier: GPL-2.0-or-later
//! JSON: one object, each change on a line of its own, so that it can also be read line by line.

use super::place::Place;
use super::{Form, Out};
use overlayroot_diff::{Change, Kind, Stat, Type, What};
use std::borrow::Cow;

/// Version of the form; raised when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// A change. Written by hand: as serde has it written it was a fifth of what a diff of many files costs.
/// The test has it written by serde_json, too.
#[cfg_attr(test, derive(serde::Serialize))]
struct Entry<'a> {
    path: Cow<'a, str>,
    /// The bytes in hexadecimal, where they are no UTF-8 and `path` is not all of it.
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    path_hex: Option<String>,
    kind: &'static str,
    #[cfg_attr(test, serde(rename = "type"))]
    is: &'static str,
    #[cfg_attr(test, serde(skip_serializing_if = "tests::is_empty", serialize_with = "tests::words"))]
    what: What,
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none"))]
    from: Option<Cow<'a, str>>,
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none", serialize_with = "tests::side"))]
    now: Option<Stat>,
    #[cfg_attr(test, serde(skip_serializing_if = "Option::is_none", serialize_with = "tests::side"))]
    was: Option<Stat>,
    #[cfg_attr(test, serde(skip_serializing_if = "std::ops::Not::not"))]
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

impl<'a> Entry<'a> {
    fn of(change: &Change<'a>) -> Self {
        let path = String::from_utf8_lossy(change.path);
        let hex = || change.path.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        Self {
            path_hex: matches!(path, Cow::Owned(_)).then(hex),
            path,
            kind: change.kind.word(),
            is: change.is.word(),
            what: change.what,
            from: change.from.map(String::from_utf8_lossy),
            now: change.now.filter(|_| change.kind != Kind::Removed),
            was: change.was,
            linked: change.again,
        }
    }

    fn write(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b"{\"path\":");
        text(line, &self.path);
        if let Some(hex) = &self.path_hex {
            line.extend_from_slice(b",\"path_hex\":");
            text(line, hex);
        }
        line.extend_from_slice(b",\"kind\":");
        text(line, self.kind);
        line.extend_from_slice(b",\"type\":");
        text(line, self.is);
        for (number, word) in self.what.words().enumerate() {
            line.extend_from_slice(if number == 0 { b",\"what\":[" } else { b"," });
            text(line, word);
        }
        if self.what != What::default() {
            line.push(b']');
        }
        if let Some(from) = &self.from {
            line.extend_from_slice(b",\"from\":");
            text(line, from);
        }
        if let Some(now) = &self.now {
            side(line, b",\"now\":{\"size\":", now);
        }
        if let Some(was) = &self.was {
            side(line, b",\"was\":{\"size\":", was);
        }
        line.extend_from_slice(if self.linked { b",\"linked\":true}" } else { b"}" });
    }
}

/// The size that is told: others than files and links have one that says nothing.
fn size(stat: &Stat) -> u64 {
    if matches!(stat.kind, Type::File | Type::Symlink) { stat.size } else { 0 }
}

/// One side of a change; `mtime` in seconds since 1970.
fn side(line: &mut Vec<u8>, head: &[u8], stat: &Stat) {
    line.extend_from_slice(head);
    number(line, size(stat));
    line.extend_from_slice(b",\"mode\":\"");
    line.extend([9, 6, 3, 0].map(|shift| b'0' + ((stat.mode >> shift) & 7) as u8));
    line.extend_from_slice(b"\",\"uid\":");
    number(line, stat.uid.into());
    line.extend_from_slice(b",\"gid\":");
    number(line, stat.gid.into());
    line.extend_from_slice(if stat.mtime.0 < 0 { b",\"mtime\":-" } else { b",\"mtime\":" });
    number(line, stat.mtime.0.unsigned_abs());
    line.push(b'}');
}

fn number(line: &mut Vec<u8>, number: u64) {
    let (from, mut rest) = (line.len(), number);
    loop {
        line.push(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    line.get_mut(from..).unwrap_or_default().reverse();
}

fn text(line: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        line.push(b'"');
        line.extend_from_slice(text.as_bytes());
        line.push(b'"');
        return;
    }
    // a string into memory can't fail
    let _ = serde_json::to_writer(line, text);
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
        Entry::of(change).write(&mut self.line);
        out.put(&self.line);
    }

    fn end(&mut self, changes: u64, out: &mut Out) {
        self.headed(out);
        out.put(format!("\n],\"count\":{changes}}}\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Serialize, Serializer};

    #[derive(Serialize)]
    struct Side {
        size: u64,
        mode: String,
        uid: u32,
        gid: u32,
        mtime: i64,
    }

    pub fn side<S: Serializer>(stat: &Option<Stat>, serializer: S) -> Result<S::Ok, S::Error> {
        let side = stat.map(|stat| {
            let mode = format!("{:04o}", stat.mode);
            Side { size: size(&stat), mode, uid: stat.uid, gid: stat.gid, mtime: stat.mtime.0 }
        });
        side.serialize(serializer)
    }

    pub fn words<S: Serializer>(what: &What, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(what.words())
    }

    pub fn is_empty(what: &What) -> bool {
        what.words().next().is_none()
    }

    #[test]
    fn a_change_is_what_serde_json_would_write() {
        let stat = |kind, size, mode, id, seconds| Stat {
            kind,
            mode,
            uid: id,
            gid: id / 2,
            size,
            blocks: 8,
            mtime: (seconds, 5),
            dev: (0, 1),
            ino: 1,
            nlink: 1,
            rdev: (0, 0),
        };
        let stats = [
            None,
            Some(stat(Type::File, 0, 0, 0, 0)),
            Some(stat(Type::File, u64::MAX, 0o7777, u32::MAX, i64::MIN)),
            Some(stat(Type::Directory, 4096, 0o1755, 1000, i64::MAX)),
            Some(stat(Type::Symlink, 1234567, 0o777, 10, -1)),
        ];
        let paths = ["/etc/hosts", "/a \"b\" \\c", "/new\nline\u{1}\u{7f}\u{85}", "/ä/\u{fffd}/\u{202e}", ""];
        let everything = What { content: true, mode: true, owner: true, xattrs: true, times: true };
        let whats = [
            What::default(),
            What { content: true, ..What::default() },
            What { content: false, ..everything },
            everything,
        ];
        let mut seen = 0;
        for path in paths {
            for (number, what) in whats.into_iter().enumerate() {
                for (now, was) in stats.iter().flat_map(|now| stats.iter().map(move |was| (*now, *was))) {
                    let entry = Entry {
                        path: path.into(),
                        path_hex: (number == 1).then(|| "2fff".to_owned()),
                        kind: "modified",
                        is: "file",
                        what,
                        from: (number == 2).then(|| path.into()),
                        now,
                        was,
                        linked: number == 3,
                    };
                    let mut line = Vec::new();
                    entry.write(&mut line);
                    assert_eq!(String::from_utf8(line).unwrap(), serde_json::to_string(&entry).unwrap());
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, paths.len() * whats.len() * stats.len() * stats.len());
    }
}
