// SPDX-License-Identifier: GPL-2.0-or-later
//! What a guest boots from: a kernel, initramfs images and root disks, made from
//! a suite's root with or without the project in it, and kept by their contents.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Result;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};

use crate::case::RootKind;
use crate::cell::{Initrd, Variant};
use crate::engine::Engine;
use crate::host::Host;
use crate::payload::Payload;
use crate::plan::SetKey;
use crate::recipe::{Builder, GUEST, initrd_name, kernel_version, root_names};
use crate::roots;

/// Images of one suite, with the project or without.
#[derive(Debug)]
pub struct ImageSet {
    dir: PathBuf,
    /// held shared while images are used, so that no other run removes them
    used: File,
}

/// An initramfs of a set.
pub type Image = (Initrd, Variant, Engine);

/// What is wanted of a set.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Initramfs images.
    pub initrds: Vec<Image>,
    /// Root disks.
    pub roots: Vec<RootKind>,
}

impl ImageSet {
    /// Opens the set, making what is wanted and not there.
    ///
    /// # Errors
    /// When a root, an initramfs or a disk cannot be made.
    pub fn open(host: &Host, of: SetKey, payload: Option<&Payload>, wanted: &Wanted) -> Result<Self> {
        let (suite, flavour) = of;
        let name = format!("{suite}-{flavour}-{}", key(host, of, payload)?);
        let images = &host.images;
        let dir = images.join(&name);
        fs::create_dir_all(&dir)?;
        remove_older(images, &format!("{suite}-{flavour}-"), &name)?;
        let lock = File::create(dir.join("lock"))?;
        flock(&lock, FlockOperation::LockShared)?;
        let set = Self { dir, used: lock };
        if !set.has(wanted) {
            // Waits for those who use it; what they made meanwhile is not made again.
            flock(&set.used, FlockOperation::LockExclusive)?;
            Builder { host, suite, flavour, payload, dir: &set.dir }.make(wanted)?;
            flock(&set.used, FlockOperation::LockShared)?;
        }
        Ok(set)
    }

    fn has(&self, wanted: &Wanted) -> bool {
        let initrds = wanted.initrds.iter().map(|&image| initrd_name(image));
        let disks = wanted.roots.iter().flat_map(|&kind| root_names(kind)).map(|name| (*name).to_owned());
        self.tree().exists() && initrds.chain(disks).all(|name| self.dir.join(name).exists())
    }

    /// Names what the images were made of.
    #[must_use]
    pub fn key(&self) -> &str {
        self.dir.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The kernel.
    #[must_use]
    pub fn kernel(&self) -> PathBuf {
        self.dir.join("vmlinuz")
    }

    /// The root the images were made in.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// The version of the kernel that the engine boots.
    ///
    /// # Errors
    /// When the set has no root, or this machine not that engine.
    pub fn kernel_version(&self, host: &Host, engine: Engine) -> Result<String> {
        match engine {
            Engine::Uml => Ok(host.uml()?.version.clone()),
            Engine::Qemu => kernel_version(&self.dir.join("tree")),
        }
    }

    /// An initramfs.
    #[must_use]
    pub fn initrd(&self, image: Image) -> PathBuf {
        self.dir.join(initrd_name(image))
    }

    /// The root's disks: the root, and /usr where it is separate.
    #[must_use]
    pub fn root_disks(&self, kind: RootKind) -> Vec<PathBuf> {
        root_names(kind).iter().map(|name| self.dir.join(name)).collect()
    }
}

fn key(host: &Host, (suite, flavour): SetKey, payload: Option<&Payload>) -> Result<String> {
    let mut hash = Sha256::new();
    hash.update(roots::key(roots::Root::Guest(suite, flavour)));
    hash.update(payload.map_or("", |p| p.key.as_str()));
    hash.update(host.uml().map_or("", |uml| uml.version.as_str()));
    hash.update(include_str!("recipe.rs"));
    hash.update(include_str!("recipe/initrd.rs"));
    hash.update(include_str!("fsimage.rs"));
    hash.update(include_str!("parted.rs"));
    hash.update(include_str!("../host/in-root.sh"));
    hash.update(include_str!("../host/subvolumes.sh"));
    for (source, ..) in GUEST {
        hash.update(fs::read(host.vm_dir().join("guest").join(source))?);
    }
    Ok(roots::short(hash))
}

/// Frees the room of sets which nobody uses any more.
fn remove_older(images: &Path, prefix: &str, keep: &str) -> Result<()> {
    for entry in fs::read_dir(images)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with(prefix) || name == keep {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join("lock")) else {
            continue;
        };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}
