// SPDX-License-Identifier: GPL-2.0-or-later
//! The recipe of an image set: a tree, initramfs images by the tree's own dracut,
//! root disks.

mod initrd;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::case::{FsKind, RootKind};
use crate::cell::{Flavour, Suite};
use crate::fsimage::{self, Identity};
use crate::host::{self, Host};
use crate::images::{Image, Wanted};
use crate::parted;
use crate::payload::Payload;
use crate::roots;

const FSTAB: &str = "LABEL=root / ext4 defaults,errors=remount-ro 0 1\n";
const FSTAB_XFS: &str = "LABEL=root / xfs defaults 0 0\n";
const FSTAB_BTRFS: &str = "LABEL=root / btrfs defaults 0 0\n";
const FSTAB_SUBVOL: &str = "LABEL=root / btrfs subvol=root 0 0\nLABEL=root /home btrfs subvol=home 0 0\n";
const FSTAB_EXPORT: &str = "# the root comes over the network\n";
const FSTAB_SPLIT: &str = "LABEL=root / ext4 defaults,errors=remount-ro 0 1\nLABEL=usr /usr ext4 defaults 0 2\n";
const ROOT_SIZE: u64 = 1600 << 20;
const LARGE: u64 = 4 << 30;

/// The harness's part of the guest: source below tests/vm/guest, mode, target.
pub(crate) const GUEST: [(&str, u32, &str); 14] = [
    ("agent.sh", 0o755, "usr/lib/overlayroot-vm/agent.sh"),
    ("lib.sh", 0o644, "usr/lib/overlayroot-vm/lib.sh"),
    ("overlayroot-vm.service", 0o644, "etc/systemd/system/overlayroot-vm.service"),
    ("emergency.conf", 0o644, "etc/systemd/system/emergency.service.d/vm.conf"),
    ("sulogin.conf", 0o644, "etc/systemd/system/rescue.service.d/vm.conf"),
    ("zz-vm.rules", 0o644, "etc/udev/rules.d/zz-vm.rules"),
    ("99vm-probe/module-setup.sh", 0o755, "usr/lib/dracut/modules.d/99vm-probe/module-setup.sh"),
    ("99vm-probe/emergency.sh", 0o755, "usr/lib/dracut/modules.d/99vm-probe/emergency.sh"),
    ("99vm-probe/emergency.conf", 0o644, "usr/lib/dracut/modules.d/99vm-probe/emergency.conf"),
    ("99vm-probe/root.sh", 0o755, "usr/lib/dracut/modules.d/99vm-probe/root.sh"),
    ("99vm-probe/root-queue.sh", 0o755, "usr/lib/dracut/modules.d/99vm-probe/root-queue.sh"),
    ("99vm-probe/root-queue-done.sh", 0o755, "usr/lib/dracut/modules.d/99vm-probe/root-queue-done.sh"),
    ("99vm-probe/shutdown.sh", 0o755, "usr/lib/dracut/modules.d/99vm-probe/shutdown.sh"),
    ("99vm-probe/root-mount.sh", 0o755, "usr/lib/dracut/modules.d/99vm-probe/root-mount.sh"),
];

pub(crate) fn initrd_name((initrd, variant, engine): Image) -> String {
    format!("initrd-{initrd}-{variant}-{engine}.img")
}

pub(crate) fn root_names(kind: RootKind) -> &'static [&'static str] {
    match kind {
        RootKind::Ext4 => &["root-ext4.img"],
        RootKind::Ext4Quota => &["root-ext4-quota.img"],
        RootKind::Xfs => &["root-xfs.img"],
        RootKind::Btrfs => &["root-btrfs.img"],
        RootKind::BtrfsSubvol => &["root-btrfs-subvol.img"],
        RootKind::SplitUsr => &["root-split.img", "root-split-usr.img"],
        RootKind::Gpt => &["root-gpt.img"],
        RootKind::Mbr => &["root-mbr.img"],
        RootKind::Export => &["root-export.img"],
        RootKind::Squashfs => &["root.squashfs"],
        RootKind::Erofs => &["root.erofs"],
    }
}

