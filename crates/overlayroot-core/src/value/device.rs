// SPDX-License-Identifier: GPL-2.0-or-later
//! How a block device is named.

use crate::value::diagnostics::Problem;
use serde::{Deserialize, Serialize};
use std::fmt;

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

/// How a device is named.
pub const BY: [&str; 5] = ["LABEL=", "UUID=", "PARTLABEL=", "PARTUUID=", "/dev/"];

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

type Constructor = fn(String) -> Device;

const TAGS: [(&str, Constructor); 4] = [
    ("LABEL=", Device::Label),
    ("UUID=", Device::Uuid),
    ("PARTLABEL=", Device::PartLabel),
    ("PARTUUID=", Device::PartUuid),
];
