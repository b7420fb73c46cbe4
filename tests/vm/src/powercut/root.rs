// SPDX-License-Identifier: GPL-2.0-or-later
//! What the guests boot from: a root of a few hundred files with busybox, the records they are to
//! write, and a suite's shell initramfs.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::lower::{self, Tree};
use super::rng::Rng;
use super::scenario::{Chain, Model, PLACE, Place};
use crate::case::FsKind;
use crate::cell::{Initrd, Suite, Variant};
use crate::cpio;
use crate::engine::Engine;
use crate::fsimage::{self, Identity};
use crate::host::{self, Host};
use crate::images::ImageSet;
use crate::parted;

/// A record's bytes; on the disk of records each number has its block.
pub(crate) const BLOCK: usize = 4096;
/// Most records of a chain.
pub(crate) const RECORDS: u32 = 4096;
/// Files of the lower that the guest overwrites in part, and that it removes.
pub(crate) const OVER: u32 = 32;
pub(crate) const GONE: u32 = 64;
const KEPT: u64 = 300;
/// xfsprogs makes nothing smaller than 300 MiB.
const ROOT_BYTES: u64 = 400 << 20;
const PROGRAMS: [&str; 13] =
    ["awk", "cat", "cp", "dd", "df", "grep", "rm", "sed", "sh", "sleep", "stty", "sync", "tar"];
/// The disk with the ext4 root as its first partition.
const PARTED: &str = "root-gpt.img";
/// What the initramfs says as the last before ours.
pub(crate) const MARK: &str = "powercut: assembling";

/// Images which all chains copy.
#[derive(Debug)]
pub(crate) struct Roots {
    pub(crate) kernel: PathBuf,
    /// What a cut that leaves a prefix of the writes runs by: killing it is the cut.
    pub(crate) prefix: Engine,
    pub(crate) records: PathBuf,
    dir: PathBuf,
    trees: BTreeMap<FsKind, Tree>,
}

impl Roots {
    /// Makes them in a directory.
    pub(crate) fn make(
        host: &Host,
        set: &ImageSet,
        suite: Suite,
        seed: u64,
        prefix: Engine,
        dir: &Path,
    ) -> Result<Self> {
        for engine in [prefix, Engine::Qemu] {
            let image = set.initrd((Initrd::Shell, Variant::Mkfs, engine));
            fs::write(initrd(dir, engine), with_mark(&image, suite)?)?;
        }
        let records = dir.join("records.img");
        fs::write(&records, all_records(seed))?;
        let content = dir.join("content");
        fill(host, &set.tree(), &content)?;
        let mut trees = BTreeMap::new();
        for kind in [FsKind::Ext4, FsKind::Xfs, FsKind::Btrfs] {
            let (name, img) = (fs_name(kind), dir.join(image_name(kind)));
            fs::write(content.join("etc/fstab"), format!("LABEL=root / {name} defaults 0 1\n"))?;
            let id = Identity { label: Some("root"), uuid: None };
            fsimage::make(host, &img, ROOT_BYTES, kind, id, &content)?;
            let copy = dir.join("copy.img");
            host::copy_sparse(&img, &copy)?;
            trees.insert(kind, lower::tree_of(host, &copy, kind)?);
        }
        parted::wrap("gpt", &dir.join(image_name(FsKind::Ext4)), &dir.join(PARTED))?;
        Ok(Self { kernel: set.kernel(), prefix, records, dir: dir.to_path_buf(), trees })
    }

    /// What a chain's guests run by: only QEMU logs each write with the flushes between them.
    pub(crate) fn engine(&self, model: Model) -> Engine {
        match model {
            Model::Prefix => self.prefix,
            Model::Reorder => Engine::Qemu,
        }
    }

    /// The initramfs for it.
    pub(crate) fn initrd(&self, engine: Engine) -> PathBuf {
        initrd(&self.dir, engine)
    }

    /// The root's disk as it was made.
    pub(crate) fn image(&self, chain: &Chain) -> PathBuf {
        match chain.place {
            Place::Part => self.dir.join(PARTED),
            Place::Dir | Place::Loop | Place::Subvol => self.dir.join(image_name(chain.root)),
        }
    }

    /// Copies the file system of a chain's root out of its disk.
    pub(crate) fn copy(chain: &Chain, disk: &Path, copy: &Path) -> Result<()> {
        match chain.place {
            Place::Part => host::shell(&first_partition(), &[("DISK", disk), ("COPY", copy)]),
            Place::Dir | Place::Loop | Place::Subvol => host::copy_sparse(disk, copy),
        }
    }

    /// The lower's tree as it was made.
    pub(crate) fn tree(&self, kind: FsKind) -> Result<&Tree> {
        self.trees.get(&kind).context("no tree")
    }
}

fn initrd(dir: &Path, engine: Engine) -> PathBuf {
    dir.join(format!("initrd-{engine}.img"))
}

