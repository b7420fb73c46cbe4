// SPDX-License-Identifier: GPL-2.0-or-later
//! A directory of a program's own in /run.

use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::DirBuilderExt;

/// A directory of root's own for logs and a mount point, taken away at the end.
pub struct Scratch(String);

impl Scratch {
    /// Makes one.
    pub fn new() -> Result<Self> {
        let path = format!("/run/overlayroot-loop.{}", std::process::id());
        fs::DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("making the directory {path}"))?;
        Ok(Self(path))
    }

    /// The directory.
    pub fn path(&self) -> &str {
        &self.0
    }

    /// Where a program's output goes.
    pub fn log(&self) -> String {
        format!("{}/log", self.0)
    }

    /// Where something can be mounted; it must be unmounted again.
    pub fn mount_point(&self) -> String {
        format!("{}/mnt", self.0)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Never recursive: an unmount may have failed.
        let _ = fs::remove_file(self.log());
        let _ = fs::remove_file(format!("{}/sfdisk.json", self.0));
        let _ = fs::remove_file(format!("{}/e2fsck.log", self.0));
        let _ = fs::remove_dir(self.mount_point());
        let _ = fs::remove_dir(&self.0);
    }
}
