// SPDX-License-Identifier: GPL-2.0-or-later
//! A line for each change, or for each directory.

use super::{Form, Out};
use anstyle::{AnsiColor, Style};
use overlayroot_core::value::size::rounded;
use overlayroot_diff::{Change, Kind, Type, shown};
use std::collections::BTreeMap;

/// The colour of a kind.
pub fn style(kind: Kind) -> Style {
    match kind {
        Kind::Added => AnsiColor::Green.on_default(),
        Kind::Removed => AnsiColor::Red.on_default(),
        Kind::Modified | Kind::TypeChanged => AnsiColor::Yellow.on_default(),
        Kind::Metadata | Kind::Renamed => AnsiColor::Cyan.on_default(),
        Kind::Same => Style::new().dimmed(),
    }
}

/// `M /etc/hosts`.
pub struct Lines {
    names: bool,
    null: bool,
    raw: bool,
    colours: bool,
    line: Vec<u8>,
}

impl Lines {
    /// Letters and paths, or only the paths; these end with a NUL, and are as they are, or not.
    pub fn new(names: bool, null: bool, raw: bool, colours: bool) -> Self {
        Self { names, null, raw, colours, line: Vec::new() }
    }
}

impl Form for Lines {
    fn change(&mut self, change: &Change<'_>, out: &mut Out) {
        self.line.clear();
        let style = if self.colours { style(change.kind) } else { Style::new() };
        if self.colours {
            self.line.extend_from_slice(style.render().to_string().as_bytes());
        }
        if !self.names {
            let mut letter = [0; 4];
            self.line.extend_from_slice(change.kind.letter().encode_utf8(&mut letter).as_bytes());
            self.line.push(b' ');
        }
        match self.raw {
            true => self.line.extend_from_slice(change.path),
            false => self.line.extend_from_slice(shown(change.path).as_bytes()),
        }
        if change.is == Type::Directory && !self.names && change.path != b"/" {
            self.line.push(b'/');
        }
        if let Some(from) = change.from.filter(|_| !self.names) {
            self.line.extend_from_slice(format!(" (was {})", shown(from)).as_bytes());
        }
        if self.colours {
            self.line.extend_from_slice(style.render_reset().to_string().as_bytes());
        }
        self.line.push(if self.null { 0 } else { b'\n' });
        out.put(&self.line);
    }
}

/// What changed below one directory.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Row {
    added: u64,
    modified: u64,
    removed: u64,
    metadata: u64,
    /// Bytes of the files that are new or changed; hard links once.
    bytes: u64,
    /// Bytes of the files that these take the place of.
    instead: u64,
}

/// A line for each directory, down to a depth.
pub struct Summary {
    depth: usize,
    rows: BTreeMap<Vec<u8>, Row>,
}

impl Summary {
    /// So many directories below `path`.
    pub fn new(depth: usize, path: &[u8]) -> Self {
        Self {
            depth: depth + path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).count(),
            rows: BTreeMap::new(),
        }
    }
}

impl Row {
    fn count(&mut self, change: &Change<'_>) {
        let size = |stat: Option<overlayroot_diff::Stat>| {
            stat.filter(|stat| stat.kind == Type::File).map_or(0, |stat| stat.size)
        };
        match change.kind {
            Kind::Added | Kind::Renamed => self.added += 1,
            Kind::Modified | Kind::TypeChanged => self.modified += 1,
            Kind::Removed => self.removed += 1,
            Kind::Metadata => self.metadata += 1,
            Kind::Same => return,
        }
        if !change.again && change.kind != Kind::Metadata {
            self.bytes += size(change.now);
        }
        if change.kind != Kind::Metadata {
            self.instead += size(change.was);
        }
    }

    fn line(&self, name: &str) -> String {
        let Self { added, modified, removed, metadata, bytes, instead } = self;
        format!(
            "{added:>8} {modified:>8} {removed:>8} {metadata:>8} {:>11} {:>11}  {name}\n",
            rounded(*bytes),
            rounded(*instead)
        )
    }
}

/// The directory that a path counts to.
fn directory(path: &[u8], is_directory: bool, depth: usize) -> &[u8] {
    let mut ends = path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0).map(|(at, _)| at);
    let parents = ends.clone().count();
    match parents {
        // the directory itself, where it is not too deep
        _ if is_directory && parents < depth => path,
        0 => b"/",
        _ => ends.nth(depth.min(parents).saturating_sub(1)).and_then(|end| path.get(..end)).unwrap_or(path),
    }
}

impl Form for Summary {
    fn change(&mut self, change: &Change<'_>, _: &mut Out) {
        let name =
            if self.depth == 0 { b"/" } else { directory(change.path, change.is == Type::Directory, self.depth) };
        match self.rows.get_mut(name) {
            Some(row) => row.count(change),
            None => self.rows.entry(name.to_vec()).or_default().count(change),
        }
    }

    fn end(&mut self, _: u64, out: &mut Out) {
        let mut all = Row::default();
        for row in self.rows.values() {
            all = Row {
                added: all.added + row.added,
                modified: all.modified + row.modified,
                removed: all.removed + row.removed,
                metadata: all.metadata + row.metadata,
                bytes: all.bytes + row.bytes,
                instead: all.instead + row.instead,
            };
        }
        let head = ["added", "modified", "removed", "metadata"].map(|word| format!("{word:>8}")).join(" ");
        out.put(format!("{head} {:>11} {:>11}\n", "bytes now", "bytes then").as_bytes());
        for (name, row) in self.rows.iter().filter(|(_, row)| **row != Row::default()) {
            out.put(row.line(&shown(name)).as_bytes());
        }
        out.put(all.line("in all").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_counts_to_its_directory() {
        let of = |path: &str, is, depth| String::from_utf8(directory(path.as_bytes(), is, depth).to_vec()).unwrap();
        assert_eq!(of("/a/b/c/file", false, 2), "/a/b");
        assert_eq!(of("/a/b/c", true, 2), "/a/b");
        assert_eq!(of("/a/b", true, 2), "/a/b");
        assert_eq!(of("/a/b", false, 2), "/a");
        assert_eq!(of("/a/b", true, 1), "/a");
        assert_eq!(of("/a", true, 1), "/a");
        assert_eq!(of("/file", false, 2), "/");
    }
}
