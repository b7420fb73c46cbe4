// SPDX-License-Identifier: GPL-2.0-or-later
//! Gives the machine its name. Written straight into the upper: the merged root is not mounted yet, and a copy-up
//! before the policy is loaded would lose SELinux labels (Linux 6.1).

use crate::files::remove;
use crate::reset::sync;
use crate::store::copy_attributes;
use crate::undo::Undo;
use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{Mode, XattrFlags};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

const LABEL: &str = "security.selinux";
const ETC: &str = "etc";

/// Writes `/etc/hostname` into the upper, unless the layers show that name already, and tells the kernel, so that
/// the journal of this boot has the name from here on.
///
/// # Errors
/// Where it can't be written; the overlay stands without it.
pub fn set(name: &str, upper: &str, lowers: &[String], undos: &mut Vec<Undo>) -> Result<()> {
    let layers: Vec<&str> = std::iter::once(upper).chain(lowers.iter().map(String::as_str)).collect();
    let text = format!("{name}\n");
    if shown(&layers).as_deref() != Some(text.as_bytes()) {
        write(&text, upper, lowers)?;
    }
    let before = nix::unistd::gethostname().context("asking for the hostname")?;
    if before != name {
        nix::unistd::sethostname(name).context("setting the hostname")?;
        undos.push(Undo::Hostname(before));
    }
    Ok(())
}

/// What `/etc/hostname` of the merged root will be, if it is a plain file.
fn shown(layers: &[&str]) -> Option<Vec<u8>> {
    for layer in layers {
        let etc = format!("{layer}/{ETC}");
        let Ok(metadata) = fs::symlink_metadata(&etc) else {
            continue;
        };
        let path = format!("{etc}/hostname");
        match fs::symlink_metadata(&path) {
            // A layer's own link, whiteout or directory hides what is below.
            Ok(found) if !found.is_file() => return None,
            Ok(_) => {
                let mut text = Vec::new();
                File::open(&path).ok()?.take(256).read_to_end(&mut text).ok()?;
                return Some(text);
            }
            Err(_) if !metadata.is_dir() || is_opaque(&etc) => return None,
            Err(_) => {}
        }
    }
    None
}

fn is_opaque(directory: &str) -> bool {
    rustix::fs::lgetxattr(directory, "trusted.overlay.opaque", &mut [0_u8; 8]).is_ok_and(|len| len > 0)
}

fn write(text: &str, upper: &str, lowers: &[String]) -> Result<()> {
    let etc = format!("{upper}/{ETC}");
    match fs::symlink_metadata(&etc) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => bail!("/etc of the upper is no directory"),
        Err(_) => make_etc(&etc, lowers)?,
    }
    let (path, new) = (format!("{etc}/hostname"), format!("{etc}/.hostname.overlayroot-rs"));
    let context = || format!("writing {path}");
    // What a cut left; whoever could write here may have put a link in its place.
    remove(&new)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(&new).with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(0o644)).with_context(context)?;
    let like = lowers.iter().flat_map(|lower| [format!("{lower}/{ETC}/hostname"), format!("{lower}/{ETC}")]);
    if let Some(label) = label(std::iter::once(path.clone()).chain(like).chain([etc.clone()])) {
        rustix::fs::fsetxattr(&file, LABEL, &label, XattrFlags::empty()).with_context(context)?;
    }
    file.sync_all().with_context(context)?;
    fs::rename(&new, &path).with_context(context)?;
    sync(&etc)
}

/// As the topmost layer that has one.
fn make_etc(etc: &str, lowers: &[String]) -> Result<()> {
    let like = lowers.iter().map(|lower| format!("{lower}/{ETC}")).find(|path| fs::symlink_metadata(path).is_ok());
    if let Some(like) = &like {
        ensure!(fs::symlink_metadata(like).is_ok_and(|found| found.is_dir()), "/etc of the lower is no directory");
    }
    fs::create_dir(etc).with_context(|| format!("making {etc}"))?;
    like.map_or(Ok(()), |like| copy_attributes(&like, etc))
}

/// The SELinux label of the first of these that has one; of links, not of what they point at.
fn label(paths: impl Iterator<Item = String>) -> Option<Vec<u8>> {
    let mut value = vec![0_u8; 4096];
    let mut paths = paths;
    let len = paths.find_map(|path| rustix::fs::lgetxattr(path, LABEL, &mut value).ok().filter(|len| *len > 0))?;
    value.truncate(len);
    Some(value)
}
