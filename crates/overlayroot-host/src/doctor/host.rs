// SPDX-License-Identifier: GPL-2.0-or-later
//! What the host tells the doctor besides the facts.

use crate::doctor::labels::Selinux;
use crate::doctor::loader::Loader;
use crate::doctor::stack::Layer;
use crate::loader::generator::Makes;
use overlayroot_core::facts::Fingerprint;
use overlayroot_core::facts::file_system::FileSystem;
use std::collections::BTreeMap;

/// What the host tells besides [`Facts`](overlayroot_core::facts::Facts).
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Bytes of RAM.
    pub ram: u64,
    /// Bytes of swap in use by the running system.
    pub swap: u64,
    /// The kernels that may boot next.
    pub kernels: Vec<KernelImage>,
    /// Others that make overlays and are installed, in words.
    pub others: Vec<String>,
    /// Fingerprint stored with the upper of this boot, and the lower as this boot found it.
    pub upper: Option<(Fingerprint, Fingerprint)>,
    /// `/boot` lies in the overlay that runs now.
    pub boot_in_overlay: bool,
    /// What is a mount of its own beside the overlay that runs now, where the boot loader looks: `/boot`, or the Pi's
    /// `/boot/firmware`.
    pub boot_apart: Option<String>,
    /// cloud-init is installed, and its module that enlarges the file system of `/` is to run.
    pub cloud_resizes: bool,
    /// What a pull needs and the root lacks: programs, and the file of allowed signers.
    pub lacking: Vec<String>,
    /// What `overlayctl commit` or `revert` asked the next boot for, and why that will be refused, where it is known.
    pub request: Option<(String, Option<String>)>,
    /// What is not known of the next boot, each with the reason.
    pub not_known: Vec<String>,
    /// Why the next boot loads no initramfs with the module, where that is known.
    pub lacking_module: Option<String>,
    /// The initramfs that the next boot loads, where that is known.
    pub next_image: Option<String>,
    /// Who makes the initramfs of kernels to come.
    pub makes: Makes,
    /// The `root=` of the next boot and its file, where it names the overlay itself.
    pub lost_root: Option<String>,
    /// The boot loader.
    pub loader: Option<Loader>,
    /// Whether devices can be read.
    pub is_root: bool,
    /// Storage of containers that is there: its directory, and whether that is a file system of its own.
    pub stores: Vec<(String, bool)>,
    /// Storage of containers that has whiteouts or marks of overlayfs in the lower, that of users among it.
    pub marked: Vec<String>,
    /// Swap files in use.
    pub swap_files: Vec<String>,
    /// The file systems that the lower's fstab names, by the words that name them, as far as they are here.
    pub sources: BTreeMap<String, FileSystem>,
    /// What of LVM and LUKS devices lie on, by their `major:minor`.
    pub stacks: BTreeMap<String, Vec<Layer>>,
    /// What SELinux is to do, where its policy is there.
    pub selinux: Option<Selinux>,
}

impl Host {
    /// Whether what fstab names is that file system.
    pub(crate) fn names(&self, what: &str, file_system: &FileSystem) -> bool {
        let by_uuid = what.strip_prefix("UUID=").map(|uuid| uuid.trim_matches('"'));
        let by_uuid = by_uuid.filter(|uuid| !uuid.is_empty() && uuid.eq_ignore_ascii_case(&file_system.uuid));
        by_uuid.is_some() || self.sources.get(what).is_some_and(|source| source.is(file_system))
    }
}

/// A kernel and its initramfs.
#[derive(Debug, Clone)]
pub struct KernelImage {
    /// Release, as `uname -r` prints it.
    pub release: String,
    /// Those of [`MODULES`] that it has, built in or as a file; `None` where its modules can't be listed.
    pub has: Option<Vec<String>>,
    /// Those that it has built in.
    pub builtin: Vec<String>,
    /// Path of the initramfs, where one was found.
    pub image: Option<String>,
    /// Names of the files in it, without directories; or why it can't be read.
    pub files: Result<Vec<String>, String>,
    /// Configuration files that have changed since it was made.
    pub newer: Vec<String>,
}

/// Kernel modules that an upper may need.
pub const MODULES: [&str; 7] = ["overlay", "loop", "quota_v2", "ext4", "xfs", "btrfs", "f2fs"];
