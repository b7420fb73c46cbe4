// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl migrate`: what others were told, as a configuration file of ours. What can't be carried over becomes a
//! comment that says so; nothing is left out in silence.

mod dracut;
mod judge;
mod kiwi;
mod live_boot;
mod readonly_root;
mod ubuntu;

use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::place::Place;
use overlayroot_core::keys;
use overlayroot_core::parse::cmdline::{Arg, Source, lex};
use overlayroot_core::path;
use overlayroot_core::upper::Upper;
use overlayroot_core::upper::tmpfs::Tmpfs;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_core::value::path::plain_path;
use overlayroot_core::value::redact;
use std::collections::BTreeMap;

/// Whom to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// The package overlayroot.
    Ubuntu,
    /// raspi-config's overlay of the time before it used overlayroot.
    Raspi,
    /// dracut's dmsquash-live and overlayfs modules, under their older names.
    Dracut,
    /// kiwi-overlay and kiwi-live.
    Kiwi,
    /// RHEL's readonly-root, rwtab and statetab.
    ReadonlyRoot,
    /// live-boot's persistence.
    LiveBoot,
}

impl From {
    /// Every kind with its word, in the order in which they are read.
    pub const ALL: [(&'static str, From); 6] = [
        ("ubuntu", From::Ubuntu),
        ("raspi-config", From::Raspi),
        ("dracut", From::Dracut),
        ("kiwi", From::Kiwi),
        ("readonly-root", From::ReadonlyRoot),
        ("live-boot", From::LiveBoot),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, from)| *from == self).map_or("", |(word, _)| word)
    }
}

/// What a host has of all of them.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The kernel's command line.
    pub cmdline: Option<Source>,
    /// /etc/overlayroot.conf and /etc/overlayroot.local.conf.
    pub ubuntu: Vec<Source>,
    /// raspi-config's /etc/initramfs-tools/scripts/overlay is there.
    pub raspi_script: bool,
    /// The package overlayroot is installed.
    pub overlayroot: bool,
    /// /etc/sysconfig/readonly-root.
    pub readonly_root: Option<Source>,
    /// /etc/rwtab and /etc/rwtab.d.
    pub rwtab: Vec<Source>,
    /// /etc/statetab and /etc/statetab.d.
    pub statetab: Vec<Source>,
    /// persistence.conf of the volumes.
    pub persistence: Vec<Source>,
    /// Those paths of the tables that are directories.
    pub directories: Vec<String>,
    /// Paths of the tables that lead elsewhere by links, and where.
    pub links: BTreeMap<String, String>,
    /// What lies at each path of the tables, links followed.
    pub places: BTreeMap<String, Place>,
    /// /etc/fstab.
    pub fstab: String,
}

impl Sources {
    fn args(&self) -> Vec<Arg> {
        self.cmdline.as_ref().map(|source| lex(std::slice::from_ref(source))).unwrap_or_default()
    }
}

/// A line of the new file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Line {
    Comment(String),
    Setting(String, String),
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// Whose words were found.
    pub found: Vec<&'static str>,
    lines: Vec<Line>,
    /// Kernel arguments to take away.
    pub remove: Vec<String>,
    /// Kernel arguments to put in their place; what is in the file need not be there.
    pub add: Vec<String>,
    /// What else is to be done, as commands or sentences.
    pub todo: Vec<String>,
    /// Where paths lead.
    links: BTreeMap<String, String>,
}

impl Migrated {
    fn comment(&mut self, text: impl Into<String>) {
        self.lines.push(Line::Comment(text.into()));
    }

    /// Words of somebody's that have no equal here.
    fn lost(&mut self, what: &str, why: &str) {
        self.comment(format!("not imported: {}: {why}", escape(&redact::told_in(what))));
    }

    /// The first to say something about a key wins; a path may be said many times.
    fn set(&mut self, key: &str, value: &str) {
        let said = self.lines.iter().find_map(|line| match line {
            Line::Setting(name, said) if name == key => Some(said.clone()),
            Line::Comment(_) | Line::Setting(..) => None,
        });
        match said {
            Some(said) if key != PATH && said == value => {}
            Some(said) if key != PATH => self.lost(&format!("{key} = {value}"), &format!("{said} was said before")),
            _ => self.lines.push(Line::Setting(key.to_owned(), value.to_owned())),
        }
    }

    /// One path of a table.
    fn path(&mut self, kind: &str, path: &str, end: &str, line: &str) {
        // The boot follows no link on the way.
        let plain = plain_path(path).map(|plain| judge::real(&self.links, plain));
        let first = |path: &str| path.split('/').nth(1).unwrap_or_default().to_owned();
        match plain {
            Err(problem) => self.lost(line, &problem.text),
            Ok(plain) if matches!(first(&plain).as_str(), "dev" | "proc" | "sys" | "run") => {
                self.lost(line, "a file system of the kernel's, or /run, is mounted there");
            }
            Ok(plain) => {
                let (parent, name) = plain.rsplit_once('/').unwrap_or(("", &plain));
                let glob = |text: &str| text.contains(['*', '?']);
                match () {
                    () if plain.contains(',') || plain.len() > 200 => {
                        self.lost(line, "no path that a line here can hold")
                    }
                    () if glob(parent) => self.lost(line, "* and ? can stand in the last part only"),
                    () if glob(name) && kind != "persist" => {
                        self.lost(line, "* and ? stand for files, which can be kept only")
                    }
                    () if glob(name) => self.set_path(&format!("{kind}:{plain}"), line),
                    () => self.set_path(&format!("{kind}:{plain}{end}"), line),
                }
            }
        }
    }

