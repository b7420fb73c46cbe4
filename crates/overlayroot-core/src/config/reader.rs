// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks each key up, at the level that decides, and reads its value.

use crate::config::conf_file::{self, make_issue, redacted};
use crate::feature::{git, populate};
use crate::keys::{self, Key, OVERLAY, UBUNTU};
use crate::parse::cmdline::Arg;
use crate::path::{self, Asked};
use crate::upper::{Upper, parse_upper};
use crate::value::diagnostics::{Issue, Problem, escape};
use crate::value::field::{Field, Origin};
use crate::value::redact;

pub(super) struct Reader<'a> {
    pub(super) levels: [&'a Vec<Arg>; 2],
    /// The boot is dmsquash-live's, and so are its words: they are no older names of ours then.
    pub(super) live: bool,
    pub(super) issues: Vec<Issue>,
    pub(super) notes: Vec<String>,
    /// Issues by which changes are lost, by their number, and how: under a policy that boots in spite of them.
    pub(super) lost: Vec<(usize, &'static str)>,
    /// The upper is in RAM.
    pub(super) ram: bool,
}

/// Something else was asked for than RAM.
pub(super) const RAM_INSTEAD: &str = "; using RAM, changes will be lost at reboot";
/// A path goes without its policy: what is written there goes into the upper.
const LEFT_OUT: &str = "; left out";
const LOST_THERE: &str = "; ignored, changes there will be lost at reboot";
const TORN: &str = "a blank ends the value";

impl Reader<'_> {
    /// In files every key must be ours; on the command line only those that look like ours count.
    pub(super) fn unknown_keys(&mut self) {
        for (is_conf, args) in self.levels.iter().enumerate() {
            for arg in args.iter() {
                let key = String::from_utf8_lossy(&arg.key);
                let theirs = || !keys::is_ours(&key) || (self.live && key.starts_with("rd.live."));
                if keys::is_known(&key) || (is_conf == 0 && theirs()) {
                    continue;
                }
                // Ubuntu's is no word of our files.
                let ours = |near: String| if is_conf == 1 && near == UBUNTU { OVERLAY.name.to_owned() } else { near };
                let near = keys::nearest_name(&key).map(ours);
                let value = arg.value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                self.issues.push(make_issue(&key, &value, &arg.source, Problem::new("unknown key", near)));
            }
        }
    }

    /// A blank beside `=` ends the value on the command line, and makes two arguments of one.
    pub(super) fn torn_values(&mut self) {
        let [line, _] = self.levels;
        for (arg, next) in line.iter().zip(line.iter().skip(1)) {
            let key = String::from_utf8_lossy(&arg.key);
            if arg.value.as_ref().is_some_and(|value| !value.is_empty()) || !keys::is_known(&key) {
                continue;
            }
            let text = next.text();
            // Only a kind of upper is quoted, which has no password.
            let what = match key == keys::OVERLAY.name && names_upper(&text) {
                true => format!(", '{}' after it is ignored", escape(&text)),
                false if next.key.starts_with(b"=") => String::new(),
                false => continue,
            };
            let problem = Problem::new(format!("{TORN}{what}"), None);
            self.issues.push(make_issue(&key, "", &arg.source, problem));
        }
    }

    /// The argument that decides a key: the last one of the first level that has the name or,
    /// only where the name does not occur there, a deprecated one.
    fn find(&mut self, key: &Key, deprecated: &[&str]) -> Option<(usize, Arg)> {
        for (level, args) in self.levels.iter().enumerate() {
            let deprecated = deprecated.iter().copied().filter(|_| !self.live);
            let names = std::iter::once(key.name).chain(deprecated);
            for name in names {
                if let Some(arg) = last(args, name) {
                    if name != key.name {
                        self.notes.push(format!("{name} is deprecated, use {}", key.name));
                    }
                    if let Some(old) = args.iter().rfind(|old| old.key == arg.key && old.value != arg.value) {
                        self.notes.push(format!("{} overrules {}", origin(arg), origin(old)));
                    }
                    return Some((level, arg.clone()));
                }
            }
        }
        None
    }

    fn text(&mut self, arg: &Arg) -> Option<String> {
        let bytes = arg.value.clone().unwrap_or_default();
        match String::from_utf8(bytes) {
            Ok(text) => Some(text),
            Err(error) => {
                let value = String::from_utf8_lossy(error.as_bytes()).into_owned();
                self.problem(arg, &value, Problem::new("the value is not UTF-8", None));
                None
            }
        }
    }

    fn problem(&mut self, arg: &Arg, value: &str, problem: Problem) {
        let key = String::from_utf8_lossy(&arg.key);
        self.issues.push(make_issue(&key, value, &arg.source, problem));
    }

    /// What dracut would take for true against what was meant, or without knowing it, is none: each of these keys has
    /// changes be lost.
    pub(super) fn boolean(&mut self, key: &Key) -> Field<bool> {
        let Some((arg, text)) = self.given(key) else {
            return Field::default(false);
        };
        match keys::meant(&text) {
            Some(value) if value == keys::parse_bool(Some(&text)) => Field { value, origin: origin(&arg) },
            meant => {
                let near = meant.map(|_| "0".to_owned());
                self.problem(&arg, &text, Problem::new("not one of 0, no, off, 1, yes, on; using the default 0", near));
                Field::default(false)
            }
        }
    }

    /// What was written for a key, if it is UTF-8.
    fn given(&mut self, key: &Key) -> Option<(Arg, String)> {
        let (_, arg) = self.find(key, key.deprecated)?;
        let text = self.text(&arg)?;
        Some((arg, text))
    }

    pub(super) fn parsed<T>(&mut self, key: &Key, default: T, parse: fn(&str) -> Result<T, Problem>) -> Field<T> {
        let Some((arg, text)) = self.given(key) else {
            return Field::default(default);
        };
        match parse(&text) {
            Ok(value) => Field { value, origin: origin(&arg) },
            Err(problem) => {
                self.problem(&arg, &text, problem);
                Field::default(default)
            }
        }
    }

    /// A URL may carry a password, which is not told.
    pub(super) fn populate(&mut self) -> Field<Option<populate::Asked>> {
        let Some((_, arg)) = self.find(&keys::POPULATE, &[]) else {
            return Field::default(None);
        };
        let given = String::from_utf8_lossy(arg.value.as_deref().unwrap_or_default()).into_owned();
        // What is not UTF-8 has replacement characters now, which no URL has.
        match populate::parse(&given) {
            Ok(value) => Field { value, origin: origin(&arg) },
            Err(problem) => {
                self.problem(&arg, &given, problem);
                Field { value: Some(populate::Asked::mistaken(&redact::told(&given))), origin: origin(&arg) }
            }
        }
    }

    /// A password in a URL is refused, and not told.
    pub(super) fn git(&mut self) -> Field<Option<git::Git>> {
        let Some((_, arg)) = self.find(&keys::GIT, &[]) else {
            return Field::default(None);
        };
        let bytes = arg.value.as_deref().unwrap_or_default();
        let parsed = match std::str::from_utf8(bytes) {
            Ok(text) => git::parse(text),
            Err(_) => Err(Problem::new("the value is not UTF-8", None)),
        };
        match parsed {
            Ok(value) => Field { value, origin: origin(&arg) },
            Err(problem) => {
                let problem = Problem { text: format!("{}; nothing is pulled", problem.text), ..problem };
                self.problem(&arg, &String::from_utf8_lossy(bytes), problem);
                Field::default(None)
            }
        }
    }

    /// Every value of the first level that has one. An empty one, and those that are false, end what came before:
    /// `rd.overlay.path=0` on the command line is none of the files'.
    pub(super) fn paths(&mut self) -> Vec<Field<Asked>> {
        let name = keys::PATH.name.as_bytes();
        let mut levels = self.levels.iter().map(|args| args.iter().filter(|arg| arg.key == name).cloned().collect());
        let args: Vec<Arg> = levels.find(|args: &Vec<Arg>| !args.is_empty()).unwrap_or_default();
        let mut found: Vec<Field<Asked>> = Vec::new();
        for arg in args {
            let Some(text) = self.text(&arg) else { continue };
            if text.is_empty() || !keys::parse_bool(Some(&text)) {
                found.clear();
                continue;
            }
            match path::parse(&text) {
                Ok(all) => {
                    all.into_iter().for_each(|value| self.path(&mut found, Field { value, origin: origin(&arg) }))
                }
                Err(problem) => {
                    self.lost.push((self.issues.len(), if self.ram { LOST_THERE } else { LEFT_OUT }));
                    self.problem(&arg, &text, problem);
                }
            }
        }
        found
    }

    /// The last that is said of a path counts.
    fn path(&mut self, found: &mut Vec<Field<Asked>>, new: Field<Asked>) {
        if let Some(old) = found.iter().find(|old| old.value.path == new.value.path && old.value != new.value) {
            self.notes.push(format!("{} overrules {}", new.origin, old.origin));
        }
        found.retain(|old| old.value.path != new.value.path);
        found.push(new);
    }

    pub(super) fn upper(&mut self) -> Field<Upper> {
        let enable = self.find(&keys::OVERLAY, &["rd.live.overlay.overlayfs"]);
        let crypt = self.find(&keys::CRYPT, &[]);
        let off = enable.as_ref().is_some_and(|(_, arg)| !is_true(arg));
        if let (Some((_, arg)), true) = (&enable, off) {
            return Field { value: Upper::Off, origin: origin(arg) };
        }
        // dracut-ng passes over these five for the *value* and looks at the deprecated name.
        let valued = enable.clone().map(|(level, arg)| {
            let args = self.levels.get(level).filter(|_| !self.live);
            let old = args.and_then(|args| last(args, "rd.live.overlay"));
            match old.cloned() {
                Some(old) if plain(&arg) || arg.key != b"rd.overlay" => old,
                _ => arg,
            }
        });
        match (valued, crypt) {
            // A plain `rd.overlay` says less than `rd.overlay.crypt=`, which enables by itself.
            (Some(arg), None) => self.parse_upper(&arg),
            (Some(arg), Some(_)) if !plain(&arg) => self.parse_upper(&arg),
            (_, Some((_, arg))) => {
                let spec = redacted(&self.text(&arg).unwrap_or_default());
                Field { value: Upper::Crypt(spec), origin: origin(&arg) }
            }
            (None, None) => Field::default(Upper::Off),
        }
    }

    fn parse_upper(&mut self, arg: &Arg) -> Field<Upper> {
        // The deprecated boolean carries no value of its own.
        let own = arg.key == b"rd.overlay" || arg.key == b"rd.live.overlay";
        let text = if own { self.text(arg).unwrap_or_default() } else { String::new() };
        let (value, problems) = parse_upper(&text);
        for problem in problems {
            self.problem(arg, &text, problem);
        }
        self.ram = value.is_in_ram();
        // Whoever wrote tmpfs: means RAM, whatever is wrong with its limits.
        let meant = text.starts_with("tmpfs:") || !self.ram;
        let about = |issue: &Issue| {
            let torn = issue.value.is_empty() && issue.text.starts_with(TORN);
            own && issue.source == arg.source && issue.key.as_bytes() == arg.key && (torn || !plain(arg))
        };
        if let (Some(number), false) = (self.issues.iter().rposition(about), meant) {
            self.lost.push((number, RAM_INSTEAD));
        }
        Field { value, origin: origin(arg) }
    }
}

/// Values by which dracut-ng looks at the deprecated name.
fn plain(arg: &Arg) -> bool {
    matches!(arg.value.as_deref(), None | Some(b"" | b"1"))
}

/// Whether it would be the value of `rd.overlay`, and more than a word.
fn names_upper(text: &str) -> bool {
    text.starts_with("tmpfs:") || !parse_upper(text).0.is_in_ram()
}

pub(super) fn last<'a>(args: &'a [Arg], name: &str) -> Option<&'a Arg> {
    args.iter().rfind(|arg| arg.key == name.as_bytes())
}

pub(super) fn is_true(arg: &Arg) -> bool {
    keys::parse_bool(arg.value.as_deref().and_then(|value| std::str::from_utf8(value).ok()))
}

pub(super) fn origin(arg: &Arg) -> Origin {
    let key = String::from_utf8_lossy(&arg.key);
    let text = match &arg.value {
        Some(value) => format!("{key}={}", conf_file::told(&key, &String::from_utf8_lossy(value))),
        None => key.into_owned(),
    };
    Origin::Given { text, source: arg.source.clone() }
}
