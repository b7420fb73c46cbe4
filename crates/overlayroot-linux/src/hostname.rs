// SPDX-License-Identifier: GPL-2.0-or-later
//! Gives the machine its name. Written straight into the upper: the merged root is not mounted yet, and a copy-up
//! before the policy is loaded would lose SELinux labels (Linux 6.1).

use crate::files::remove;
use crate::reset::sync_parent;
use crate::store;
use anyhow::{Context, Result, ensure};
use rustix::fs::{Mode, OFlags, XattrFlags, openat};
use std::fs::{self, File};
use std::io::Write;

const LABEL: &str = "security.selinux";
const PATH: &str = "/etc/hostname";

/// Writes `/etc/hostname` into the upper, unless the name is there already, and tells the kernel, so that the
/// journal of this boot has the name from here on. Nothing takes the latter back: PID 1 reads the file that the
/// booted root has.
///
/// # Errors
/// Where it can't be written; the overlay stands without it.
pub fn set(name: &str, upper: &str, lowers: &[String]) -> Result<()> {
    let text = format!("{name}\n");
    // The topmost layer with an /etc decides; one without the file may hide a lower's.
    let mut layers = std::iter::once(upper).chain(lowers.iter().map(String::as_str));
    let top = layers.find(|layer| fs::symlink_metadata(format!("{layer}/etc")).is_ok()).unwrap_or(upper);
    let path = format!("{top}{PATH}");
    let plain = fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() == text.len() as u64);
    if !plain || fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
        write(&text, upper, top, lowers).with_context(|| format!("writing {PATH}"))?;
    }
    nix::unistd::sethostname(name).context("setting the hostname")
}

fn write(text: &str, upper: &str, top: &str, lowers: &[String]) -> Result<()> {
    ensure!(store::parents(upper, top, PATH)?, "/etc is no directory");
    let (path, new) = (format!("{upper}{PATH}"), format!("{upper}/etc/.hostname.overlayroot-rs"));
    // What a cut left; whoever could write here may have put a link in its place.
    remove(&new)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mut file = File::from(openat(rustix::fs::CWD, &new, flags, Mode::empty())?);
    file.write_all(text.as_bytes())?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644))?;
    let mut label = vec![0_u8; 4096];
    let mut like = vec![path.clone()];
    like.extend(lowers.iter().map(|lower| format!("{lower}{PATH}")));
    like.push(format!("{upper}/etc"));
    for path in like {
        // Of a link, not of what it points at.
        let len = rustix::fs::lgetxattr(&path, LABEL, &mut label).unwrap_or(0);
        if let Some(label) = label.get(..len).filter(|label| !label.is_empty()) {
            rustix::fs::fsetxattr(&file, LABEL, label, XattrFlags::empty())?;
            break;
        }
    }
    file.sync_all()?;
    fs::rename(&new, &path)?;
    sync_parent(&path)
}
