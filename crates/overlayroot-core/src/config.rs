// SPDX-License-Identifier: GPL-2.0-or-later
//! Default < configuration files < command line, merged key by key; every field knows its origin.

use crate::cmdline::{Arg, Source, lex};
use crate::conf::{conf_args, make_issue, redacted, ubuntu_file};
use crate::fetched;
use crate::git;
use crate::grammar::{self, Fallback, Key};
use crate::hostname;
use crate::image;
use crate::issue::{Issue, nearest, shown};
use crate::live;
use crate::populate;
use crate::stale;
use crate::ubuntu;
use crate::upper::{Device, Problem, Upper, parse_upper};
use crate::vars::{Template, Var};
use std::fmt;

/// The texts a configuration is made of, each list in the order of rising precedence.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// `/etc/overlayroot-rs.conf` and its drop-ins.
    pub conf: Vec<Source>,
    /// dracut's sources of the command line.
    pub cmdline: Vec<Source>,
    /// The lower's `/etc/overlayroot.conf` and `/etc/overlayroot.local.conf`.
    pub ubuntu: Vec<Source>,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// Written as `text` in the file `source`.
    Given {
        /// The argument as written.
        text: String,
        /// The file.
        source: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::Given { text, source } => write!(f, "{} in {source}", shown(text)),
        }
    }
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<T> {
    /// The value that holds.
    pub value: T,
    /// Who said so.
    pub origin: Origin,
}

impl<T> Field<T> {
    fn default(value: T) -> Self {
        Self { value, origin: Origin::Default }
    }
}

/// Whose mount points and names are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// dracut-ng's `/run/rootfsbase`, source `LiveOS_rootfs`.
    Dracut,
    /// Ubuntu's `/media/root-ro` and `/media/root-rw`, source `overlayroot`.
    Ubuntu {
        /// Upper directory within the upper's file system.
        dir: String,
    },
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Config {
    /// The upper; [`Upper::Off`] where no overlay was asked for.
    pub upper: Field<Upper>,
    /// Empty the upper first.
    pub reset: Field<bool>,
    /// A device upper becomes a read-only layer.
    pub readonly: Field<bool>,
    /// What to do where it can't be had.
    pub fallback: Field<Fallback>,
    /// Seconds to wait for the device.
    pub timeout: Field<u32>,
    /// What to do with an upper that was begun on another lower.
    pub stale: Field<stale::Policy>,
    /// SHA-256 of the image that may be booted, in lower case.
    pub image_sha256: Field<Option<String>>,
    /// Where the image is kept.
    pub image_cache: Field<Option<Device>>,
    /// Name of the machine.
    pub hostname: Field<Option<Template>>,
    /// What a new upper begins with.
    pub populate: Field<Option<populate::Asked>>,
    /// What the booted system pulls.
    pub git: Field<Option<git::Git>>,
    /// File with the signers that it is to trust.
    pub git_verify: Field<Option<String>>,
    /// Whose names are used.
    pub names: Names,
    /// `overlayroot=` without `swap=1`: fstab's swap is kept off.
    pub swap_off: bool,
    /// `overlayroot=` with `recurse=1`.
    pub recurse: bool,
    /// Unknown keys and bad values.
    pub issues: Vec<Issue>,
    /// What is worth saying but changes nothing.
    pub notes: Vec<String>,
}

impl Config {
    /// Reads everything the user wrote. Never fails: what is wrong becomes an [`Issue`].
    pub fn read(inputs: &Inputs) -> Self {
        let mut issues = Vec::new();
        let conf = conf_args(&inputs.conf, &mut issues);
        let cmdline = lex(&inputs.cmdline);
        let mut reader = Reader {
            // The command line comes first: the first level in which a key occurs decides.
            levels: [&cmdline, &conf],
            live: live::asked(&cmdline),
            issues,
            notes: Vec::new(),
        };
        reader.unknown_keys();
        let mut config = Self {
            upper: reader.upper(),
            reset: reader.boolean(&grammar::RESET),
            readonly: reader.boolean(&grammar::READONLY),
            fallback: reader.parsed(&grammar::FALLBACK, Fallback::Tmpfs, grammar::parse_fallback),
            timeout: reader.parsed(&grammar::TIMEOUT, 30, grammar::parse_timeout),
            stale: reader.parsed(&grammar::STALE, stale::Policy::Warn, stale::parse_policy),
            image_sha256: reader.parsed(&grammar::IMAGE_SHA256, None, image::parse_sha256),
            image_cache: reader.parsed(&grammar::IMAGE_CACHE, None, fetched::parse_cache),
            hostname: reader.parsed(&grammar::HOSTNAME, None, hostname::parse),
            populate: reader.populate(),
            git: reader.git(),
            git_verify: reader.parsed(&grammar::GIT_VERIFY, None, git::parse_verify),
            names: Names::Dracut,
            swap_off: false,
            recurse: false,
            issues: reader.issues,
            notes: reader.notes,
        };
        if config.upper.origin == Origin::Default {
            config.take_ubuntu(inputs);
        }
        config
    }

    /// Whether something was written that was not understood, and nobody switched the overlay off:
    /// a typing mistake must not boot a writable root in silence.
    pub fn misunderstood(&self) -> bool {
        self.upper.origin == Origin::Default && !self.issues.is_empty()
    }

