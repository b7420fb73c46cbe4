// SPDX-License-Identifier: GPL-2.0-or-later
//! What a case boots: its initramfs, its root, the arguments of the kernel.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::case::{PlannedBoot, RootKind, RootOpts};
use crate::cell::Variant;
use crate::cpio;
use crate::disk::{self, CaseDisk};
use crate::engine;
use crate::host;
use crate::images::ImageSet;
use crate::machine::{Attach, Boot};
use crate::qemu;
use crate::runner::Run;

/// Seconds; a shutdown which takes longer waits for something.
const SHUTDOWN: u64 = 60;
/// The same through dracut's ramdisk, which is unpacked first and takes its time on a busy machine.
const SHUTDOWN_RAMDISK: u64 = 120;

impl Run<'_> {
    /// The initramfs, with the case's files behind it.
    pub(super) fn initrd(&self, set: &ImageSet, variant: Variant) -> Result<PathBuf> {
        let case = &self.job.case;
        let base = set.initrd((self.job.cell.initrd, variant, self.job.engine));
        let named = |text: &str| engine::names(self.job.engine, text, &[]).into_bytes();
        let mut files: BTreeMap<String, Vec<u8>> =
            case.files.iter().map(|(path, text)| (path.clone(), named(text))).collect();
        if let Some(conf) = case.conf_bytes() {
            files.insert("/etc/overlayroot-rs.conf".to_owned(), conf);
        }
        if files.is_empty() {
            return Ok(base);
        }
        let path = self.dir.join(format!("initrd-{variant}.img"));
        fs::write(&path, cpio::join(&fs::read(base)?, &cpio::pack(&files)))?;
        Ok(path)
    }

    /// The initramfs that a boot has made, out of the root's disk.
    pub(super) fn own_initrd(&self, set: &ImageSet, root: &Path) -> Result<PathBuf> {
        let path = self.dir.join("initrd-own.img");
        disk::get(root, &format!("/boot/initrd.img-{}", set.kernel_version(self.host, self.job.engine)?), &path)?;
        Ok(path)
    }

    /// The root's disk, and a copy from before where it must stay as it is.
    pub(super) fn root(&self, set: &ImageSet, initrd: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
        let case = &self.job.case;
        let shared = set.root_disks(case.root).into_iter().next().context("no root disk")?;
        if !case.edits_root() && !case.lower_unchanged && !case.root_kept {
            return Ok((shared, None));
        }
        let own = self.dir.join("root.img");
        host::copy_sparse(&shared, &own)?;
        let target = format!("/boot/initrd.img-{}", set.kernel_version(self.host, self.job.engine)?);
        disk::edit_root(case, &own, self.dir, case.boot_initrd.then_some((initrd, target)))?;
        if !case.lower_unchanged {
            return Ok((own, None));
        }
        let pristine = self.dir.join("root.before");
        host::copy_sparse(&own, &pristine)?;
        Ok((own, Some(pristine)))
    }

    /// Kernel arguments of every boot.
    pub(super) fn arguments(&self) -> String {
        let case = &self.job.case;
        let opts = match case.rootopts {
            RootOpts::Ro => "ro",
            RootOpts::Rw => "rw",
        };
        // e2fsck writes into the superblock of a clean file system, too
        let fsck = if case.lower_unchanged { " fsck.mode=skip rd.skipfsck" } else { "" };
        // dracut's dhclient gives up after one minute without an answer, and a lost packet was seen to be enough
        let dhcp = if case.net.is_some() { " rd.net.dhcp.retry=3" } else { "" };
        format!("{} {opts}{fsck}{dhcp} {}", case.root_arg, qemu::blacklist(case.btrfs))
    }

    pub(super) fn boot(
        &self,
        set: &ImageSet,
        planned: &PlannedBoot,
        initrd: &Path,
        root: &Path,
        disks: &[CaseDisk],
    ) -> Boot {
        let case = &self.job.case;
        let attach = |path: &Path, serial: &str, writable| Attach {
            path: path.to_path_buf(),
            serial: serial.to_owned(),
            writable,
            late: None,
            slow: false,
        };
        let mut attached = vec![attach(root, "root", case.lower_unchanged || case.root_kept)];
        for disk in disks {
            let late = disk.spec.late.map(|s| (Duration::from_secs(s), disk.spec.wait_for.clone()));
            attached.push(Attach { late, ..attach(&disk.img, &disk.spec.name, true) });
        }
        if case.root == RootKind::SplitUsr {
            let usr = set.root_disks(case.root);
            attached.extend(usr.iter().skip(1).map(|usr| attach(usr, "usr", false)));
        }
        Boot {
            engine: self.job.engine,
            kernel: set.kernel(),
            initrd: initrd.to_path_buf(),
            cmdline: format!("{} {}", self.arguments(), planned.cmdline),
            disks: attached,
            holds: planned.holds.clone(),
            stage: planned.stage,
            timeout: Duration::from_secs(case.timeout),
            shutdown: Duration::from_secs(if case.boot_initrd { SHUTDOWN_RAMDISK } else { SHUTDOWN }),
            memory: case.memory,
            ..Boot::default()
        }
    }
}
