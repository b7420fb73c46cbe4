// SPDX-License-Identifier: GPL-2.0-or-later
//! What `rd.overlay=` may say: the kinds of upper and their parameters (docs/compatibility.md).

use crate::bytes::{count_of, for_kernel, percent_of};
use crate::issue::{nearest, sentence, shown};
use crate::ondisk::{Dir, LoopFile, parse_dir, parse_loop};
use crate::part::{Part, parse_part};
use crate::subvol::{Subvol, parse_subvol};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The upper that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upper {
    /// No overlay: the root stays as it is.
    Off,
    /// In RAM, gone at the next boot.
    Tmpfs(Tmpfs),
    /// On a block device, kept.
    Device(Device),
    /// In a directory on the root's own file system, kept.
    Dir(Dir),
    /// In a file on the root's own file system, kept.
    Loop(LoopFile),
    /// On a partition of the root's disk, kept, made where there is none.
    Part(Part),
    /// In a subvolume of the root's own btrfs, kept.
    Subvol(Subvol),
    /// `rd.overlay.crypt=` or `overlayroot=crypt:`; understood, and refused in this version.
    Crypt(String),
}

impl Upper {
    /// The word for this kind in the record.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Tmpfs(_) => "tmpfs",
            Self::Device(_) => "device",
            Self::Dir(_) => "dir",
            Self::Loop(_) => "loop",
            Self::Part(_) => "part",
            Self::Subvol(_) => "subvol",
            Self::Crypt(_) => "crypt",
        }
    }
}

impl fmt::Display for Upper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => write!(f, "off"),
            Self::Tmpfs(tmpfs) => write!(f, "tmpfs {}", tmpfs.options()),
            Self::Device(device) => write!(f, "device {device}"),
            Self::Dir(dir) => write!(f, "dir {dir}"),
            Self::Loop(file) => write!(f, "loop {file}"),
            Self::Part(part) => write!(f, "part {part}"),
            Self::Subvol(subvol) => write!(f, "subvol {subvol}"),
            Self::Crypt(spec) => write!(f, "crypt {spec}"),
        }
    }
}

/// Limits of a tmpfs upper, each checked to be something the kernel takes (tmpfs(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tmpfs {
    /// Bytes with an optional suffix k, m, g, t, p or e, or percent of RAM (`50%`).
    pub size: Option<String>,
    /// Limit in pages instead of bytes.
    pub nr_blocks: Option<String>,
    /// Limit on the number of files.
    pub nr_inodes: Option<String>,
}

impl Tmpfs {
    /// The size used where none is asked for; the kernel's own default, made visible.
    pub const DEFAULT_SIZE: &str = "50%";

    /// Mount options; the size is always said.
    pub fn options(&self) -> String {
        let default = self.nr_blocks.is_none().then_some(Self::DEFAULT_SIZE);
        let mut out = Vec::new();
        let sizes = [
            ("size", self.size.as_deref().or(default)),
            ("nr_blocks", self.nr_blocks.as_deref()),
            ("nr_inodes", self.nr_inodes.as_deref()),
        ];
        for (key, value) in sizes {
            out.extend(value.map(|value| format!("{key}={value}")));
        }
        // Nobody but root gets into it: its names are public. The upper is a directory in it, with the root's mode.
        out.push("mode=0700".to_owned());
        out.join(",")
    }
}

/// How a block device is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Device {
    /// `LABEL=`: the file system's label.
    Label(String),
    /// `UUID=`: the file system's UUID.
    Uuid(String),
    /// `PARTLABEL=`: the partition's name in a GPT.
    PartLabel(String),
    /// `PARTUUID=`: the partition's identity in its table.
    PartUuid(String),
    /// A path below `/dev`.
    Path(String),
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(text) => write!(f, "LABEL={text}"),
            Self::Uuid(text) => write!(f, "UUID={text}"),
            Self::PartLabel(text) => write!(f, "PARTLABEL={text}"),
            Self::PartUuid(text) => write!(f, "PARTUUID={text}"),
            Self::Path(text) => write!(f, "{text}"),
        }
    }
}

/// What is wrong with a value, and what may have been meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In words.
    pub text: String,
    /// The nearest right spelling.
    pub nearest: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        self.nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest}?"))
    }
}

impl Problem {
    /// The text is one line, and no longer than can be read.
    pub(crate) fn new(text: impl AsRef<str>, nearest: Option<String>) -> Self {
        Self { text: sentence(text.as_ref()), nearest }
    }
}

type Constructor = fn(String) -> Device;
const TAGS: [(&str, Constructor); 4] = [
    ("LABEL=", Device::Label),
    ("UUID=", Device::Uuid),
    ("PARTLABEL=", Device::PartLabel),
    ("PARTUUID=", Device::PartUuid),
];

/// A device as `LABEL=`, `UUID=`, `PARTLABEL=`, `PARTUUID=` or `/dev/…`; `None` if it is none of these.
pub fn parse_device(text: &str) -> Option<Result<Device, Problem>> {
    for (tag, make) in TAGS {
        if let Some(name) = text.strip_prefix(tag) {
            return Some(match name {
                "" => Err(Problem::new(format!("{tag} without a name"), None)),
                name => Ok(make(name.to_owned())),
            });
        }
    }
    let path = text.strip_prefix("/dev/")?;
    let climbs = path.split('/').any(|part| part == "..");
    Some(match (path, climbs) {
        ("", _) => Err(Problem::new("/dev/ is a directory", None)),
        (_, true) => Err(Problem::new("a device path must stay below /dev", None)),
        (path, false) => Ok(Device::Path(format!("/dev/{path}"))),
    })
}

