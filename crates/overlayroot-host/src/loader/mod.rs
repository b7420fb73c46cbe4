// SPDX-License-Identifier: GPL-2.0-or-later
//! Kernel arguments on a host: which boot loader it has, what its files say, and the edits that put our arguments
//! there or take them away. Texts in, texts out; `overlayctl` reads and writes.

pub mod ask;
mod bls;
mod bls_entries;
pub mod bls_text;
pub mod boot_loader;
mod change;
mod cmdline_txt;
mod detect;
pub mod diff;
mod edits;
pub mod entry;
pub mod extlinux;
pub mod generator;
mod grub_d;
pub mod grub_files;
mod grubby;
pub mod grubmenu;
pub mod handed;
mod kernel_install;
pub mod line;
pub mod own;
mod picked;
pub mod place;
mod raspi_firmware;
pub mod raspi_hook;
pub mod state;

pub use change::{Edit, Plan};
pub use cmdline_txt::AUTO as AUTO_INITRAMFS;
pub use edits::{module, plan};

use boot_loader::BootLoader;
use std::collections::{BTreeMap, BTreeSet};

/// Where a host keeps its kernel arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// grubby does it (Fedora, RHEL).
    Grubby,
    /// Boot loader entries, read by GRUB.
    Bls,
    /// Boot loader entries that kernel-install makes from /etc/kernel/cmdline (systemd-boot, unified images).
    KernelInstall,
    /// /etc/default/grub.d and update-grub (Debian, Ubuntu).
    GrubD,
    /// Debian's raspi-firmware, whose hook writes cmdline.txt anew.
    RaspiFirmware,
    /// cmdline.txt of a Raspberry Pi.
    CmdlineTxt,
    /// extlinux.conf (U-Boot's distro boot).
    Extlinux,
}

impl Kind {
    /// Every kind, in the order in which they are looked for.
    pub const ALL: [Kind; 7] = [
        Kind::Grubby,
        Kind::Bls,
        Kind::KernelInstall,
        Kind::GrubD,
        Kind::RaspiFirmware,
        Kind::CmdlineTxt,
        Kind::Extlinux,
    ];

    /// What answers for it.
    pub fn loader(self) -> &'static dyn BootLoader {
        match self {
            Kind::Grubby => &grubby::Grubby,
            Kind::Bls => &bls::Bls,
            Kind::KernelInstall => &kernel_install::KernelInstall,
            Kind::GrubD => &grub_d::GrubD,
            Kind::RaspiFirmware => &raspi_firmware::RaspiFirmware,
            Kind::CmdlineTxt => &cmdline_txt::CmdlineTxt,
            Kind::Extlinux => &extlinux::Extlinux,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        self.loader().word()
    }

    /// What it is, for a sentence.
    pub fn says(self) -> &'static str {
        self.loader().says()
    }
}

/// What kernel-install gives to entries that it makes.
pub const KERNEL_CMDLINE: &str = "etc/kernel/cmdline";
/// Debian's configuration of GRUB.
pub const DEFAULT_GRUB: &str = "etc/default/grub";
/// Its drop-ins.
pub const GRUB_D: &str = "etc/default/grub.d/";
/// What update-grub writes.
pub const GRUB_CFG: [&str; 2] = ["boot/grub/grub.cfg", "boot/grub2/grub.cfg"];
/// GRUB's environment block.
pub const GRUBENV: [&str; 2] = ["boot/grub2/grubenv", "boot/grub/grubenv"];
/// The Pi's file; the firmware reads the partition that Debian mounts at /boot/firmware, Raspberry Pi OS before 12 at /boot.
pub const CMDLINE_TXT: [&str; 2] = ["boot/firmware/cmdline.txt", "boot/cmdline.txt"];
/// U-Boot's menu.
pub const EXTLINUX: &str = "boot/extlinux/extlinux.conf";
/// Has the module put into every initramfs.
pub const MODULE: &str = "etc/dracut.conf.d/50-overlayroot-rs.conf";
/// The text of that file.
pub const MODULE_TEXT: &str = include_str!("../../../../dracut/50-overlayroot-rs.conf");
/// Of several systems that share one partition of entries, which this is.
pub const MACHINE_ID: &str = "etc/machine-id";

