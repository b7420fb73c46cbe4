// SPDX-License-Identifier: GPL-2.0-or-later
//! A disk as a case file describes it.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde::Deserialize;

/// The file system made on a case's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FsKind {
    /// ext4 without reserved blocks.
    Ext4,
    /// xfs; at least 300M.
    Xfs,
    /// btrfs; at least 120M.
    Btrfs,
    /// FAT.
    Vfat,
    /// A swap signature.
    Swap,
    /// Nothing: zeroes.
    None,
}

/// A disk of the case. The first is /dev/vdb, the second /dev/vdc.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// Also the serial: /dev/disk/by-id/virtio-NAME.
    pub name: String,
    /// As truncate(1) takes it.
    pub size: String,
    /// What is made on it.
    pub fs: FsKind,
    /// File system label.
    pub label: Option<String>,
    /// File system UUID.
    pub uuid: Option<String>,
    /// Name of the partition; the disk gets a partition table.
    pub partlabel: Option<String>,
    /// UUID of the partition; the disk gets a partition table.
    pub partuuid: Option<String>,
    /// Plugged in that many seconds after `wait_for` was seen on the console.
    pub late: Option<u64>,
    /// Text on the console after which `late` counts.
    #[serde(default = "default_wait")]
    pub wait_for: String,
    /// Shell lines run on the host over `$IMG` before the first boot; `$VM` is this program.
    pub prepare: Option<String>,
    /// Files put on it: path to text.
    #[serde(default)]
    pub populate: BTreeMap<String, String>,
    /// No boot may change a byte of it.
    #[serde(default)]
    pub unchanged: bool,
    /// Its file system must be cleanly unmounted after each boot.
    #[serde(default)]
    pub clean: bool,
    /// Shell lines run on the host over `$IMG` after the last boot.
    pub after: Option<String>,
}

fn default_wait() -> String {
    "waiting up to".to_owned()
}

impl Disk {
    pub(crate) fn validate(&self) -> Result<()> {
        let word = self.name.chars().all(|c| c.is_ascii_alphanumeric());
        let name = &self.name;
        ensure!(word && name != "holds" && name.len() <= 20, "disk name {name:?}");
        let bare = !self.is_partitioned() || self.prepare.is_none();
        ensure!(bare, "prepare works on a disk without partitions only");
        Ok(())
    }

    /// Whether the disk has a partition table.
    #[must_use]
    pub fn is_partitioned(&self) -> bool {
        self.partlabel.is_some() || self.partuuid.is_some()
    }
}
