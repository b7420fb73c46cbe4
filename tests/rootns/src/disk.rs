// SPDX-License-Identifier: GPL-2.0-or-later
//! Loop devices over files: the root's disk, and further ones.

use crate::off::unmount;
use crate::run;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A loop device that is detached when dropped.
pub struct Disk {
    /// Its node.
    pub node: String,
    /// The file behind it.
    pub image: PathBuf,
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["-d", &self.node]).status();
    }
}

impl Disk {
    /// All bytes of the image, to compare before and after.
    pub fn bytes(&self) -> Vec<u8> {
        run("sync", &[]);
        fs::read(&self.image).expect("reading the image")
    }
}

/// A disk of `mib` MiB over a file in `dir`, with a file system where arguments of a mkfs are given.
pub fn disk_at(dir: &Path, name: &str, mib: u64, mkfs: &[&str]) -> Disk {
    let image = dir.join(name);
    let file = fs::File::create(&image).expect("an image");
    file.set_len(mib << 20).expect("its size");
    let path = image.to_str().expect("UTF-8");
    match mkfs {
        [] => {}
        [program, rest @ ..] if program.starts_with("mkfs") => {
            run(program, &[rest, &[path]].concat());
        }
        rest => {
            run("mke2fs", &[&["-q", "-F"], rest, &[path]].concat());
        }
    }
    let node = run("losetup", &["--find", "--show", path]).trim().to_owned();
    Disk { node, image }
}

/// Copies the tree into a file system whose mkfs can't take one.
pub(crate) fn filled(disk: Disk, tree: &str) -> Disk {
    run("mount", &[&disk.node, "/mnt"]);
    run("cp", &["-a", &format!("{tree}/."), "/mnt"]);
    unmount("/mnt");
    disk
}