/// Where the firmware's variables are.
pub const EFI_VARIABLES: &str = "sys/firmware/efi/efivars/";
/// What systemd-boot is told by `bootctl set-oneshot`, `set-preferred` and `set-default`, in this order.
pub const EFI_DEFAULTS: [&str; 3] = [
    "sys/firmware/efi/efivars/LoaderEntryOneShot-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
    "sys/firmware/efi/efivars/LoaderEntryPreferred-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
    "sys/firmware/efi/efivars/LoaderEntryDefault-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f",
];
/// Which boot loader started this boot, as systemd-boot and GRUB's module bli leave it.
pub const EFI_LOADER: &str = "sys/firmware/efi/efivars/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
/// Where unified images lie, which systemd-boot lists beside the entries.
pub const UNIFIED: [&str; 3] = ["boot/EFI/Linux/", "efi/EFI/Linux/", "boot/efi/EFI/Linux/"];
/// Configuration of systemd-boot.
pub const LOADER_CONF: [&str; 3] = ["boot/loader/loader.conf", "efi/loader/loader.conf", "boot/efi/loader/loader.conf"];
/// What Ubuntu's overlayroot reads in the root.
pub const UBUNTU: [&str; 2] = ["etc/overlayroot.conf", "etc/overlayroot.local.conf"];
/// Our own configuration file.
pub const CONF: &str = "etc/overlayroot-rs.conf";
/// Its drop-ins.
pub const CONF_D: &str = "etc/overlayroot-rs.conf.d/";

/// Files to read, if they are there.
pub const FILES: [&str; 32] = [
    UBUNTU[0],
    UBUNTU[1],
    EFI_DEFAULTS[0],
    EFI_DEFAULTS[1],
    EFI_DEFAULTS[2],
    EFI_LOADER,
    KERNEL_CMDLINE,
    DEFAULT_GRUB,
    "boot/grub/grub.cfg",
    "boot/grub2/grub.cfg",
    "boot/grub2/grubenv",
    "boot/grub/grubenv",
    "boot/firmware/cmdline.txt",
    "boot/cmdline.txt",
    "boot/firmware/config.txt",
    "boot/config.txt",
    EXTLINUX,
    MODULE,
    MACHINE_ID,
    "usr/lib/kernel/cmdline",
    "boot/loader/loader.conf",
    "efi/loader/loader.conf",
    "boot/efi/loader/loader.conf",
    "etc/default/u-boot",
    CONF,
    raspi_hook::HOOK,
    raspi_hook::DEFAULT,
    raspi_hook::EXTRA,
    generator::UPDATE_INITRAMFS,
    generator::INSTALL_CONF[0],
    generator::INSTALL_CONF[1],
    generator::DEBIAN,
];

/// Directories to read, and how the files in them that count end.
pub const DIRECTORIES: [(&str, &str); 5] = [
    ("boot/loader/entries/", ".conf"),
    ("efi/loader/entries/", ".conf"),
    ("boot/efi/loader/entries/", ".conf"),
    (GRUB_D, ".cfg"),
    (CONF_D, ".conf"),
];

/// Programs to look for.
pub const PROGRAMS: [&str; 9] = [
    "grubby",
    "update-grub",
    "kernel-install",
    "bootctl",
    "dracut",
    "update-initramfs",
    "update-tirfs",
    "mkinitcpio",
    "booster",
];