pub(crate) fn kernel_version(tree: &Path) -> Result<String> {
    // user-mode Linux has its modules there and no kernel
    let names = fs::read_dir(tree.join("boot"))?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut versions = names.filter_map(|name| name.strip_prefix("vmlinuz-").map(str::to_owned));
    versions.next().context("no kernel in the root")
}

/// Makes what is not there.
pub(crate) struct Builder<'a> {
    pub(crate) host: &'a Host,
    pub(crate) suite: Suite,
    pub(crate) flavour: Flavour,
    pub(crate) payload: Option<&'a Payload>,
    pub(crate) dir: &'a Path,
}

impl Builder<'_> {
    pub(crate) fn make(&self, wanted: &Wanted) -> Result<()> {
        let tree = self.dir.join("tree");
        if !tree.exists() {
            let archive = roots::archive(self.host, roots::Root::Guest(self.suite, self.flavour))?;
            host::step(&format!("tree of {}", self.suite), || self.tree(&archive, &tree))?;
        }
        for &image in &wanted.initrds {
            let (initrd, variant, engine) = image;
            let what = format!("initramfs {}/{initrd} {variant} for {engine}", self.suite);
            self.once(&initrd_name(image), &what, |path| self.initrd(&tree, image, path))?;
        }
        for &kind in &wanted.roots {
            for name in root_names(kind) {
                let what = format!("disk {}/{name}", self.suite);
                self.once(name, &what, |path| self.disk(&tree, kind, name, path))?;
            }
        }
        Ok(())
    }

    /// Makes a file under another name first: what is there is whole.
    fn once(&self, name: &str, what: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
        let path = self.dir.join(name);
        if path.exists() {
            return Ok(());
        }
        let temporary = self.dir.join(format!("{name}.tmp"));
        host::step(what, || make(&temporary))?;
        fs::rename(temporary, path)?;
        Ok(())
    }

    fn tree(&self, archive: &Path, tree: &Path) -> Result<()> {
        let temporary = self.dir.join("tree.tmp");
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        roots::unpack(archive, &temporary)?;
        let guest = self.host.vm_dir().join("guest");
        for (source, mode, target) in GUEST {
            let mut install = Command::new("install");
            install.args(["-D", "-m", &format!("{mode:o}")]);
            host::run(install.arg(guest.join(source)).arg(temporary.join(target)))?;
        }
        let wants = temporary.join("etc/systemd/system/multi-user.target.wants");
        fs::create_dir_all(&wants)?;
        std::os::unix::fs::symlink("../overlayroot-vm.service", wants.join("overlayroot-vm.service"))?;
        if let Some(payload) = self.payload {
            if self.flavour == Flavour::Package {
                payload.leave(&temporary)?;
            } else {
                payload.install(self.in_root(&temporary), self.dir)?;
                // so that every image shows that the file is taken along
                fs::write(temporary.join("etc/overlayroot-rs.conf"), "# of the test root\n")?;
            }
        }
        // mmdebstrap leaves no identity, and files newer than systemd's stamps: without
        // these each boot over a RAM upper is a first boot, with all that is done once
        fs::write(temporary.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n")?;
        for stamp in ["etc/.updated", "var/.updated"] {
            fs::write(temporary.join(stamp), "")?;
        }
        let kernel = format!("boot/vmlinuz-{}", kernel_version(&temporary)?);
        fs::copy(temporary.join(kernel), self.dir.join("vmlinuz"))?;
        if let Ok(uml) = self.host.uml() {
            uml.install_modules(&temporary)?;
        }
        if self.flavour == Flavour::Selinux {
            self.label(&temporary)?;
        }
        fs::rename(&temporary, tree)?;
        Ok(())
    }

    /// Gives every file the label that the policy in the root has for it, as an installation does at its first boot.
    fn label(&self, tree: &Path) -> Result<()> {
        let mut command = self.in_root(tree);
        host::run(command.args(["setfiles", "-F", "/etc/selinux/default/contexts/files/file_contexts", "/"])).map(drop)
    }

    fn in_root(&self, tree: &Path) -> Command {
        let mut command = host::tied(Path::new("unshare"));
        // and without a network, also for the package's installation
        command.args(["--mount", "--pid", "--net", "--fork", "--kill-child", "--propagation=private"]);
        command.arg(self.host.vm_dir().join("host/in-root.sh")).arg(tree).arg(self.dir);
        command
    }

    fn disk(&self, tree: &Path, kind: RootKind, name: &str, path: &Path) -> Result<()> {
        let usr = tree.join("usr");
        if name == "root-split-usr.img" {
            let id = Identity { label: Some("usr"), uuid: None };
            return fsimage::make(self.host, path, ROOT_SIZE, FsKind::Ext4, id, &usr);
        }
        let (fs_kind, fstab) = match kind {
            RootKind::Ext4 | RootKind::Ext4Quota | RootKind::Gpt | RootKind::Mbr => (FsKind::Ext4, FSTAB),
            RootKind::Xfs => (FsKind::Xfs, FSTAB_XFS),
            RootKind::Btrfs => (FsKind::Btrfs, FSTAB_BTRFS),
            RootKind::BtrfsSubvol => (FsKind::Btrfs, FSTAB_SUBVOL),
            RootKind::SplitUsr => (FsKind::Ext4, FSTAB_SPLIT),
            RootKind::Export => (FsKind::Ext4, FSTAB_EXPORT),
            RootKind::Squashfs | RootKind::Erofs => (FsKind::None, FSTAB_EXPORT),
        };
        fs::write(tree.join("etc/fstab"), fstab)?;
        let id = Identity { label: Some("root"), uuid: None };
        match kind {
            RootKind::Squashfs => {
                let mut make = Command::new("mksquashfs");
                make.arg(tree).arg(path).args(["-comp", "zstd", "-Xcompression-level", "3", "-noappend", "-quiet"]);
                return host::run(make.args(["-no-progress", "-xattrs"])).map(drop);
            }
            RootKind::Erofs => {
                return host::run(Command::new("mkfs.erofs").args(["-zlz4"]).arg(path).arg(tree)).map(drop);
            }
            RootKind::Ext4
            | RootKind::Ext4Quota
            | RootKind::Xfs
            | RootKind::Btrfs
            | RootKind::BtrfsSubvol
            | RootKind::SplitUsr
            | RootKind::Gpt
            | RootKind::Mbr
            | RootKind::Export => {}
        }
        if let Some(table) = kind.table() {
            let part = path.with_extension("part");
            fsimage::make(self.host, &part, ROOT_SIZE, fs_kind, id, tree)?;
            parted::wrap(table, &part, path)?;
            return Ok(fs::remove_file(part)?);
        }
        if kind == RootKind::BtrfsSubvol {
            return fsimage::make_subvolumes(self.host, path, LARGE, id, tree);
        }
        if kind != RootKind::SplitUsr {
            fsimage::make(self.host, path, ROOT_SIZE, fs_kind, id, tree)?;
            if kind == RootKind::Ext4Quota {
                host::run(Command::new("tune2fs").args(["-O", "project,quota"]).arg(path))?;
            }
            return Ok(());
        }
        let aside = self.dir.join("usr-aside");
        fs::rename(&usr, &aside)?;
        fs::create_dir(&usr)?;
        let made = fsimage::make(self.host, path, ROOT_SIZE, fs_kind, id, tree);
        fs::remove_dir(&usr)?;
        fs::rename(&aside, &usr)?;
        made
    }
}
