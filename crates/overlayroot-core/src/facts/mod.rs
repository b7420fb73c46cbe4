// SPDX-License-Identifier: GPL-2.0-or-later
//! What the machine looks like: filled by `overlayroot-linux`'s probe, or by a test's JSON.

pub mod device;
pub mod disk;
pub mod fetched;
pub mod file_system;
pub mod free_space;
pub mod identity;
pub mod image;
pub mod live_image;
pub mod nfs;
pub mod other_overlays;
pub mod place;
pub mod wanted;

use crate::facts::device::Lookup;
use crate::facts::disk::Disk;
use crate::facts::fetched::Fetched;
use crate::facts::image::Image;
use crate::facts::live_image::Live;
use crate::facts::place::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything the plan depends on besides the configuration.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// The mounted root, or `None` where nothing is mounted yet.
    pub root: Option<Root>,
    /// The kernel.
    pub kernel: Kernel,
    /// The device asked for as upper, or to hold the loop file; `None` where none was asked for.
    pub device: Option<Lookup>,
    /// What lies at the path asked for as upper; `None` where none was asked for.
    pub place: Option<Place>,
    /// The root's disk, where a partition of it is asked for as upper; `None` where none was asked for.
    pub disk: Option<Disk>,
    /// Programs for making file systems in this initramfs, as `mkfs.ext4`.
    pub mkfs: Vec<String>,
    /// The image under the root, where its checksum is asked for; `None` where it is no image.
    pub image: Option<Image>,
    /// What was fetched for `root=live:URL`, where it was ours to fetch.
    pub fetched: Option<Fetched>,
    /// Others that make the root an overlay, or want to.
    pub rivals: Vec<Rival>,
    /// Files of dracut's stock overlayfs hooks in this initramfs.
    pub stock_hooks: Vec<String>,
    /// What already stands where our own mounts and links go.
    pub premade: Vec<Premade>,
    /// What tells this machine from others, as far as a value asks for it.
    pub node: Node,
    /// What there is for an archive, where one is asked for.
    pub archive: Archive,
    /// What lies in the root at each path that has a policy of its own; one that is not in it has nothing.
    pub paths: BTreeMap<String, Place>,
    /// The devices asked for to keep paths, by the words that name them.
    pub stores: BTreeMap<String, Lookup>,
}

impl Facts {
    /// Whether a file system that the plan may use can fold the case of names.
    pub fn folds(&self) -> bool {
        let mut found = self.device.iter().chain(self.stores.values()).filter_map(Lookup::found);
        self.root.as_ref().is_some_and(|root| root.casefold)
            || self.place.as_ref().is_some_and(|place| place.casefold)
            || found.any(|device| device.casefold)
    }
}

/// What populating an upper depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Archive {
    /// Programs that can be run here, of those that it takes.
    pub programs: Vec<String>,
    /// dracut's `proxy=`.
    pub proxy: Option<String>,
    /// An archive that is to lie in the root, and does not.
    pub missing: bool,
}

/// What tells one machine from another. A value that nothing asks for is not looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Node {
    /// Name in `ip=` of the command line, or the kernel's; `None` where nobody has set one.
    pub hostname: Option<String>,
    /// Hardware address of the interface it booted from, in lower case with colons.
    pub mac: Option<String>,
    /// Serial number in its firmware.
    pub serial: Option<String>,
    /// UUID in its firmware, in lower case.
    pub uuid: Option<String>,
    /// First address of that interface, IPv4 before IPv6, link-local ones left out.
    pub ip: Option<String>,
}

/// The root as the initramfs mounted it: the lower to be.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Root {
    /// Source in mountinfo.
    pub source: String,
    /// File system type.
    pub fstype: String,
    /// `major:minor` of the superblock; a number that the kernel made up where that has no device of its own.
    pub devno: String,
    /// `major:minor` of each device of its file system; empty where `devno` is the one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<String>,
    /// Whether the superblock can be written.
    pub writable: bool,
    /// Mounts below the root, outermost first, relative to it (`/usr`).
    pub submounts: Vec<String>,
    /// fstab of the root.
    pub fstab: String,
    /// Whether it asks SELinux to label it anew (`/.autorelabel`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub autorelabel: bool,
    /// Whether its file system can fold the case of names; not looked at where that does not matter
    /// ([`Kernel::takes_casefold`]): this kernel has mounted it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub casefold: bool,
    /// Bytes of its file system.
    pub bytes: u64,
    /// Bytes of it that are free to everybody.
    pub free: u64,
    /// Whether it can hold a directory to a size.
    pub project_quota: ProjectQuota,
    /// Subvolume of a btrfs root, from the top level of its file system on; `/` where it is the top level,
    /// empty for other file systems.
    pub subvolume: String,
    /// What the lower is, to tell a stale upper later.
    pub fingerprint: Fingerprint,
    /// The overlay over an image, which is the lower; everything else here is of the image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
}

/// What a file system can do about project quotas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProjectQuota {
    /// Nothing as it is.
    #[default]
    None,
    /// They can be switched on while it is mounted (ext4 with the features `quota` and `project`).
    Remount,
    /// They are on.
    On,
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
    /// When this was taken, seconds since 1970: the clock, or the latest change seen on the lower where
    /// that is later (no clock is right in the initramfs of a machine without one). 0 for unknown.
    pub taken: i64,
}

/// What the kernel can do.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Kernel {
    /// Release, as `uname -r` prints it.
    pub release: String,
    /// Whether overlayfs is there or can be loaded.
    pub overlay: bool,
    /// Overlay features this kernel has (the same files), by the names of their mount options. It refuses an option
    /// that it does not know.
    pub features: Vec<String>,
    /// Overlay features this kernel switches on by itself (`/sys/module/overlay/parameters`);
    /// a kept upper over a lower that may be updated must not use them (kernel: overlayfs.rst).
    pub on_by_default: Vec<String>,
    /// Whether it mounts no file system that can fold the case of names: it was built without CONFIG_UNICODE. Not looked
    /// at where there is none ([`Facts::folds`]).
    pub no_unicode: bool,
}

impl Kernel {
    /// Whether it is older than that.
    pub fn before(&self, major: u32, minor: u32) -> bool {
        let mut numbers = self.release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) < (major, minor)
    }

    /// Whether overlayfs takes a layer on a file system that can fold the case of names. Before Linux 6.17 it
    /// refuses the whole file system, from then on directories that do fold (kernel: fs/overlayfs/params.c).
    pub fn takes_casefold(&self) -> bool {
        !self.before(6, 17)
    }
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