    /// The variables that values have: what must be known of the machine.
    pub fn variables(&self) -> Vec<Var> {
        let populate = self.populate.value.iter().map(|asked| &asked.source);
        self.hostname.value.iter().chain(populate).flat_map(Template::vars).collect()
    }

    fn take_ubuntu(&mut self, inputs: &Inputs) {
        let files = inputs.ubuntu.iter().filter_map(|file| Some((ubuntu_file(file)?, &file.name)));
        let proc_cmdline = inputs.cmdline.iter().filter(|source| source.name == "/proc/cmdline");
        let args = proc_cmdline.filter_map(|source| Some((ubuntu::last_value(source)?, &source.name)));
        // Empty is as the package ships its file: nobody has said anything.
        let Some((value, source)) = files.chain(args).last().filter(|(value, _)| !value.is_empty()) else {
            return;
        };
        let told = redacted(&value);
        let origin = Origin::Given { text: format!("{}={told}", grammar::UBUNTU), source: source.clone() };
        let issue = |problem: Problem| make_issue(grammar::UBUNTU, &told, source, problem);
        match ubuntu::parse(&value) {
            Err(problem) => self.issues.push(issue(problem)),
            Ok(parsed) => {
                self.issues.extend(parsed.problems.into_iter().map(issue));
                let timeout = parsed.timeout.filter(|_| self.timeout.origin == Origin::Default);
                if let Some(seconds) = timeout {
                    self.timeout = Field { value: seconds, origin: origin.clone() };
                }
                self.swap_off = !parsed.swap && parsed.upper != Upper::Off;
                self.recurse = parsed.recurse;
                self.names = Names::Ubuntu { dir: parsed.dir };
                self.upper = Field { value: parsed.upper, origin };
            }
        }
    }
}

struct Reader<'a> {
    levels: [&'a Vec<Arg>; 2],
    /// The boot is dmsquash-live's, and so are its words: they are no older names of ours then.
    live: bool,
    issues: Vec<Issue>,
    notes: Vec<String>,
}

impl Reader<'_> {
    /// In files every key must be ours; on the command line only those that look like ours count.
    fn unknown_keys(&mut self) {
        for (is_conf, args) in self.levels.iter().enumerate() {
            for arg in args.iter() {
                let key = String::from_utf8_lossy(&arg.key);
                if grammar::is_known(&key) || (is_conf == 0 && !grammar::is_ours(&key)) {
                    continue;
                }
                let near = nearest(&key, grammar::KEYS.iter().map(|row| row.name));
                let value = arg.value.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
                self.issues.push(make_issue(&key, &git::told(&value), &arg.source, Problem::new("unknown key", near)));
            }
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

    fn boolean(&mut self, key: &Key) -> Field<bool> {
        match self.find(key, key.deprecated) {
            None => Field::default(false),
            Some((_, arg)) => Field { value: is_true(&arg), origin: origin(&arg) },
        }
    }

    /// What was written for a key, if it is UTF-8.
    fn given(&mut self, key: &Key) -> Option<(Arg, String)> {
        let (_, arg) = self.find(key, key.deprecated)?;
        let text = self.text(&arg)?;
        Some((arg, text))
    }

    fn parsed<T>(&mut self, key: &Key, default: T, parse: fn(&str) -> Result<T, Problem>) -> Field<T> {
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
    fn populate(&mut self) -> Field<Option<populate::Asked>> {
        let Some((_, arg)) = self.find(&grammar::POPULATE, &[]) else {
            return Field::default(None);
        };
        let given = String::from_utf8_lossy(arg.value.as_deref().unwrap_or_default()).into_owned();
        let told = populate::told(&given);
        let arg = Arg { value: Some(told.clone().into_bytes()), ..arg };
        // What is not UTF-8 has replacement characters now, which no URL has.
        match populate::parse(&given) {
            Ok(value) => Field { value, origin: origin(&arg) },
            Err(problem) => {
                self.problem(&arg, &told, problem);
                Field { value: Some(populate::Asked::mistaken(&told)), origin: origin(&arg) }
            }
        }
    }

    /// A password in a URL is refused, and not told.
    fn git(&mut self) -> Field<Option<git::Git>> {
        let Some((_, arg)) = self.find(&grammar::GIT, &[]) else {
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
                self.problem(&arg, &git::told(&String::from_utf8_lossy(bytes)), problem);
                Field::default(None)
            }
        }
    }

    fn upper(&mut self) -> Field<Upper> {
        let enable = self.find(&grammar::OVERLAY, &["rd.live.overlay.overlayfs"]);
        let crypt = self.find(&grammar::CRYPT, &[]);
        let off = enable.as_ref().is_some_and(|(_, arg)| !is_true(arg));
        if let (Some((_, arg)), true) = (&enable, off) {
            return Field { value: Upper::Off, origin: origin(arg) };
        }
        let plain = |arg: &Arg| matches!(arg.value.as_deref(), None | Some(b"" | b"1"));
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
                let spec = self.text(&arg).unwrap_or_default();
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
        Field { value, origin: origin(arg) }
    }
}

fn last<'a>(args: &'a [Arg], name: &str) -> Option<&'a Arg> {
    args.iter().rfind(|arg| arg.key == name.as_bytes())
}

fn is_true(arg: &Arg) -> bool {
    grammar::parse_bool(arg.value.as_deref().and_then(|value| std::str::from_utf8(value).ok()))
}

fn origin(arg: &Arg) -> Origin {
    Origin::Given { text: arg.text(), source: arg.source.clone() }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
