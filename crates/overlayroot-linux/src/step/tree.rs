// SPDX-License-Identifier: GPL-2.0-or-later
//! Copies trees with owner, mode, times, extended attributes and hard links, by descriptors. Follows no link, and goes
//! into nothing that is mounted below. What an overlay merges is copied from its layers: through it a whiteout of the
//! lower is named and not found, and no mark of overlayfs is seen, so a store of container images would lose what its
//! layers remove.

pub(crate) mod node;

use crate::step::layers::{self, Layer};
use crate::sys::attributes::{beside, by_descriptor, copy_attributes_of, xattr, xattrs};
use crate::sys::descent::{self, is_directory, names, which};
use crate::sys::way::Way;
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::value::order::sorted;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dev, FileType, Mode, Stat, XattrFlags, fstat, linkat, mkdirat, statat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Marks of overlayfs begin so.
const MARK: &str = "trusted.overlay.";
/// And those that somebody set through an overlay, which keeps them so (Linux 6.7).
const ESCAPED: &str = "trusted.overlay.overlay.";

/// Copies the content and the attributes of the directory that `from` merges to, topmost first, to the empty directory
/// `to`. Of the directories in `apart`, seen from there, only the attributes: something is mounted on them.
///
/// # Errors
/// The first thing that can't be copied.
pub fn copy(from: &[Layer], to: &str, apart: &[PathBuf]) -> Result<()> {
    let open = |layer: &Layer| {
        let fd = descent::open(CWD, &layer.path).with_context(|| format!("opening {}", layer.path.display()))?;
        Ok(Directory { fd, own: layer.own })
    };
    let opened = || descent::open(CWD, to).with_context(|| format!("opening {to}"));
    let from = from.iter().map(open).collect::<Result<_>>()?;
    Copy { apart, from, to: opened()?, way: Way::from(opened()?), links: HashMap::new() }.all()
}

/// A directory of one layer ([`Layer::own`]).
struct Directory {
    fd: OwnedFd,
    own: bool,
}

impl Directory {
    /// A path to a name in it.
    fn path(&self, name: &CStr) -> PathBuf {
        PathBuf::from(OsStr::from_bytes(&beside(&self.fd, name)))
    }
}

/// A directory above the one that is copied.
enum Above {
    /// This layer has nothing of what is below: it stays open.
    Open(Directory),
    /// Which one the way back leads to.
    Back((Dev, u64), bool),
}

struct Copy<'a> {
    apart: &'a [PathBuf],
    /// What merges to the directory that this is in.
    from: Vec<Directory>,
    /// Where in the copy this is, and the way there from its top.
    to: OwnedFd,
    way: Way,
    /// First names of files with several, by what the kernel calls them, and the homes that these are in.
    links: HashMap<(Dev, u64), (usize, CString)>,
}

