// SPDX-License-Identifier: GPL-2.0-or-later
//! What changed in text files, as `diff -u` shows it.

use super::list::style;
use super::{Form, Out};
use anstyle::{AnsiColor, Effects, Style};
use diffy::{DiffOptions, Line};
use overlayroot_core::value::size::rounded;
use overlayroot_diff::{Change, Kind, Type, shown};
use std::fs::File;
use std::io::{self, Read};

/// Larger files are only named: a difference is found in memory.
const MOST: u64 = 4 << 20;
/// A NUL in so many bytes makes a file binary, as git has it.
const LOOKED_AT: usize = 8000;

/// The form.
pub struct Patch {
    colours: bool,
    escapes: bool,
}

enum Side {
    None,
    Text(Vec<u8>),
    Binary(u64),
    Large(u64),
}

impl Side {
    fn read(file: io::Result<Option<File>>) -> io::Result<Self> {
        let Some(file) = file? else { return Ok(Self::None) };
        let size = file.metadata()?.len();
        if size > MOST {
            return Ok(Self::Large(size));
        }
        let mut bytes = Vec::new();
        file.take(MOST).read_to_end(&mut bytes)?;
        let binary = bytes.iter().take(LOOKED_AT).any(|byte| *byte == 0);
        Ok(if binary { Self::Binary(size) } else { Self::Text(bytes) })
    }

    fn size(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Text(bytes) => bytes.len() as u64,
            Self::Binary(size) | Self::Large(size) => *size,
        }
    }

    fn text(&self) -> Option<&[u8]> {
        match self {
            Self::None => Some(b""),
            Self::Text(bytes) => Some(bytes),
            Self::Binary(_) | Self::Large(_) => None,
        }
    }
}

impl Patch {
    /// With or without colours. What a file holds is escaped where it could steer a terminal; patch(1) gets it as it
    /// is.
    pub fn new(colours: bool, for_terminal: bool) -> Self {
        Self { colours, escapes: colours || for_terminal }
    }

    fn line(&self, style: Style, text: &[u8], out: &mut Out) {
        let style = if self.colours { style } else { Style::new() };
        match self.escapes {
            true => {
                let text = text.split(|byte| *byte == b'\t').map(shown).collect::<Vec<_>>().join("\t");
                out.put(format!("{style}{text}{style:#}\n").as_bytes());
            }
            false => {
                out.put(text);
                out.put(b"\n");
            }
        }
    }

    fn hunks(&self, path: &str, was: &Side, now: &Side, out: &mut Out) {
        let plain = Style::new();
        let (Some(old), Some(new)) = (was.text(), now.text()) else {
            let why = if matches!((was, now), (Side::Large(_), _) | (_, Side::Large(_))) { "large" } else { "binary" };
            let text = format!("{why} file, {} instead of {}", rounded(now.size()), rounded(was.size()));
            return self.line(plain, text.as_bytes(), out);
        };
        let bold = Style::new().effects(Effects::BOLD);
        let name = |side: &Side, letter: char| match side {
            Side::None => "/dev/null".to_owned(),
            Side::Text(_) | Side::Binary(_) | Side::Large(_) => format!("{letter}{path}"),
        };
        let patch = DiffOptions::new().create_patch_bytes(old, new);
        if patch.hunks().is_empty() {
            return;
        }
        self.line(bold, format!("--- {}", name(was, 'a')).as_bytes(), out);
        self.line(bold, format!("+++ {}", name(now, 'b')).as_bytes(), out);
        for hunk in patch.hunks() {
            let head = format!("@@ -{} +{} @@", hunk.old_range(), hunk.new_range());
            self.line(AnsiColor::Cyan.on_default(), head.as_bytes(), out);
            for line in hunk.lines() {
                let (mark, style, text) = match line {
                    Line::Context(text) => (b' ', plain, text),
                    Line::Delete(text) => (b'-', AnsiColor::Red.on_default(), text),
                    Line::Insert(text) => (b'+', AnsiColor::Green.on_default(), text),
                };
                let (text, ended) = text.strip_suffix(b"\n").map_or((*text, false), |text| (text, true));
                self.line(style, &[&[mark][..], text].concat(), out);
                if !ended {
                    self.line(plain, b"\\ No newline at end of file", out);
                }
            }
        }
    }
}

impl Form for Patch {
    fn change(&mut self, change: &Change<'_>, out: &mut Out) {
        let path = shown(change.path);
        let slash = if change.is == Type::Directory && change.path != b"/" { "/" } else { "" };
        let mut head = format!("{} {path}{slash}", change.kind.letter());
        if let Some(from) = change.from {
            head.push_str(&format!(" (was {})", shown(from)));
        }
        if let (Some(now), Some(was)) = (change.now, change.was) {
            if change.what.mode {
                head.push_str(&format!(", mode {:04o} to {:04o}", was.mode, now.mode));
            }
            if change.what.owner {
                head.push_str(&format!(", owner {}:{} to {}:{}", was.uid, was.gid, now.uid, now.gid));
            }
        }
        if change.what.xattrs {
            head.push_str(", extended attributes");
        }
        self.line(style(change.kind).effects(Effects::BOLD), head.as_bytes(), out);
        if matches!(change.kind, Kind::Metadata | Kind::Same | Kind::Renamed) {
            return;
        }
        match (Side::read(change.open_was()), Side::read(change.open_now())) {
            (Ok(Side::None), Ok(Side::None)) => {}
            (Ok(was), Ok(now)) => self.hunks(&path, &was, &now, out),
            (Err(error), _) | (_, Err(error)) => {
                self.line(Style::new(), format!("can't be read: {error}").as_bytes(), out)
            }
        }
    }
}
