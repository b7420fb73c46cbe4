// SPDX-License-Identifier: GPL-2.0-or-later
//! Default < configuration files < command line, merged key by key; every field knows its origin.

pub mod conf_file;
mod reader;
pub mod thresholds;
pub mod ubuntu;

use crate::config::conf_file::{conf_args, make_issue, ubuntu_file};
use crate::config::thresholds::Thresholds;
use crate::facts::live_image;
use crate::facts::wanted::Wanted;
use crate::feature::template::{Template, Var};
use crate::feature::{git, hostname, image, image_cache, populate, stale, thaw};
use crate::keys::{self, Fallback};
use crate::layout::{self, DEFAULT_UPPER, Names};
use crate::parse::cmdline::{Source, lex};
use crate::path;
use crate::step::path::Kind;
use crate::upper::Upper;
use crate::value::device::Device;
use crate::value::diagnostics::{Issue, Problem};
use crate::value::field::{Field, Origin};
use reader::Reader;

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

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Config {
    /// The upper; [`Upper::Off`] where no overlay was asked for.
    pub upper: Field<Upper>,
    /// Empty the upper first.
    pub reset: Field<bool>,
    /// A device upper becomes a read-only layer.
    pub readonly: Field<bool>,
    /// Which of several uppers that stay; none where it is the default one.
    pub name: Field<Option<String>>,
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
    /// What becomes of single paths, in the order of the grammar's lines, each path once.
    pub paths: Vec<Field<path::Asked>>,
    /// Where paths are kept that name no device.
    pub path_dev: Field<Option<Device>>,
    /// Percent from which on the fill of the upper is a warning.
    pub watch_warn: Field<u8>,
    /// Percent from which on it is critical; more than `watch_warn`.
    pub watch_critical: Field<u8>,
    /// Where the fill is kept for Prometheus.
    pub watch_textfile: Field<Option<String>>,
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
            live: live_image::asked(&cmdline),
            issues,
            notes: Vec::new(),
            lost: Vec::new(),
            ram: false,
        };
        reader.unknown_keys();
        reader.torn_values();
        let mut config = Self {
            upper: reader.upper(),
            reset: reader.boolean(&keys::RESET),
            readonly: reader.boolean(&keys::READONLY),
            name: reader.parsed(&keys::NAME, None, layout::parse_name),
            fallback: reader.parsed(&keys::FALLBACK, Fallback::Tmpfs, keys::parse_fallback),
            timeout: reader.parsed(&keys::TIMEOUT, 30, keys::parse_timeout),
            stale: reader.parsed(&keys::STALE, stale::Policy::Warn, stale::parse_policy),
            image_sha256: reader.parsed(&keys::IMAGE_SHA256, None, image::parse_sha256),
            image_cache: reader.parsed(&keys::IMAGE_CACHE, None, image_cache::parse_cache),
            hostname: reader.parsed(&keys::HOSTNAME, None, hostname::parse),
            populate: reader.populate(),
            git: reader.git(),
            git_verify: reader.parsed(&keys::GIT_VERIFY, None, git::parse_verify),
            paths: reader.paths(),
            path_dev: reader.parsed(&keys::PATH_DEV, None, path::parse_dev),
            watch_warn: reader.parsed(&keys::WATCH_WARN, thresholds::WARN, thresholds::parse_percent),
            watch_critical: reader.parsed(&keys::WATCH_CRITICAL, thresholds::CRITICAL, thresholds::parse_percent),
            watch_textfile: reader.parsed(&keys::WATCH_TEXTFILE, None, thresholds::parse_textfile),
            names: Names::Dracut,
            swap_off: false,
            recurse: false,
            issues: reader.issues,
            notes: reader.notes,
        };
        config.order_thresholds();
        let mut lost = reader.lost;
        if config.upper.origin == Origin::Default {
            lost.extend(config.take_ubuntu(inputs));
        }
        config.say_lost(&lost);
        config
    }

    /// Says of issues that changes are lost by them. Under a strict policy a mistake is a failure, and none is.
    fn say_lost(&mut self, lost: &[(usize, &str)]) {
        for (number, words) in lost.iter().filter(|_| !self.fallback.value.strict()) {
            if let Some(issue) = self.issues.get_mut(*number) {
                issue.text.push_str(words);
            }
        }
    }

    /// Whether something was written that was not understood, and nobody switched the overlay off:
    /// a typing mistake must not boot a writable root in silence.
    pub fn misunderstood(&self) -> bool {
        self.upper.origin == Origin::Default && !self.issues.is_empty()
    }

    /// Whether an overlay is asked for, or was meant to be.
    pub fn asks_for_overlay(&self) -> bool {
        self.upper.value != Upper::Off || self.misunderstood()
    }

    /// Whether it is a request of `overlayctl thaw` that asks for none.
    pub fn is_thawed(&self) -> bool {
        let Origin::Given { source, .. } = &self.upper.origin else { return false };
        source.strip_prefix(thaw::DIR).is_some_and(|name| name.strip_prefix('/') == Some(thaw::REQUEST))
    }

    /// The name of the upper, of those that stay.
    pub fn upper_name(&self) -> &str {
        self.name.value.as_deref().unwrap_or(DEFAULT_UPPER)
    }

    /// Whether another upper that stays would be used than was meant.
    pub fn misnamed(&self) -> bool {
        !self.upper.value.is_in_ram() && self.issues.iter().any(|issue| issue.key == keys::NAME.name)
    }

    /// The devices that are named to keep paths.
    pub fn stores(&self) -> impl Iterator<Item = &Device> {
        let kept = self.paths.iter().map(|asked| &asked.value).filter(|asked| asked.kind == Kind::Persist);
        let kept = kept.filter(|_| self.upper.value != Upper::Off);
        kept.filter_map(|asked| asked.params.dev.as_ref().or(self.path_dev.value.as_ref()))
    }

    /// What of the machine the plan depends on, of what takes time to look at.
    pub fn wanted(&self) -> Wanted {
        let wanted = self.upper.value.wanted();
        // A device that keeps paths may be the root's own, or a copy of it.
        Wanted { fingerprint: wanted.fingerprint || self.stores().next().is_some(), ..wanted }
    }

    /// The variables that values have: what must be known of the machine.
    pub fn variables(&self) -> Vec<Var> {
        let populate = self.populate.value.iter().map(|asked| &asked.source);
        self.hostname.value.iter().chain(populate).flat_map(Template::vars).collect()
    }

    /// At which fill the upper's levels begin.
    pub fn thresholds(&self) -> Thresholds {
        Thresholds { warn: self.watch_warn.value, critical: self.watch_critical.value }
    }

    /// A warning that comes with the critical level or behind it is a mistake of one of the two.
    fn order_thresholds(&mut self) {
        let (warn, critical) = (self.watch_warn.value, self.watch_critical.value);
        if warn < critical {
            return;
        }
        let (warned, called) = (keys::WATCH_WARN.name, keys::WATCH_CRITICAL.name);
        let (key, value, source, other) = match (&self.watch_warn.origin, &self.watch_critical.origin) {
            (Origin::Given { source, .. }, _) => (warned, warn, source, format!("not below {called}, {critical}")),
            (_, Origin::Given { source, .. }) => (called, critical, source, format!("not above {warned}, {warn}")),
            _ => return,
        };
        let text = format!("{other}; the defaults {} and {} hold", thresholds::WARN, thresholds::CRITICAL);
        let issue = make_issue(key, &value.to_string(), source, Problem::new(text, None));
        self.issues.push(issue);
        self.watch_warn = Field::default(thresholds::WARN);
        self.watch_critical = Field::default(thresholds::CRITICAL);
    }

    /// Gives back which issue leads to RAM in place of a device.
    fn take_ubuntu(&mut self, inputs: &Inputs) -> Option<(usize, &'static str)> {
        let files = inputs.ubuntu.iter().filter_map(|file| Some((ubuntu_file(file)?, &file.name)));
        let proc_cmdline = inputs.cmdline.iter().filter(|source| source.kernels);
        let args = proc_cmdline.filter_map(|source| Some((ubuntu::last_value(source)?, &source.name)));
        // Empty is as the package ships its file: nobody has said anything.
        let (value, source) = files.chain(args).last().filter(|(value, _)| !value.is_empty())?;
        let told = conf_file::told(keys::UBUNTU, &value);
        let origin = Origin::Given { text: format!("{}={told}", keys::UBUNTU), source: source.clone() };
        let issue = |problem: Problem| make_issue(keys::UBUNTU, &told, source, problem);
        match ubuntu::parse(&value) {
            Err(problem) => {
                self.issues.push(issue(problem));
                None
            }
            Ok(parsed) => {
                self.issues.extend(parsed.problems.into_iter().map(issue));
                let instead = parsed.device && parsed.upper.is_in_ram();
                let timeout = parsed.timeout.filter(|_| self.timeout.origin == Origin::Default);
                if let Some(seconds) = timeout {
                    self.timeout = Field { value: seconds, origin: origin.clone() };
                }
                self.swap_off = !parsed.swap && parsed.upper != Upper::Off;
                self.recurse = parsed.recurse;
                if let (Origin::Given { source, .. }, false) = (&self.name.origin, parsed.upper.is_in_ram()) {
                    let name = self.name.value.clone().unwrap_or_default();
                    let text = format!("it has no effect with {}, whose dir= names the upper", keys::UBUNTU);
                    self.issues.push(make_issue(keys::NAME.name, &name, source, Problem::new(text, None)));
                }
                self.names = Names::Ubuntu { dir: parsed.dir };
                self.upper = Field { value: parsed.upper, origin };
                // The device is judged last.
                instead.then_some((self.issues.len().checked_sub(1)?, reader::RAM_INSTEAD))
            }
        }
    }
}

#[cfg(test)]
mod mistakes;
#[cfg(test)]
mod tests;
