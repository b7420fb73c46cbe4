// SPDX-License-Identifier: GPL-2.0-or-later
//! The file system layouts that a lower root may have.

use serde::Deserialize;

use crate::disk_spec::FsKind;

/// The file system layout of the lower root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootKind {
    /// One ext4 file system, `LABEL=root`.
    #[default]
    Ext4,
    /// The same, made ready for project quotas as the manual says.
    Ext4Quota,
    /// One xfs file system.
    Xfs,
    /// One btrfs file system.
    Btrfs,
    /// One btrfs file system as Fedora makes it: the root in the subvolume `root`, /home in `home`. It has
    /// room for large files, and needs `rootflags=subvol=root`.
    BtrfsSubvol,
    /// ext4, with /usr on a file system of its own, `LABEL=usr`.
    SplitUsr,
    /// ext4 on the first partition of a GPT, with room behind it.
    Gpt,
    /// The same in an MBR.
    Mbr,
    /// What a server exports: ext4, with nothing in its fstab.
    Export,
    /// The same as an image.
    Squashfs,
    /// The same as an image.
    Erofs,
}

impl RootKind {
    /// The kind of the root's own file system.
    #[must_use]
    pub fn fs(self) -> FsKind {
        match self {
            Self::Ext4 | Self::Ext4Quota | Self::SplitUsr | Self::Gpt | Self::Mbr | Self::Export => FsKind::Ext4,
            Self::Squashfs | Self::Erofs => FsKind::None,
            Self::Xfs => FsKind::Xfs,
            Self::Btrfs | Self::BtrfsSubvol => FsKind::Btrfs,
        }
    }
}
