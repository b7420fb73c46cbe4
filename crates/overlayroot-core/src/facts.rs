// SPDX-License-Identifier: GPL-2.0-or-later
//! What the machine looks like: filled by `overlayroot-linux`'s probe, or by a test's JSON.

use serde::{Deserialize, Serialize};

/// Everything the plan depends on besides the configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// The mounted root, or `None` where nothing is mounted yet.
    pub root: Option<Root>,
    /// The kernel.
    pub kernel: Kernel,
    /// The device asked for as upper; `None` where none was asked for.
    pub device: Option<Lookup>,
    /// Others that make the root an overlay, or want to.
    pub rivals: Vec<Rival>,
    /// Files of dracut's stock overlayfs hooks in this initramfs.
    pub stock_hooks: Vec<String>,
    /// What already stands where our own mounts and links go.
    pub premade: Vec<Premade>,
}

/// The root as the initramfs mounted it: the lower to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Root {
    /// Source in mountinfo.
    pub source: String,
    /// File system type.
    pub fstype: String,
    /// `major:minor`.
    pub devno: String,
    /// Whether the superblock can be written.
    pub writable: bool,
    /// Mounts below the root, outermost first, relative to it (`/usr`).
    pub submounts: Vec<String>,
    /// fstab of the root.
    pub fstab: String,
    /// What the lower is, to tell a stale upper later.
    pub fingerprint: Fingerprint,
}

/// What tells one lower from another. Cheap to take, also over NFS.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Fingerprint {
    /// UUID of its file system, where it has one.
    pub uuid: String,
    /// File system type.
    pub fstype: String,
    /// `ID`, `VERSION_ID`, `BUILD_ID` of os-release, joined by spaces.
    pub os: String,
    /// Modification time of the package database, seconds since 1970; 0 for none.
    pub packages: i64,
}

/// What the kernel can do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// Release, as `uname -r` prints it.
    pub release: String,
    /// Whether overlayfs is there or can be loaded.
    pub overlay: bool,
    /// Overlay features this kernel switches on by itself (`/sys/module/overlay/parameters`);
    /// a kept upper over a lower that may be updated must not use them (kernel: overlayfs.rst).
    pub on_by_default: Vec<String>,
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
    },
    /// Several fit, and nothing says which is meant.
    Ambiguous(Vec<String>),
    /// The path names something that is no block device.
    NotBlock(String),
}

/// The block device found.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// Its node.
    pub path: String,
    /// `major:minor`.
    pub devno: String,
    /// Type of the file system on it as libblkid sees it; empty where none is recognised.
    pub fstype: String,
    /// Where it is mounted already, our own places excepted.
    pub mounted_at: Vec<String>,
    /// Devices built on it (`/sys/class/block/*/holders`).
    pub held_by: Vec<String>,
    /// Whether the device itself refuses writes.
    pub read_only: bool,
    /// Milliseconds waited for it.
    pub waited_ms: u64,
}

/// Somebody else's overlay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rival {
    /// Who, in words.
    pub name: String,
    /// How it was recognised.
    pub evidence: String,
}

/// Something in the place of our own mounts and links, left by dracut's stock hooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Premade {
    /// Where.
    pub path: String,
    /// What.
    pub kind: PremadeKind,
}

/// What stands at a [`Premade`] path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PremadeKind {
    /// A mount point.
    Mount,
    /// A directory.
    Directory,
    /// A symbolic link or file.
    Link,
}
