// SPDX-License-Identifier: GPL-2.0-or-later
//! Asks the kernel whether the merged root is what was asked for.
//!
//! mount(2) reports success also where it mounted read-only (work directory not clean) or cut the
//! options at one page.

use crate::sys::{attributes, mounts, newfile};
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::parse::mountinfo;
use overlayroot_core::step::Overlay;
use std::fs;
use std::io::Write;

/// Type, source, layers, and a file written and removed.
pub fn verify(want: &Overlay) -> Result<()> {
    let mounts = mounts::read()?;
    let got = mountinfo::at(&mounts, &want.at).with_context(|| format!("{} is not mounted", want.at))?;
    ensure!(got.fstype == "overlay", "{} is {}, not an overlay", want.at, got.fstype);
    ensure!(got.source == want.source, "{} has source '{}', not '{}'", want.at, got.source, want.source);
    let lowers = want.lowers.join(":");
    for (key, want) in [("lowerdir", &lowers), ("upperdir", &want.upper), ("workdir", &want.work)] {
        match got.super_option(key) {
            Some(got) if got == *want => {}
            got => bail!("the kernel shows {key}={}, not {want}", got.unwrap_or_default()),
        }
    }
    ensure!(!got.read_only(), "the kernel mounted {} read-only", want.at);
    let before = fs::metadata(&want.at).with_context(|| format!("looking at {}", want.at))?;
    write_probe(&want.at)?;
    // The probe's file touched the times of `/`.
    attributes::copy_times(&before, &want.at)
}

fn write_probe(at: &str) -> Result<()> {
    let path = format!("{at}/.overlayroot-rs.probe");
    let context = || format!("writing a file into {at}");
    let mut file = newfile::fresh(&path)?;
    // One page, so that a file system without a free block shows.
    let written = file.write_all(&[0; 4096]).with_context(context);
    let removed = fs::remove_file(&path).with_context(|| format!("removing {path}"));
    written.and(removed)
}
