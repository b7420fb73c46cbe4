// SPDX-License-Identifier: GPL-2.0-or-later
//! The project's own files, as `make install` puts them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

use crate::host::{self, Host};
use crate::roots;

/// An installed copy of the project, to be laid over a root.
#[derive(Clone, Debug)]
pub struct Payload {
    /// The tree.
    pub dir: PathBuf,
    /// Hash of all names, modes and contents.
    pub key: String,
}

/// Builds and installs the project into a directory of its own.
///
/// # Errors
/// When `make install` fails.
pub fn install(host: &Host) -> Result<Payload> {
    let dir = host.work.join(format!("payload-{}", std::process::id()));
    host::step("make install", || {
        let _lock = host::lock(&host.work.join("payload.lock"))?;
        fs::create_dir_all(&dir)?;
        let mut make = host::tied(Path::new("make"));
        make.arg("-C").arg(&host.repo).arg("install").arg(format!("DESTDIR={}", dir.display()));
        // a caller's own DESTDIR or job server is not meant for this
        host::run(make.env_remove("MAKEFLAGS").env_remove("DESTDIR")).map(drop)
    })?;
    let mut hash = Sha256::new();
    hash_tree(&dir, &dir, &mut hash)?;
    Ok(Payload { dir, key: roots::short(hash) })
}

impl Payload {
    /// Lays the files over a root.
    ///
    /// # Errors
    /// When copying fails, or the program does not run in that root.
    pub fn apply(&self, root: &Path) -> Result<()> {
        let from = self.dir.join(".");
        host::run(Command::new("cp").args(["-a", "--no-preserve=ownership"]).arg(from).arg(root))?;
        let mut probe = Command::new("chroot");
        probe.arg(root).args(["/usr/bin/overlayctl", "--version"]);
        let why = "the program does not run in the guest: was it built against a newer libc?";
        host::run(&mut probe).context(why).map(drop)
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        // only a copy; the next run makes its own
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn hash_tree(top: &Path, dir: &Path, hash: &mut Sha256) -> Result<()> {
    let mut entries: Vec<_> = fs::read_dir(dir)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let meta = path.symlink_metadata()?;
        let name: &OsStr = path.strip_prefix(top)?.as_os_str();
        hash.update(name.as_bytes());
        hash.update(meta.permissions().mode().to_le_bytes());
        if meta.is_dir() {
            hash_tree(top, &path, hash)?;
        } else if meta.is_symlink() {
            hash.update(fs::read_link(&path)?.as_os_str().as_bytes());
        } else {
            hash.update(fs::read(&path)?);
        }
    }
    Ok(())
}
