// SPDX-License-Identifier: GPL-2.0-or-later
//! File systems in image files, made without mounting where that is possible.

use std::fs::File;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::case::FsKind;
use crate::host::{self, Host};

/// What mkfs is told.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity<'a> {
    /// Label.
    pub label: Option<&'a str>,
    /// UUID.
    pub uuid: Option<&'a str>,
}

/// A size as truncate(1) takes it: bytes, or with K, M, G.
///
/// # Errors
/// Anything else.
pub fn size(text: &str) -> Result<u64> {
    let (digits, shift) = match text.strip_suffix(['K', 'M', 'G']) {
        Some(digits) if text.ends_with('K') => (digits, 10),
        Some(digits) if text.ends_with('M') => (digits, 20),
        Some(digits) => (digits, 30),
        None => (text, 0),
    };
    let count: u64 = digits.parse().with_context(|| format!("size {text:?}"))?;
    Ok(count << shift)
}

/// Makes an image of that size with a file system holding what is in `content`.
///
/// # Errors
/// Those of mkfs; content for a kind which cannot take any.
pub fn make(host: &Host, img: &Path, bytes: u64, kind: FsKind, id: Identity<'_>, content: &Path) -> Result<()> {
    File::create(img)?.set_len(bytes)?;
    let (label, uuid) = (id.label.unwrap_or(""), id.uuid);
    match kind {
        FsKind::None => return Ok(()),
        FsKind::Ext4 => {
            let mut mkfs = Command::new("mke2fs");
            mkfs.args(["-q", "-F", "-t", "ext4", "-m", "0", "-E", "lazy_itable_init=1", "-L", label]);
            mkfs.args(uuid.iter().flat_map(|uuid| ["-U", uuid]));
            host::run(mkfs.arg("-d").arg(content).arg(img))?;
        }
        FsKind::Xfs => {
            let mut mkfs = Command::new("mkfs.xfs");
            mkfs.args(["-q", "-f", "-L", label]);
            mkfs.args(uuid.map(|uuid| format!("-muuid={uuid}")));
            host::run(mkfs.arg(img))?;
            populate(host, img, content)?;
        }
        FsKind::Btrfs => {
            let mut mkfs = Command::new("mkfs.btrfs");
            mkfs.args(["-q", "-f", "-L", label]);
            mkfs.args(uuid.iter().flat_map(|uuid| ["-U", uuid]));
            host::run(mkfs.arg("--rootdir").arg(content).arg(img))?;
        }
        FsKind::Vfat => {
            ensure!(is_empty(content)?, "vfat cannot be populated without mounting");
            let mut mkfs = Command::new("mkfs.vfat");
            mkfs.args(id.label.iter().flat_map(|label| ["-n", label]));
            mkfs.args(uuid.iter().flat_map(|uuid| ["-i", uuid]));
            host::run(mkfs.arg(img))?;
        }
        FsKind::Swap => {
            let mut mkswap = Command::new("mkswap");
            mkswap.args(["-q", "-L", label]);
            mkswap.args(uuid.iter().flat_map(|uuid| ["-U", uuid]));
            host::run(mkswap.arg(img))?;
        }
    }
    Ok(())
}

/// Makes a btrfs with the subvolumes `root`, holding what is in `content`, and `home`.
///
/// # Errors
/// Those of mkfs, mount and cp.
pub fn make_subvolumes(host: &Host, img: &Path, bytes: u64, id: Identity<'_>, content: &Path) -> Result<()> {
    File::create(img)?.set_len(bytes)?;
    host::run(Command::new("mkfs.btrfs").args(["-q", "-f", "-L", id.label.unwrap_or("")]).arg(img))?;
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation=private"]).arg(host.vm_dir().join("host/subvolumes.sh"));
    host::run(unshare.arg(img).arg(content)).map(drop)
}

fn is_empty(dir: &Path) -> Result<bool> {
    Ok(dir.read_dir()?.next().is_none())
}

/// Adds what is in `content` to the file system of an image, which is mounted for it.
///
/// # Errors
/// Those of mount and cp.
pub(crate) fn populate(host: &Host, img: &Path, content: &Path) -> Result<()> {
    if is_empty(content)? {
        return Ok(());
    }
    let mut unshare = Command::new("unshare");
    unshare.args(["--mount", "--propagation=private"]).arg(host.vm_dir().join("host/populate.sh"));
    host::run(unshare.arg(img).arg(content)).map(drop)
}

/// Checks that a file system was cleanly unmounted.
///
/// # Errors
/// What is unclean.
pub fn check_clean(kind: FsKind, img: &Path) -> Result<()> {
    match kind {
        FsKind::Ext4 => {
            let text = output("dumpe2fs", &["-h"], img)?;
            let state = text.lines().find(|line| line.starts_with("Filesystem state:"));
            let state = state.unwrap_or("no state").trim_start_matches("Filesystem state:").trim();
            ensure!(state == "clean", "ext4 state: {state}");
            ensure!(!text.contains("needs_recovery"), "the ext4 journal needs recovery");
        }
        FsKind::Xfs => {
            let text = output("xfs_logprint", &["-t"], img)?;
            ensure!(text.contains("<CLEAN>"), "the xfs log is not clean:\n{}", host::tail(&text, 3));
        }
        FsKind::Btrfs => {
            output("btrfs", &["check", "--readonly", "--force"], img)?;
            let text = output("btrfs", &["inspect-internal", "dump-super"], img)?;
            let log = text.lines().find(|line| line.starts_with("log_root\t"));
            let log = log.and_then(|line| line.split_whitespace().nth(1));
            ensure!(log == Some("0"), "a btrfs log tree is left: {log:?}");
        }
        FsKind::Vfat | FsKind::Swap | FsKind::None => bail!("no check is known for this kind"),
    }
    Ok(())
}

fn output(program: &str, args: &[&str], img: &Path) -> Result<String> {
    let out = host::run(Command::new(program).args(args).arg(img))?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}
