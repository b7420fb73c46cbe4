// SPDX-License-Identifier: GPL-2.0-or-later
//! Gives the machine its name. Written straight into the upper: the merged root is not mounted yet, and a copy-up
//! before the policy is loaded would lose SELinux labels (Linux 6.1).

use crate::step::layers;
use crate::sys::files;
use crate::sys::inroot::{self, Links};
use crate::sys::newfile::{self, Lasting, NewFile};
use anyhow::{Context, Result, ensure};
use rustix::fs::{OFlags, XattrFlags};
use std::fs;
use std::io::Write;

const LABEL: &str = "security.selinux";
const PATH: &str = "/etc/hostname";
const ETC: &str = "/etc";
const NAME: &str = "hostname";

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
    if has(top).as_deref() != Some(text.as_bytes()) {
        write(&text, upper, top, lowers).with_context(|| format!("writing {PATH}"))?;
    }
    rustix::system::sethostname(name.as_bytes()).context("setting the hostname")
}

/// What a layer has there; nothing where that is a link, or a link leads there.
fn has(layer: &str) -> Option<Vec<u8>> {
    let etc = inroot::open(layer, ETC, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Links::No).ok()?;
    files::bytes(files::open_at(etc, NAME).ok()?, files::SMALL).ok()
}

fn write(text: &str, upper: &str, top: &str, lowers: &[String]) -> Result<()> {
    ensure!(layers::parents(&[upper.to_owned(), top.to_owned()], Some(top), PATH)?, "/etc is not a directory");
    let directory = inroot::open(upper, ETC, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Links::No)?;
    let mut new = NewFile::at(directory, ".hostname.overlayroot-rs", NAME)?;
    new.file().write_all(text.as_bytes())?;
    let mut label = vec![0_u8; 4096];
    let mut like = vec![format!("{upper}{PATH}")];
    like.extend(lowers.iter().map(|lower| format!("{lower}{PATH}")));
    like.push(format!("{upper}{ETC}"));
    for path in like {
        // Of a link, not of what it points at.
        let len = rustix::fs::lgetxattr(&path, LABEL, &mut label).unwrap_or(0);
        if let Some(label) = label.get(..len).filter(|label| !label.is_empty()) {
            rustix::fs::fsetxattr(new.file(), LABEL, label, XattrFlags::empty())?;
            break;
        }
    }
    new.mode(newfile::ALL_READ)?;
    Ok(new.finish(Lasting::Disk)?)
}