impl Copy<'_> {
    /// However deep it is, a directory of each layer and two more are open.
    fn all(&mut self) -> Result<()> {
        let mut left = self.names()?;
        let mut above: Vec<(Vec<CString>, Vec<Above>)> = Vec::new();
        loop {
            if let Some(name) = left.pop() {
                let context = || format!("copying {}", name.to_string_lossy());
                let found = self.merge(&name).with_context(context)?;
                if let Some(outer) = self.entry(&name, &found).with_context(context)? {
                    above.push((std::mem::replace(&mut left, self.names()?), outer));
                }
                continue;
            }
            attributes(&self.from, &self.to)?;
            let Some((names, outer)) = above.pop() else { return Ok(()) };
            self.back(outer)?;
            left = names;
        }
    }

    fn names(&self) -> Result<Vec<CString>> {
        let mut all = Vec::new();
        for directory in &self.from {
            all.extend(names(&directory.fd)?);
        }
        let mut all = sorted(all);
        all.dedup();
        Ok(all)
    }

    /// What the layers have under a name, as [`layers::merge`].
    fn merge(&self, name: &CStr) -> Result<Vec<(usize, Stat)>> {
        let mut found = Vec::new();
        for (number, directory) in self.from.iter().enumerate() {
            let stat = match statat(&directory.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                other => other?,
            };
            let whiteout = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0;
            if directory.own && whiteout {
                break;
            }
            if directory.own {
                followed(&directory.path(name))?;
            }
            let inner = is_directory(&stat);
            let closed = !inner || (directory.own && layers::is_opaque(directory.path(name)));
            if inner || found.is_empty() {
                found.push((number, stat));
            }
            if closed {
                break;
            }
        }
        Ok(found)
    }

    /// Copies one thing, or goes into a directory, and gives back what is above it.
    fn entry(&mut self, name: &CStr, found: &[(usize, Stat)]) -> Result<Option<Vec<Above>>> {
        let Some((number, stat)) = found.first() else { return Ok(None) };
        if !is_directory(stat) {
            let from = self.from.get(*number).context("no such layer")?;
            let key = (stat.st_dev, stat.st_ino);
            let several = stat.st_nlink > 1;
            if let Some((home, first)) = self.links.get(&key).filter(|_| several).cloned() {
                match linkat(self.way.reach(home, &self.to)?, &first, &self.to, name, AtFlags::empty()) {
                    // All whiteouts of a layer can be one file; it has another limit here.
                    Err(Errno::MLINK) => {}
                    linked => return Ok(linked.map(|()| None)?),
                }
            }
            let made = node::copy(from.fd.as_fd(), name, stat, &self.to)?;
            if made && FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
                let to = PathBuf::from(OsStr::from_bytes(&beside(&self.to, name)));
                marks(&from.path(name), from.own, &to)?;
            }
            if several && made {
                let home = self.way.home();
                self.links.insert(key, (home, name.to_owned()));
            }
            return Ok(None);
        }
        mkdirat(&self.to, name, Mode::RWXU)?;
        let made = descent::open(&self.to, name)?;
        let mut inner = Vec::new();
        for (number, stat) in found {
            let from = self.from.get(*number).context("no such layer")?;
            let fd = descent::open(&from.fd, name)?;
            ensure!(which(&fstat(&fd)?) == which(stat), "it was exchanged");
            inner.push(Directory { fd, own: from.own });
        }
        self.way.push(name.to_owned());
        if !self.apart.is_empty() && self.apart.contains(&self.way.path()) {
            self.way.pop();
            return attributes(&inner, &made).map(|()| None);
        }
        let goes_on = |number: usize| found.iter().any(|(found, _)| *found == number);
        let mut outer = Vec::new();
        for (number, directory) in std::mem::replace(&mut self.from, inner).into_iter().enumerate() {
            outer.push(match goes_on(number) {
                true => Above::Back(which(&fstat(&directory.fd)?), directory.own),
                false => Above::Open(directory),
            });
        }
        self.to = made;
        Ok(Some(outer))
    }

    fn back(&mut self, outer: Vec<Above>) -> Result<()> {
        let mut inner = std::mem::take(&mut self.from).into_iter();
        for above in outer {
            self.from.push(match above {
                Above::Open(directory) => directory,
                Above::Back(expected, own) => {
                    let child = inner.next().context("no way back")?;
                    let fd = descent::open(&child.fd, "..").context("going back")?;
                    ensure!(which(&fstat(&fd)?) == expected, "a directory was moved");
                    Directory { fd, own }
                }
            });
        }
        self.way.pop();
        self.to = descent::open(&self.to, "..").context("going back in the copy")?;
        Ok(())
    }
}

/// What an upper has must be told by its names alone.
///
/// # Errors
/// Where it is not.
pub(crate) fn followed(path: &Path) -> Result<()> {
    let metacopy = || rustix::fs::lgetxattr(path, "trusted.overlay.metacopy", &mut [0; 0]).is_ok();
    if layers::is_redirected(path) || metacopy() || layers::opaque(path) == Some(b'x') {
        bail!("it has its content elsewhere (redirect_dir, metacopy, marked whiteouts), which a copy can't follow");
    }
    Ok(())
}

/// Those of the topmost. Marks that are data are on the lowest, which no copy-up takes along, or escaped on the
/// topmost, where one was set through the overlay.
fn attributes(from: &[Directory], to: &OwnedFd) -> Result<()> {
    let Some(top) = from.first() else { return Ok(()) };
    copy_attributes_of(&top.fd, to)?;
    let lowest = from.last().filter(|layer| !layer.own);
    for layer in lowest.into_iter().chain(Some(top).filter(|layer| layer.own)) {
        marks(Path::new(&by_descriptor(&layer.fd)), layer.own, Path::new(&by_descriptor(to)))?;
    }
    Ok(())
}

/// Marks that are data.
fn marks(from: &Path, own: bool, to: &Path) -> Result<()> {
    let prefix = if own { ESCAPED } else { MARK };
    for name in xattrs(from).context("reading marks of overlayfs")? {
        // A handle of a file that is another after the copy; overlayfs does without.
        let Some(mark) = name.strip_prefix(prefix).filter(|mark| *mark != "origin") else { continue };
        let set = xattr(from, &name)
            .and_then(|value| Ok(rustix::fs::setxattr(to, format!("{MARK}{mark}"), &value, XattrFlags::empty())?));
        set.with_context(|| format!("copying the mark {name}"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