/// A host's files, as far as they are there; every path without the leading slash.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// [`FILES`], and those of [`DIRECTORIES`].
    pub files: BTreeMap<String, Vec<u8>>,
    /// Those of [`PROGRAMS`] that it has.
    pub programs: BTreeSet<String>,
    /// It is the running system, in which programs can be run.
    pub live: bool,
    /// The running system was started by no EFI, and so not by systemd-boot.
    pub no_efi: bool,
    /// It has a directory /etc/default/grub.d.
    pub has_grub_d: bool,
    /// Unified images, by the names of their files in [`UNIFIED`].
    pub unified: BTreeSet<String>,
    /// Those of [`generator::HOOKS`] that are run.
    pub hooks: BTreeSet<String>,
    /// The device of the running system's root, or of the lower below it, where it is one device that a kernel can be
    /// told as `root=`.
    pub root_device: Option<String>,
}

impl Tree {
    /// The first of these that is there.
    pub fn first(&self, paths: &[&str]) -> Option<(&str, &[u8])> {
        let found = paths.iter().find_map(|path| self.files.get_key_value(*path));
        found.map(|(path, text)| (path.as_str(), text.as_slice()))
    }

    /// The Pi's file: the one beside a config.txt, for where the partition is not mounted Raspberry Pi OS has a file of
    /// that name which says so.
    pub fn cmdline_txt(&self) -> Option<(&str, &[u8])> {
        let config = |path: &str| path.replace("cmdline.txt", "config.txt");
        let found = CMDLINE_TXT.iter().find(|path| self.files.contains_key(&config(path)));
        found.and_then(|path| self.first(&[path]))
    }

    /// Whether it has one of [`PROGRAMS`].
    pub fn has(&self, program: &str) -> bool {
        self.programs.contains(program)
    }

    /// All entries of the Boot Loader Specification, by their path.
    pub fn all_entries(&self) -> Vec<(&str, &[u8])> {
        let inside = |path: &str| path.contains("/entries/") || path.starts_with("boot/loader/entries/");
        let found = self.files.iter().filter(|(path, _)| inside(path));
        found.map(|(path, text)| (path.as_str(), text.as_slice())).collect()
    }

    /// Those that boot a kernel of this system.
    pub fn entries(&self) -> Vec<(&str, &[u8])> {
        self.all_entries().into_iter().filter(|(_, text)| self.is_own(text)).collect()
    }

    /// Whether an entry boots a kernel, and is no other system's on the same partition.
    pub fn is_own(&self, text: &[u8]) -> bool {
        let id = self.files.get(MACHINE_ID).map(|id| String::from_utf8_lossy(id).trim().to_owned());
        let kernel = bls_text::value(text, "linux").is_some();
        match (bls_text::value(text, "machine-id"), id) {
            (Some(theirs), Some(own)) if own.len() == 32 => kernel && theirs == own,
            _ => kernel,
        }
    }

    /// Whether GRUB is here.
    pub fn has_grub(&self) -> bool {
        self.first(&GRUBENV).is_some() || self.first(&GRUB_CFG).is_some() || self.files.contains_key(DEFAULT_GRUB)
    }

    /// Which kind this host is, and by what that is seen.
    ///
    /// # Errors
    /// None of them, or two.
    pub fn detect(&self) -> Result<(Kind, String), String> {
        let grubby = Kind::Grubby.loader().detect(self).is_some();
        if let Some(why) = self.two_loaders().filter(|_| !grubby) {
            return Err(format!("{why}; say it: --boot-loader grub.d or kernel-install"));
        }
        let found = Kind::ALL.iter().find_map(|kind| Some((*kind, kind.loader().detect(self)?)));
        found.ok_or_else(|| self.unknown())
    }

    fn unknown(&self) -> String {
        match self.files.contains_key(DEFAULT_GRUB) {
            true => format!(
                "GRUB without boot loader entries, grubby and /{GRUB_D}: put the arguments into GRUB_CMDLINE_LINUX in \
                 /{DEFAULT_GRUB} and run grub-mkconfig"
            ),
            false => "unsupported boot loader (looked for grubby, boot loader entries, /etc/kernel/cmdline, \
                      /etc/default/grub.d, cmdline.txt, extlinux.conf): add the arguments by hand, or put them \
                      into /etc/overlayroot-rs.conf and rebuild the initramfs"
                .to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