/// As [`parted::wrap`] puts it there.
fn first_partition() -> String {
    format!("dd if=\"$DISK\" of=\"$COPY\" bs=1M skip=1 count={} conv=sparse status=none", ROOT_BYTES >> 20)
}

pub(crate) fn fs_name(kind: FsKind) -> &'static str {
    match kind {
        FsKind::Xfs => "xfs",
        FsKind::Btrfs => "btrfs",
        FsKind::Ext4 | FsKind::Vfat | FsKind::Swap | FsKind::None => "ext4",
    }
}

fn image_name(kind: FsKind) -> String {
    format!("root-{}.img", fs_name(kind))
}

/// Unpacked, which the emulated guest would do slowly, and with a hook before ours.
fn with_mark(packed: &Path, suite: Suite) -> Result<Vec<u8>> {
    let plain = host::run(Command::new("zstd").arg("-dcq").arg(packed))?;
    let hooks = if suite >= Suite::Trixie { "/var/lib/dracut/hooks" } else { "/usr/lib/dracut/hooks" };
    let hook = format!("echo '{MARK}' >/dev/kmsg\nreturn 0\n");
    let files = BTreeMap::from([(format!("{hooks}/pre-pivot/04-powercut.sh"), hook.into_bytes())]);
    Ok(cpio::join(&plain, &cpio::pack(&files)))
}

/// The blocks the guest writes, the number at the beginning of each.
pub(crate) fn all_records(seed: u64) -> Vec<u8> {
    (0..RECORDS).flat_map(|number| record(seed, number)).collect()
}

/// One of them.
pub(crate) fn record(seed: u64, number: u32) -> Vec<u8> {
    let mut block = format!("record {number}\n").into_bytes();
    block.extend(Rng::new(seed, 1_000_000 + u64::from(number)).bytes(BLOCK));
    block.truncate(BLOCK);
    block
}

/// A file of the lower which the guest overwrites in part.
pub(crate) fn over(number: u32) -> Vec<u8> {
    Rng::new(1, u64::from(number)).bytes(4 * BLOCK)
}

/// A file of the lower which the guest removes.
pub(crate) fn gone(number: u32) -> Vec<u8> {
    Rng::new(2, u64::from(number)).bytes(600)
}

fn fill(host: &Host, tree: &Path, to: &Path) -> Result<()> {
    for dir in ["dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "usr/lib/overlayroot-vm", "var"] {
        fs::create_dir_all(to.join(dir))?;
    }
    let parent = PLACE.rsplit_once('/').map_or("", |(parent, _)| parent).trim_start_matches('/');
    for dir in ["data/over", "data/gone", "records/new", "kept", parent] {
        fs::create_dir_all(to.join(dir))?;
    }
    fs::copy(tree.join("usr/bin/busybox"), to.join("usr/bin/busybox"))?;
    for name in PROGRAMS {
        symlink("busybox", to.join("usr/bin").join(name))?;
    }
    symlink("usr/bin", to.join("bin"))?;
    overlayctl(tree, to)?;
    let init = to.join("usr/lib/overlayroot-vm/powercut");
    fs::copy(host.vm_dir().join("guest/powercut.sh"), &init)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    (0..OVER).try_for_each(|k| fs::write(to.join(format!("data/over/{k}")), over(k)))?;
    (0..GONE).try_for_each(|k| fs::write(to.join(format!("data/gone/{k}")), gone(k)))?;
    (0..KEPT).try_for_each(|k| kept(&to.join("kept"), k))
}

/// The program that empties the trash, with its libraries.
fn overlayctl(tree: &Path, to: &Path) -> Result<()> {
    const PROGRAM: &str = "/usr/bin/overlayctl";
    let listed = host::run(Command::new("chroot").arg(tree).args(["ldd", PROGRAM]))?;
    let listed = String::from_utf8(listed)?;
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
    for path in [PROGRAM].into_iter().chain(libraries) {
        let path = path.trim_start_matches('/');
        let place = to.join(path);
        fs::create_dir_all(place.parent().context("no directory")?)?;
        fs::copy(tree.join(path), &place).with_context(|| format!("/{path}"))?;
    }
    Ok(())
}

/// Files, directories and links of many sizes, owners and modes.
fn kept(dir: &Path, number: u64) -> Result<()> {
    let mut rng = Rng::new(3, number);
    let dir = dir.join(format!("dir-{}", number % 17));
    fs::create_dir_all(&dir)?;
    let path = dir.join(format!("file {number}"));
    let size = usize::try_from(rng.below(9000))?;
    fs::write(&path, rng.bytes(size))?;
    let owner = u32::try_from(rng.below(3) * 500)?;
    chown(&path, Some(owner), Some(owner))?;
    let modes = [0o644, 0o600, 0o755, 0o4755];
    let mode = modes.get(usize::try_from(rng.below(4))?).copied().unwrap_or(0o644);
    fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
    match number % 10 {
        0 => symlink(format!("file {number}"), dir.join(format!("link {number}")))?,
        1 => fs::hard_link(&path, dir.join(format!("second {number}")))?,
        _ => {}
    }
    Ok(())
}
