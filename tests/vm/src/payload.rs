// SPDX-License-Identifier: GPL-2.0-or-later
//! The project's own files, in the package that its users install.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use sha2::{Digest, Sha256};

use crate::host::{self, Host};
use crate::roots::{self, Root};

/// The project's package for Debian.
#[derive(Clone, Debug)]
pub struct Payload {
    dir: PathBuf,
    /// The package.
    pub deb: PathBuf,
    /// Hash of all names, modes and contents that a test root gets.
    pub key: String,
}

/// Its name in a root.
const DEB: &str = "overlayroot-rs.deb";
/// Absolute links would lead to this machine's own libraries.
const RELATIVE: &str = r#"
cd "$DIR"
find . -type l -lname '/*' | while read -r link; do ln -sfnr ".$(readlink "$link")" "$link"; done
"#;
/// What the test roots leave out of every package.
const NOT_IN_ROOTS: [&str; 2] = ["usr/share/doc", "usr/share/man"];

/// Builds the package: against the libraries of the oldest suite, so that it is one for all of them.
///
/// # Errors
/// When the libraries can't be had, or `make deb` fails.
pub fn build(host: &Host) -> Result<Payload> {
    let dir = host.work.join(format!("payload-{}", std::process::id()));
    let archive = roots::archive(host, Root::Libraries)?;
    host::step("make deb", || {
        let _lock = host::lock(&host.work.join("payload.lock"))?;
        let libraries = libraries(host, &archive)?;
        fs::create_dir_all(&dir)?;
        let target = env::var_os("CARGO_TARGET_DIR").map_or_else(|| host.repo.join("target"), PathBuf::from);
        let mut make = host::tied(Path::new("make"));
        make.arg("-C").arg(&host.repo).arg("deb").arg(format!("DEB_OUT={}", dir.display()));
        // nothing of root's stays in the user's tree
        make.arg("DEB_FLAGS=-tc");
        make.env("CARGO_TARGET_DIR", target.join("oldest")).env("OVERLAYROOT_SYSROOT", &libraries);
        let linker = host.repo.join("packaging/cc-sysroot.sh");
        make.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER", linker);
        // a caller's own job server is not meant for this
        host::run(make.env_remove("MAKEFLAGS")).map(drop)
    })?;
    let built = fs::read_dir(&dir)?.filter_map(|entry| Some(entry.ok()?.path()));
    let deb = built.into_iter().find(|path| path.extension().is_some_and(|e| e == "deb")).context("no package")?;
    let (files, control) = (dir.join("files"), dir.join("control"));
    host::run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&files))?;
    host::run(Command::new("dpkg-deb").arg("-e").arg(&deb).arg(&control))?;
    for path in NOT_IN_ROOTS {
        fs::remove_dir_all(files.join(path))?;
    }
    // sums and sizes of what the roots leave out, too
    for name in ["md5sums", "control"] {
        fs::remove_file(control.join(name))?;
    }
    let mut hash = Sha256::new();
    hash_tree(&files, &files, &mut hash)?;
    hash_tree(&control, &control, &mut hash)?;
    Ok(Payload { dir, deb, key: roots::short(hash) })
}

/// The unpacked libraries; those of an older recipe go.
fn libraries(host: &Host, archive: &Path) -> Result<PathBuf> {
    let dir = host.work.join(format!("libraries-{}", roots::key(Root::Libraries)));
    if !dir.exists() {
        remove_libraries(host)?;
        let temporary = dir.with_extension("tmp");
        if temporary.exists() {
            fs::remove_dir_all(&temporary)?;
        }
        roots::unpack(archive, &temporary)?;
        host::shell(RELATIVE, &[("DIR", &temporary)])?;
        fs::rename(temporary, &dir)?;
    }
    Ok(dir)
}

fn remove_libraries(host: &Host) -> Result<()> {
    for entry in fs::read_dir(&host.work)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("libraries-") {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

impl Payload {
    /// Installs the package in a root, as its user does.
    ///
    /// # Errors
    /// When apt fails, or the program does not run there.
    pub fn install(&self, mut in_root: Command, out: &Path) -> Result<()> {
        fs::copy(&self.deb, out.join(DEB))?;
        let lines = format!("apt-get install -y -q --no-install-recommends /run/out/{DEB} && overlayctl --version");
        let done = host::run(in_root.args(["env", "DEBIAN_FRONTEND=noninteractive", "sh", "-euc", &lines]));
        fs::remove_file(out.join(DEB))?;
        done.map(drop)
    }

    /// Puts the package into /root.
    ///
    /// # Errors
    /// When it can't be copied.
    pub fn leave(&self, root: &Path) -> Result<()> {
        fs::copy(&self.deb, root.join("root").join(DEB))?;
        Ok(())
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
