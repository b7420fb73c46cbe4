// SPDX-License-Identifier: GPL-2.0-or-later
//! The disks of a case: made before the first boot, checked after each.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::case::{Case, Disk};
use crate::fsimage::{self, Identity};
use crate::host::{self, Host};

/// Where the only partition begins, and what the table needs at the end.
const PART_START: u64 = 1 << 20;

/// An image with what is known of it.
#[derive(Debug)]
pub struct CaseDisk {
    /// What the case says.
    pub spec: Disk,
    /// The image.
    pub img: PathBuf,
    /// A copy from before the first boot, where no byte may change.
    pristine: Option<PathBuf>,
}

impl CaseDisk {
    /// Makes the disk in a directory.
    ///
    /// # Errors
    /// Those of mkfs, sfdisk and of the case's `prepare`.
    pub fn make(host: &Host, dir: &Path, spec: &Disk) -> Result<Self> {
        let img = dir.join(format!("{}.img", spec.name));
        let content = dir.join(format!("{}.content", spec.name));
        fs::create_dir_all(&content)?;
        for (path, text) in &spec.populate {
            let file = content.join(path.trim_start_matches('/'));
            fs::create_dir_all(file.parent().context("populate needs file names")?)?;
            fs::write(file, text)?;
        }
        let bytes = fsimage::size(&spec.size)?;
        let id = Identity { label: spec.label.as_deref(), uuid: spec.uuid.as_deref() };
        if spec.is_partitioned() {
            let fs_img = dir.join(format!("{}.part", spec.name));
            fsimage::make(host, &fs_img, bytes - 2 * PART_START, spec.fs, id, &content)?;
            partition(&img, bytes, spec)?;
            insert(&fs_img, &img)?;
            fs::remove_file(fs_img)?;
        } else {
            fsimage::make(host, &img, bytes, spec.fs, id, &content)?;
        }
        if let Some(lines) = &spec.prepare {
            let vm = std::env::current_exe()?;
            host::shell(lines, &[("IMG", &img), ("TMP", dir), ("VM", &vm)]).context("prepare")?;
        }
        let pristine = spec.unchanged.then(|| dir.join(format!("{}.before", spec.name)));
        if let Some(copy) = &pristine {
            host::copy_sparse(&img, copy)?;
        }
        Ok(Self { spec: spec.clone(), img, pristine })
    }

    /// Checks what the case says of the disk after a boot.
    ///
    /// # Errors
    /// What does not hold.
    pub fn check(&self, dir: &Path) -> Result<()> {
        if let Some(before) = &self.pristine {
            same(before, &self.img).with_context(|| format!("disk {} changed", self.spec.name))?;
        }
        if self.spec.clean {
            self.check_clean(dir).with_context(|| format!("disk {} is not clean", self.spec.name))?;
        }
        Ok(())
    }

    fn check_clean(&self, dir: &Path) -> Result<()> {
        if !self.spec.is_partitioned() {
            return fsimage::check_clean(self.spec.fs, &self.img);
        }
        let part = dir.join(format!("{}.part", self.spec.name));
        let mut from = File::open(&self.img)?;
        from.seek(SeekFrom::Start(PART_START))?;
        std::io::copy(&mut from, &mut File::create(&part)?)?;
        let checked = fsimage::check_clean(self.spec.fs, &part);
        fs::remove_file(part)?;
        checked
    }

    /// Runs the case's `after` over the disk.
    ///
    /// # Errors
    /// When a line fails.
    pub fn after(&self, dir: &Path) -> Result<()> {
        let Some(lines) = &self.spec.after else {
            return Ok(());
        };
        let what = || format!("`after` of disk {}", self.spec.name);
        host::shell(lines, &[("IMG", &self.img), ("TMP", dir)]).with_context(what)
    }
}