    /// The key's own grammar has the last word; a line of a file begins and ends without spaces.
    fn set_path(&mut self, value: &str, line: &str) {
        match path::parse(value.trim()) {
            Ok(_) if value.trim() == value => self.set(PATH, value),
            Ok(_) => self.lost(line, "no line here can end with a space"),
            Err(problem) => self.lost(line, &problem.text),
        }
    }

    fn begin(&mut self, from: From) {
        self.found.push(from.word());
        self.comment(format!("--- from {} ---", from.word()));
    }

    /// The new file.
    pub fn text(&self) -> String {
        let mut out =
            "# Written by overlayctl migrate. The keys: overlayctl keys, overlayroot-rs.conf(5).\n".to_owned();
        for line in &self.lines {
            match line {
                // One line each, whatever was in somebody's file.
                Line::Comment(text) => out.push_str(&format!("# {}\n", text.replace(['\n', '\r'], " "))),
                Line::Setting(key, value) => out.push_str(&format!("{key} = {value}\n")),
            }
        }
        out
    }

    /// What our own parser has against the new file. The keys of paths are left to it only where it knows them.
    pub fn issues(&self) -> Vec<String> {
        self.config().issues.iter().map(ToString::to_string).collect()
    }

    /// The new file as the boot reads it.
    fn config(&self) -> Config {
        let known = |key: &str| keys::KEYS.iter().any(|row| row.name == key);
        let text = self.text();
        let kept = text.lines().filter(|line| {
            let key = line.split(" = ").next().unwrap_or_default();
            known(key) || !matches!(key, PATH | PATH_DEV)
        });
        let text: Vec<&str> = kept.collect();
        let conf = vec![Source::new("the new file", text.join("\n"))];
        Config::read(&Inputs { conf, ..Inputs::default() })
    }
}

/// The key of a path's line.
const PATH: &str = "rd.overlay.path";
/// The key of the device that keeps paths.
const PATH_DEV: &str = "rd.overlay.path.dev";

/// Reads whatever is there, or only what is asked for.
pub fn migrate(sources: &Sources, only: Option<From>) -> Migrated {
    let mut out = Migrated { links: sources.links.clone(), ..Migrated::default() };
    for (_, from) in From::ALL.iter().filter(|(_, from)| only.is_none_or(|only| only == *from)) {
        match from {
            From::Ubuntu => ubuntu::read(sources, &mut out),
            From::Raspi => raspi(sources, &mut out),
            From::Dracut => dracut::read(sources, &mut out),
            From::Kiwi => kiwi::read(sources, &mut out),
            From::ReadonlyRoot => readonly_root::read(sources, only == Some(From::ReadonlyRoot), &mut out),
            From::LiveBoot => live_boot::read(sources, &mut out),
        }
    }
    out.remove.dedup();
    judge::settle(sources, &mut out);
    out
}

/// The last `boot=overlay` of raspi-config's script; an overlay in RAM without a limit of its own.
fn raspi(sources: &Sources, out: &mut Migrated) {
    let asked = sources.args().iter().any(|arg| arg.text() == "boot=overlay");
    if !asked && !sources.raspi_script {
        return;
    }
    out.begin(From::Raspi);
    if asked {
        out.set(keys::OVERLAY.name, "tmpfs");
        out.remove.push("boot=overlay".to_owned());
    } else {
        out.comment("its script is installed, and boot=overlay is not on the command line: it is switched off");
    }
    if sources.raspi_script {
        out.todo.push("rm /etc/initramfs-tools/scripts/overlay".to_owned());
        out.todo.push("take the line \"initramfs initrd.img-VERSION-overlay\" out of config.txt".to_owned());
    }
}

/// An upper in the words of `rd.overlay`.
fn spec(upper: &Upper) -> Option<String> {
    let plain = *upper == Upper::Tmpfs(Tmpfs::default());
    upper.refused().is_none().then(|| if plain { "tmpfs".to_owned() } else { upper.as_argument() })
}

/// The value of an assignment in a file of the shell's, read as data.
fn assigned(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().split_once('=')?;
    let value = value.split(" #").next().unwrap_or(value).trim();
    Some((key.trim(), value.trim_matches(['"', '\''])))
}

/// Lines that say something, with the name of the file and their number.
fn said(files: &[Source]) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for file in files {
        let text = String::from_utf8_lossy(&file.text).into_owned();
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if !line.is_empty() && !line.starts_with('#') {
                found.push((format!("{}:{}", file.name, number + 1), line.to_owned()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests;
