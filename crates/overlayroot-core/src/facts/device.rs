// SPDX-License-Identifier: GPL-2.0-or-later
//! A block device that was asked for, as a fact.

use serde::{Deserialize, Serialize};

/// The block device found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// Its node.
    pub path: String,
    /// `major:minor`.
    pub devno: String,
    /// `major:minor` of each device of its file system, where it has several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Type of the file system on it as libblkid sees it; empty where none is recognised.
    pub fstype: String,
    /// UUID of that; empty where it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uuid: String,
    /// Whether the file system can fold the case of names ([`Kernel::takes_casefold`]).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub casefold: bool,
    /// Where it is mounted already, our own places excepted.
    pub mounted_at: Vec<String>,
    /// Where a file system with its UUID is mounted from other devices.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub twin_at: Vec<String>,
    /// Devices built on it, or on another of its file system (`/sys/class/block/*/holders`).
    pub held_by: Vec<String>,
    /// Whether a device of it refuses writes.
    pub read_only: bool,
    /// Milliseconds waited for it.
    pub waited_ms: u64,
}

/// How the search for a device ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lookup {
    /// One device fits.
    Found(Device),
    /// None appeared.
    Missing {
        /// Milliseconds waited.
        waited_ms: u64,
        /// Nodes of encrypted volumes that are not open: it may lie in one of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        closed: Vec<String>,
    },
    /// It lies in an encrypted volume, and who was to open that has given up.
    Locked {
        /// Who.
        by: GaveUp,
        /// Milliseconds waited.
        waited_ms: u64,
    },
    /// Several fit, and nothing says which is meant.
    Ambiguous(Vec<String>),
    /// The path names something that is no block device.
    NotBlock(String),
    /// A btrfs of several devices, of which some did not appear.
    Incomplete {
        /// Nodes of those that did.
        nodes: Vec<String>,
        /// How many it has.
        of: u64,
        /// Milliseconds waited.
        waited_ms: u64,
    },
}

impl Lookup {
    /// The device, where it is one.
    pub fn found(&self) -> Option<&Device> {
        if let Self::Found(device) = self { Some(device) } else { None }
    }

    /// What the initramfs of the next boot will find ([`Device::before_fstab`]).
    pub fn before_fstab(self) -> Self {
        if let Self::Found(device) = self { Self::Found(device.before_fstab()) } else { self }
    }
}

/// Who was to open an encrypted volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GaveUp {
    /// A unit of systemd's, by its name.
    Unit(String),
    /// dracut's own `cryptroot-ask`, in an initramfs without systemd.
    Dracut,
}