fn partition(img: &Path, bytes: u64, spec: &Disk) -> Result<()> {
    File::create(img)?.set_len(bytes)?;
    let mut line = format!("start={}, size={}, type=linux", PART_START / 512, (bytes - 2 * PART_START) / 512);
    if let Some(name) = &spec.partlabel {
        line.push_str(&format!(", name=\"{name}\""));
    }
    if let Some(uuid) = &spec.partuuid {
        line.push_str(&format!(", uuid={uuid}"));
    }
    let mut sfdisk = Command::new("sfdisk");
    let mut child = sfdisk.arg("--quiet").arg(img).stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().context("no pipe")?;
    input.write_all(format!("label: gpt\n{line}\n").as_bytes())?;
    drop(input);
    ensure!(child.wait()?.success(), "sfdisk does not take {line:?}");
    Ok(())
}

pub(crate) fn insert(part: &Path, img: &Path) -> Result<()> {
    let mut out = OpenOptions::new().write(true).open(img)?;
    let mut from = File::open(part)?;
    let mut block = vec![0; 1 << 20];
    let mut at = PART_START;
    loop {
        let count = from.read(&mut block)?;
        let data = block.get(..count).unwrap_or_default();
        if count == 0 {
            return Ok(());
        }
        // zeroes are there already, as holes
        if data.iter().any(|byte| *byte != 0) {
            out.seek(SeekFrom::Start(at))?;
            out.write_all(data)?;
        }
        at += count as u64;
    }
}

/// Compares two images.
///
/// # Errors
/// Where the first difference lies.
pub fn same(before: &Path, after: &Path) -> Result<()> {
    let (mut a, mut b) = (File::open(before)?, File::open(after)?);
    ensure!(a.metadata()?.len() == b.metadata()?.len(), "the size changed");
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    let mut at = 0_u64;
    loop {
        let count = a.read(&mut left)?;
        if count == 0 {
            return Ok(());
        }
        let (x, y) = (left.get(..count), right.get_mut(..count).context("block")?);
        b.read_exact(y)?;
        let x = x.context("block")?;
        // whole blocks first: a byte at a time takes half a minute a disk in a debug build
        if x != y {
            let offset = x.iter().zip(y.iter()).position(|(p, q)| p != q).unwrap_or(0);
            bail!("the first changed byte is at {}", at + offset as u64);
        }
        at += count as u64;
    }
}

/// Puts a case's own files into a copy of an ext4 root.
///
/// # Errors
/// When debugfs did not write what it was given.
pub fn edit_root(case: &Case, img: &Path, dir: &Path, boot_initrd: Option<(&Path, String)>) -> Result<()> {
    if let Some(text) = &case.fstab {
        put(img, dir, "/etc/fstab", text.as_bytes())?;
    }
    if let Some(bytes) = case.conf_bytes() {
        put(img, dir, "/etc/overlayroot-rs.conf", &bytes)?;
    }
    if let Some((initrd, target)) = boot_initrd {
        put(img, dir, &target, &fs::read(initrd)?)?;
    }
    Ok(())
}

fn put(img: &Path, dir: &Path, target: &str, data: &[u8]) -> Result<()> {
    let (file, script) = (dir.join("put"), dir.join("put.debugfs"));
    fs::write(&file, data)?;
    let lines = format!("rm {target}\nwrite {} {target}\n", file.display());
    fs::write(&script, lines)?;
    host::run(Command::new("debugfs").args(["-w", "-f"]).arg(&script).arg(img))?;
    let dumped = dir.join("put.back");
    get(img, target, &dumped)?;
    ensure!(fs::read(&dumped)? == data, "{target} could not be put into the root");
    Ok(())
}

/// Copies a file out of an ext4 root.
///
/// # Errors
/// When it is not there.
pub fn get(img: &Path, source: &str, path: &Path) -> Result<()> {
    // debugfs succeeds whatever happened, also over a file of before
    fs::write(path, "")?;
    host::run(Command::new("debugfs").args(["-R", &format!("dump {source} {}", path.display())]).arg(img))?;
    ensure!(fs::metadata(path)?.len() > 0, "no {source} in the root");
    Ok(())
}

/// The disk which carries the lines of `holds` to the guest.
///
/// # Errors
/// When it cannot be written.
pub fn make_holds(path: &Path, stage: &str, holds: &str) -> Result<()> {
    let mut text = format!("{stage}\n{}\n", holds.trim_end()).into_bytes();
    text.resize(text.len().next_multiple_of(64 << 10), 0);
    fs::write(path, text).with_context(|| path.display().to_string())
}
