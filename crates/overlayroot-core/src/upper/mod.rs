// SPDX-License-Identifier: GPL-2.0-or-later
//! What `rd.overlay=` may say: the kinds of upper and their parameters (docs/reference/compatibility.md).

pub mod crypt;
pub mod device;
pub mod diagnosis;
pub mod dir;
mod kept;
pub mod loop_file;
pub mod needs;
pub mod part;
pub mod recorded;
pub mod request;
pub mod resize;
mod root_fs;
pub mod subvol;
pub mod tmpfs;

use crate::facts::wanted::Wanted;
use crate::facts::{Facts, Root};
use crate::step::refusal::{self, Refusal};
use crate::upper::diagnosis::Diagnosis;
use crate::upper::dir::{Dir, parse_dir};
use crate::upper::loop_file::{LoopFile, parse_loop};
use crate::upper::needs::Needs;
use crate::upper::part::{Part, parse_part};
use crate::upper::request::{Request, UpperPlan};
use crate::upper::subvol::{Subvol, parse_subvol};
use crate::upper::tmpfs::{Tmpfs, parse_tmpfs};
use crate::value::device::{Device, parse_device};
use crate::value::diagnostics::{Problem, suggest};
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

    /// This kind's part of the plan.
    ///
    /// # Errors
    /// Why it can't be had on this machine.
    pub fn plan(&self, request: Request<'_>, facts: &Facts, root: &Root) -> Result<UpperPlan, Refusal> {
        match self {
            // `plan::decide` ends before it asks for the plan of none.
            Self::Off => Err(refusal::mistakes(&[])),
            Self::Tmpfs(tmpfs) => Ok(tmpfs::plan(request, &facts.kernel, tmpfs)),
            Self::Device(asked) => device::plan(request, facts, root, asked),
            Self::Dir(dir) => dir::plan(request, facts, root, dir),
            Self::Loop(file) => loop_file::plan(request, facts, root, file),
            Self::Part(part) => part::plan(request, facts, root, part),
            Self::Subvol(subvol) => subvol::plan(request, facts, root, subvol),
            Self::Crypt(spec) => Err(refusal::crypt(spec)),
        }
    }

    /// What of the machine its plan depends on; what it names itself is looked at anyway.
    pub fn wanted(&self) -> Wanted {
        match self {
            Self::Off | Self::Tmpfs(_) | Self::Crypt(_) => Wanted::NONE,
            Self::Device(_) => device::WANTED,
            Self::Dir(_) => dir::WANTED,
            Self::Loop(file) => file.wanted(),
            Self::Part(_) => part::WANTED,
            Self::Subvol(_) => subvol::WANTED,
        }
    }

    /// What an initramfs must have for it: what is not made yet must be made. Without facts, all that it may take.
    pub fn needs(&self, facts: Option<&Facts>) -> Needs {
        match self {
            Self::Device(_) => device::needs(facts),
            Self::Dir(dir) => dir.needs(facts),
            Self::Loop(file) => file.needs(facts),
            Self::Part(part) => part.needs(facts),
            Self::Off | Self::Tmpfs(_) | Self::Subvol(_) | Self::Crypt(_) => Needs::default(),
        }
    }

    /// The device that it names.
    pub fn device(&self) -> Option<&Device> {
        match self {
            Self::Device(device) => Some(device),
            Self::Loop(file) => file.dev.as_ref(),
            Self::Off | Self::Tmpfs(_) | Self::Dir(_) | Self::Part(_) | Self::Subvol(_) | Self::Crypt(_) => None,
        }
    }

    /// Whether it takes that device, which then can't be for anything else.
    pub fn takes(&self, other: &Device) -> bool {
        match self {
            Self::Part(part) => *other == Device::PartLabel(part.label.clone()),
            Self::Device(_)
            | Self::Loop(_)
            | Self::Off
            | Self::Tmpfs(_)
            | Self::Dir(_)
            | Self::Subvol(_)
            | Self::Crypt(_) => self.device() == Some(other),
        }
    }

    /// Its path in the root, where it lies at one.
    pub fn path_in_root(&self) -> Option<&str> {
        match self {
            Self::Dir(dir) => Some(&dir.path),
            Self::Loop(file) if file.dev.is_none() => Some(&file.path),
            Self::Off
            | Self::Tmpfs(_)
            | Self::Device(_)
            | Self::Loop(_)
            | Self::Part(_)
            | Self::Subvol(_)
            | Self::Crypt(_) => None,
        }
    }

    /// Whether it lies on the root's own file system, which is writable below the overlay then.
    pub fn is_on_root(&self) -> bool {
        match self {
            Self::Subvol(_) => true,
            Self::Off
            | Self::Tmpfs(_)
            | Self::Device(_)
            | Self::Dir(_)
            | Self::Loop(_)
            | Self::Part(_)
            | Self::Crypt(_) => self.path_in_root().is_some(),
        }
    }

    /// What the doctor says of its room. `ram`, `swap`: bytes of the machine.
    pub fn diagnosed(&self, facts: &Facts, ram: u64, swap: u64) -> Option<Diagnosis> {
        match self {
            Self::Tmpfs(tmpfs) => tmpfs::diagnosed(tmpfs, ram, swap),
            Self::Loop(file) => file.diagnosed(facts),
            Self::Dir(_) | Self::Subvol(_) => root_fs::diagnosed(facts, false),
            Self::Off | Self::Device(_) | Self::Part(_) | Self::Crypt(_) => None,
        }
    }

    /// Whether all that is in it is gone at the next boot.
    pub fn is_in_ram(&self) -> bool {
        match self {
            Self::Tmpfs(_) => true,
            Self::Off
            | Self::Device(_)
            | Self::Dir(_)
            | Self::Loop(_)
            | Self::Part(_)
            | Self::Subvol(_)
            | Self::Crypt(_) => false,
        }
    }

    /// As it is written for `rd.overlay=`, whoever said it and how.
    pub fn as_argument(&self) -> String {
        match self {
            Self::Off | Self::Crypt(_) => "0".to_owned(),
            Self::Tmpfs(tmpfs) => tmpfs.as_argument(),
            Self::Device(device) => device.to_string(),
            Self::Dir(dir) => format!("dir:{dir}"),
            Self::Loop(file) => format!("loop:{file}"),
            Self::Part(part) => format!("part:{part}"),
            Self::Subvol(subvol) => format!("subvol:{subvol}"),
        }
    }

    /// Why it is refused on every machine.
    pub fn refused(&self) -> Option<Refusal> {
        match self {
            Self::Crypt(spec) => Some(refusal::crypt(spec)),
            Self::Off
            | Self::Tmpfs(_)
            | Self::Device(_)
            | Self::Dir(_)
            | Self::Loop(_)
            | Self::Part(_)
            | Self::Subvol(_) => None,
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
        _ => [head, &lower, &upper].iter().find_map(|head| suggest(head, KINDS)),
    };
    let all = "tmpfs, dir:PATH, loop:PATH, part:LABEL, subvol:NAME, LABEL=NAME, UUID=ID, PARTLABEL=NAME, PARTUUID=ID, /dev/PATH";
    match near {
        Some(near) => Problem::new("unknown upper type", Some(near)),
        None => Problem::new(format!("unknown upper type, not one of {all}"), None),
    }
}

#[cfg(test)]
mod tests;
