// SPDX-License-Identifier: GPL-2.0-or-later
//! What `rd.overlay=` may say: the kinds of upper and their parameters (docs/compatibility.md).

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
        return parsed.map_or_else(
            |problem| {
                let text = format!("{}; taken as tmpfs", problem.text);
                (Upper::Tmpfs(Tmpfs::default()), vec![Problem::new(text, problem.nearest)])
            },
            |upper| (upper, Vec::new()),
        );
    }
    let problem = match value {
        "" | "1" | "yes" | "on" | "true" | "tmpfs" => Vec::new(),
        other => {
            let tags = TAGS.iter().map(|(tag, _)| *tag);
            let words = tags.chain(["tmpfs", "tmpfs:", "dir:", "loop:", "part:", "subvol:", "0", "no", "off"]);
            let head = other.find(['=', ':']).map_or(other, |at| other.get(..=at).unwrap_or(other));
            vec![Problem::new("no kind of upper, taken as tmpfs", nearest(head, words))]
        }
    };
    (Upper::Tmpfs(Tmpfs::default()), problem)
}

/// The parameters behind `tmpfs:`, comma separated; what is wrong is left out and said.
pub fn parse_tmpfs(params: &str) -> (Tmpfs, Vec<Problem>) {
    const KEYS: [&str; 3] = ["size", "nr_blocks", "nr_inodes"];
    let mut tmpfs = Tmpfs::default();
    let mut problems = Vec::new();
    for param in params.split(',').filter(|param| !param.is_empty()) {
        let (key, value) = param.split_once('=').unwrap_or((param, ""));
        let (slot, percent) = match key {
            "size" => (&mut tmpfs.size, true),
            "nr_blocks" => (&mut tmpfs.nr_blocks, false),
            "nr_inodes" => (&mut tmpfs.nr_inodes, false),
            _ => {
                let text = format!("unknown tmpfs parameter '{}', left out", shown(key));
                problems.push(Problem::new(text, nearest(key, KEYS)));
                continue;
            }
        };
        match is_size(value, percent) {
            true => *slot = Some(value.to_owned()),
            false => {
                let forms = if percent { "a number with k, m, g or t, or percent" } else { "a number" };
                problems.push(Problem::new(format!("{key}={} is not {forms}, left out", shown(value)), None));
            }
        }
    }
    (tmpfs, problems)
}

/// The kernel's memparse without its hexadecimal and octal forms, and percent of 1 to 100.
pub(crate) fn is_size(text: &str, percent: bool) -> bool {
    if let Some(number) = text.strip_suffix('%') {
        return percent && number.parse::<u8>().is_ok_and(|n| (1..=100).contains(&n));
    }
    bytes_of(text).is_some()
}

/// A number with an optional suffix k, m, g, t, p or e (powers of 1024), in bytes.
pub fn bytes_of(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, suffix) = text.split_at_checked(split)?;
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        "e" => 60,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
#[path = "upper_tests.rs"]
mod tests;
