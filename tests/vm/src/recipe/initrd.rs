// SPDX-License-Identifier: GPL-2.0-or-later
//! An initramfs, by the tree's own dracut: what is added, what is left out.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cell::{Initrd, Suite, Variant};
use crate::engine::Engine;
use crate::host;
use crate::images::Image;
use crate::recipe::{Builder, kernel_version};

/// Modules left out: none is tested, and building is quicker without them. Debian
/// 12 forces ifcfg, which pulls the network and systemd into a shell initrd.
const OMIT: &str = "plymouth crypt lvm mdraid multipath iscsi dmraid nfs nbd network network-legacy \
network-manager systemd-networkd systemd-network-management ifcfg bluetooth lunmask cifs fcoe \
fcoe-uefi biosdevname i18n resume qemu-net drm rngd nvmf livenet connman url-lib \
kernel-network-modules nvdimm virtiofs virtfs terminfo hwdb";
/// Those of them that a root over the network needs, whatever configures it.
const NETWORK: [&str; 7] = ["network", "nfs", "nbd", "livenet", "url-lib", "qemu-net", "kernel-network-modules"];
const OMIT_SYSTEMD: &str = "systemd systemd-initrd dracut-systemd systemd-udevd systemd-journald \
systemd-sysctl systemd-modules-load systemd-tmpfiles systemd-sysusers systemd-ask-password dbus \
dbus-daemon dbus-broker";
const DRIVERS: &str = "virtio_blk virtio_pci virtio_console virtio_net virtio_balloon loop";
/// Its disks need none.
const DRIVERS_UML: &str = "loop";
const FILESYSTEMS: &str = "ext4 xfs btrfs squashfs erofs overlay vfat nls_ascii nls_cp437";

/// dracut's module that configures the network, where one is wanted. networkd never starts the root's handler in
/// dracut 059: its module has no hook there.
fn backend(suite: Suite, initrd: Initrd, variant: Variant) -> Option<&'static str> {
    match (variant, suite, initrd) {
        (Variant::Netnm, ..) => Some("network-manager"),
        (Variant::Net | Variant::Stocknet, Suite::Trixie | Suite::Sid, Initrd::Systemd) => Some("systemd-networkd"),
        // network-legacy is gone
        (Variant::Net | Variant::Stocknet, Suite::Sid, Initrd::Shell) => Some("network-manager"),
        (Variant::Net | Variant::Stocknet, ..) => Some("network-legacy"),
        _ => None,
    }
}

/// dracut's modules that are added, and those that are omitted.
fn modules(suite: Suite, initrd: Initrd, variant: Variant) -> (String, String) {
    let mut omit = OMIT.to_owned();
    if initrd == Initrd::Shell {
        omit.push_str(&format!(" {OMIT_SYSTEMD}"));
    }
    let mut add = String::from("vm-probe ");
    if let Some(backend) = backend(suite, initrd, variant) {
        omit = omit.split(' ').filter(|name| !NETWORK.contains(name) && *name != backend).collect::<Vec<_>>().join(" ");
        add.push_str(&format!("{} {backend} ", NETWORK.join(" ")));
    }
    if initrd == Initrd::Systemd && suite >= Suite::Trixie {
        // sulogin's wrapper, which emergency.service needs from dracut 106 on
        add.push_str("systemd-emergency ");
    }
    match variant {
        Variant::Plain | Variant::Mkfs | Variant::Containers | Variant::Selinux => {
            add.push_str("overlayroot-rs");
            omit.push_str(" overlayfs");
        }
        Variant::Crypt => {
            add.push_str("overlayroot-rs crypt");
            omit = omit.replace(" crypt ", " ") + " overlayfs";
        }
        Variant::Net | Variant::Netnm => add.push_str("overlayroot-rs dmsquash-live"),
        Variant::Stock => add.push_str("overlayroot-rs overlayfs"),
        Variant::Live => add.push_str("overlayroot-rs overlayfs dmsquash-live"),
        Variant::Stockonly => add.push_str("overlayfs"),
        Variant::Stocknet => add.push_str("overlayfs dmsquash-live"),
        Variant::Bare | Variant::Package => omit.push_str(" overlayfs"),
    }
    (add, omit)
}

/// As in dracut.conf, where it would count for the other images as well.
fn settings(command: &mut Command, variant: Variant) {
    match variant {
        Variant::Mkfs | Variant::Containers => command.args([
            "env",
            "overlayroot_mkfs=ext4 xfs btrfs sfdisk",
            "overlayroot_quota=yes",
            "overlayroot_populate=local",
            "overlayroot_commit=yes",
            "overlayroot_thaw=yes",
            "overlayroot_tries=yes",
        ]),
        // both bring overlay-image, which looks at an image before it is mounted
        Variant::Net => command.args(["env", "overlayroot_populate=yes", "overlayroot_mkfs=ext4"]),
        Variant::Netnm => command.args(["env", "overlayroot_image=yes"]),
        Variant::Plain
        | Variant::Stock
        | Variant::Live
        | Variant::Stockonly
        | Variant::Stocknet
        | Variant::Bare
        | Variant::Selinux
        | Variant::Crypt
        | Variant::Package => command,
    };
}

impl Builder<'_> {
    pub(super) fn initrd(&self, tree: &Path, (initrd, variant, engine): Image, path: &Path) -> Result<()> {
        let name = path.file_name().context("no name")?;
        let (add, omit) = modules(self.suite, initrd, variant);
        let mut command = self.in_root(tree);
        settings(&mut command, variant);
        command.args(["dracut", "--force", "--no-hostonly", "--no-hostonly-cmdline", "--no-early-microcode"]);
        let (version, drivers) = match engine {
            Engine::Uml => (self.host.uml()?.version.clone(), DRIVERS_UML),
            Engine::Qemu => (kernel_version(tree)?, DRIVERS),
        };
        // its own level, 15, takes a third of the time that an image does
        command.args(["--compress", "zstd -3 -q -T0", "--kver", &version]);
        command.args(["--add", &add, "--omit", &omit]);
        command.args(["--add-drivers", drivers, "--filesystems", FILESYSTEMS]);
        let log = host::run(command.arg(Path::new("/run/out").join(name)))?;
        fs::write(path.with_extension("log"), log)?;
        Ok(())
    }
}