/// The value of `rd.overlay=` once it is known to enable; dracut-ng 111's table, and louder.
///
/// dracut-ng takes every value it does not know as a tmpfs upper, and so do we, but it is said.
pub fn parse_upper(value: &str) -> (Upper, Vec<Problem>) {
    if let Some(device) = parse_device(value) {
        return match device {
            Ok(device) => (Upper::Device(device), Vec::new()),
            Err(problem) => (Upper::Tmpfs(Tmpfs::default()), vec![problem]),
        };
    }
    if let Some(params) = value.strip_prefix("tmpfs:") {
        let (tmpfs, problems) = parse_tmpfs(params);
        return (Upper::Tmpfs(tmpfs), problems);
    }
    let on_disk = value.strip_prefix("dir:").map(|text| parse_dir(text).map(Upper::Dir));
    let on_disk = on_disk.or_else(|| value.strip_prefix("loop:").map(|text| parse_loop(text).map(Upper::Loop)));
    let on_disk = on_disk.or_else(|| value.strip_prefix("part:").map(|text| parse_part(text).map(Upper::Part)));
    let on_disk = on_disk.or_else(|| value.strip_prefix("subvol:").map(|text| parse_subvol(text).map(Upper::Subvol)));
    if let Some(parsed) = on_disk {
        // Nothing half understood is made on a disk.
        return parsed
            .map_or_else(|problem| (Upper::Tmpfs(Tmpfs::default()), vec![problem]), |upper| (upper, Vec::new()));
    }
    let problem = match value {
        "" | "1" | "yes" | "on" | "true" | "tmpfs" => Vec::new(),
        other => vec![unknown_kind(other)],
    };
    (Upper::Tmpfs(Tmpfs::default()), problem)
}

/// dracut-ng takes it as RAM, and for true.
fn unknown_kind(value: &str) -> Problem {
    const KINDS: [&str; 11] =
        ["LABEL=", "UUID=", "PARTLABEL=", "PARTUUID=", "tmpfs", "tmpfs:", "dir:", "loop:", "part:", "subvol:", "/dev/"];
    let end = value.char_indices().skip(1).find(|(_, c)| matches!(c, '=' | ':' | '/'));
    let head = end.and_then(|(at, _)| value.get(..=at)).unwrap_or(value);
    let (lower, upper) = (head.to_lowercase(), head.to_uppercase());
    let near = match lower.as_str() {
        "crypt:" => return Problem::new("an encrypted upper is not supported", None),
        "no" | "off" | "false" | "n" | "none" | "never" | "disable" | "disabled" => Some("0".to_owned()),
        _ => [head, &lower, &upper].iter().find_map(|head| nearest(head, KINDS)),
    };
    let all = "tmpfs, dir:PATH, loop:PATH, part:LABEL, subvol:NAME, LABEL=NAME, UUID=ID, PARTLABEL=NAME, PARTUUID=ID, /dev/PATH";
    match near {
        Some(near) => Problem::new("unknown upper type", Some(near)),
        None => Problem::new(format!("unknown upper type, not one of {all}"), None),
    }
}

/// The parameters behind `tmpfs:`, comma separated; what is wrong is left out and said.
pub fn parse_tmpfs(params: &str) -> (Tmpfs, Vec<Problem>) {
    const KEYS: [&str; 3] = ["size", "nr_blocks", "nr_inodes"];
    let mut tmpfs = Tmpfs::default();
    let mut problems = Vec::new();
    for param in params.split(',').filter(|param| !param.is_empty()) {
        let (key, value) = param.split_once('=').unwrap_or((param, ""));
        let slot = match key {
            "size" => &mut tmpfs.size,
            "nr_blocks" => &mut tmpfs.nr_blocks,
            "nr_inodes" => &mut tmpfs.nr_inodes,
            _ => {
                let text = format!("unknown tmpfs parameter '{}', ignored", shown(key));
                problems.push(Problem::new(text, nearest(key, KEYS)));
                continue;
            }
        };
        match limit(key, value) {
            Ok(limit) => *slot = Some(limit),
            Err(problem) => problems.push(Problem::new(format!("{}, ignored", problem.text), None)),
        }
    }
    (tmpfs, problems)
}

/// A limit of a tmpfs, as the kernel takes it: `size` in bytes or percent of RAM, the others in pieces.
pub(crate) fn limit(key: &str, value: &str) -> Result<String, Problem> {
    let (found, form) = match key {
        "size" if percent_of(value).is_some() => return Ok(value.to_owned()),
        "size" => (for_kernel(value), SIZES),
        _ => (count_of(value).map(|_| value.to_owned()), "such as 200k"),
    };
    found.ok_or_else(|| Problem::new(format!("{key}={} is not a number {form}", shown(value)), None))
}

/// What sizes look like, for messages.
pub(crate) const SIZES: &str = "such as 512M, 2G or 2GiB, or percent";

#[cfg(test)]
#[path = "upper_tests.rs"]
mod tests;
