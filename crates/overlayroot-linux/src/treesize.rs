// SPDX-License-Identifier: GPL-2.0-or-later
//! Sizes of the directories of a tree: by descriptors, so that no link leads out of it, on one file system, in
//! bounded memory.

use anyhow::{Context, Result};
use overlayroot_core::growth::{Sizes, Tally};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dev, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use std::ffi::CStr;
use std::time::Instant;

/// A descriptor is held for each level: what lies deeper is not counted.
const DEEPEST: usize = 128;
/// The clock is asked once in so many entries.
const ENTRIES: u32 = 256;

/// What a walk found.
pub struct Walked {
    /// The sizes.
    pub sizes: Sizes,
    /// Whether all was seen before the time was up.
    pub whole: bool,
}

/// A directory that is being read.
struct Open {
    entries: Dir,
    path: String,
    tally: Tally,
}

/// Counts what lies in each directory below `top`, until `end`. Hard links count in parts. What can't be read,
/// because somebody removes it meanwhile, counts as nothing.
///
/// # Errors
/// Where `top` itself can't be read.
pub fn sizes(top: &str, end: Option<Instant>) -> Result<Walked> {
    let context = || format!("reading {top}");
    // `top` may be our own link to the upper; below it no link is followed.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = openat(CWD, top, flags, Mode::empty()).with_context(context)?;
    let stat = fstat(&top).with_context(context)?;
    let device = stat.st_dev;
    let mut sizes = Sizes::default();
    let first = Open { tally: tally(&stat), entries: Dir::new(top).with_context(context)?, path: String::new() };
    let mut open = vec![first];
    let mut count = 0_u32;
    while let Some(here) = open.last_mut() {
        count = count.wrapping_add(1);
        if count % ENTRIES == 0 && end.is_some_and(|end| Instant::now() >= end) {
            close(&mut open, &mut sizes);
            return Ok(Walked { sizes, whole: false });
        }
        match here.next(device) {
            Next::File => {}
            Next::Directory(inner, name) if open.len() < DEEPEST => open.extend(inside(&open, inner, &name)),
            Next::Directory(..) => {}
            Next::End => {
                if let Some(done) = open.pop() {
                    sizes.add(&format!("{}/", done.path), done.tally);
                }
            }
        }
    }
    Ok(Walked { sizes, whole: true })
}

fn close(open: &mut Vec<Open>, sizes: &mut Sizes) {
    for one in open.drain(..) {
        sizes.add(&format!("{}/", one.path), one.tally);
    }
}

enum Next {
    File,
    Directory(OwnedFd, String),
    End,
}

impl Open {
    fn next(&mut self, device: Dev) -> Next {
        let Some(Ok(entry)) = self.entries.read() else {
            return Next::End;
        };
        let name = entry.file_name();
        if name == c"." || name == c".." {
            return Next::File;
        }
        let Ok(directory) = self.entries.fd() else {
            return Next::File;
        };
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        match statat(directory, name, flags) {
            Ok(stat) if stat.st_dev == device => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => enter(directory, name, device).unwrap_or(Next::File),
                _ => {
                    self.tally.add(tally(&stat));
                    Next::File
                }
            },
            _ => Next::File,
        }
    }
}

/// Opens a directory, unless something else has its name by now.
fn enter(directory: BorrowedFd<'_>, name: &CStr, device: Dev) -> Option<Next> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::NOATIME | OFlags::CLOEXEC;
    let inner = openat(directory, name, flags, Mode::empty()).ok()?;
    let stat = fstat(inner.as_fd()).ok()?;
    (stat.st_dev == device).then(|| Next::Directory(inner, name.to_string_lossy().into_owned()))
}

fn inside(open: &[Open], inner: OwnedFd, name: &str) -> Option<Open> {
    let above = open.last().map_or("", |here| here.path.as_str());
    let stat = fstat(&inner).ok()?;
    Some(Open { path: format!("{above}/{name}"), tally: tally(&stat), entries: Dir::new(inner).ok()? })
}

#[allow(clippy::useless_conversion, reason = "the kernel's types differ between machines")]
fn tally(stat: &Stat) -> Tally {
    let blocks = u64::try_from(stat.st_blocks).unwrap_or(0) * 512;
    // A directory's links are the directories in it.
    let links = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => 1,
        _ => u64::from(stat.st_nlink).max(1),
    };
    Tally { bytes: blocks / links, inodes: 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlayroot_core::growth::ranking;
    use overlayroot_core::levels::Resource;
    use std::fs;

    #[test]
    fn what_grew_is_found_and_links_are_not_followed() {
        let tree = tempfile::tempdir().unwrap();
        let at = |name: &str| tree.path().join(name);
        fs::create_dir_all(at("var/log/app")).unwrap();
        fs::create_dir_all(at("etc")).unwrap();
        fs::write(at("etc/large"), vec![1; 3 << 20]).unwrap();
        let walk = || sizes(tree.path().to_str().unwrap(), None).unwrap();
        let before = walk();
        assert!(before.whole);
        fs::write(at("var/log/app/log"), vec![1; 2 << 20]).unwrap();
        fs::hard_link(at("var/log/app/log"), at("var/log/app/again")).unwrap();
        std::os::unix::fs::symlink("/usr", at("etc/usr")).unwrap();
        std::os::unix::fs::symlink(at("etc"), at("var/etc")).unwrap();
        let found = ranking(&before.sizes, &walk().sizes, Resource::Bytes, 5);
        assert_eq!(found[0].directory, "/var/log/app");
        let mib = found[0].by.bytes >> 20;
        assert!(mib == 2 && found[0].by.inodes == 2, "{found:?}");
        assert!(found.iter().all(|one| one.directory != "/etc"), "{found:?}");
    }

    #[test]
    fn it_ends_in_time_and_with_any_depth() {
        let tree = tempfile::tempdir().unwrap();
        let mut deep = tree.path().to_owned();
        for _ in 0..DEEPEST + 20 {
            deep.push("d");
        }
        fs::create_dir_all(&deep).unwrap();
        let top = tree.path().to_str().unwrap();
        assert!(sizes(top, None).unwrap().whole);
        for number in 0..2 * ENTRIES {
            fs::write(tree.path().join(number.to_string()), "").unwrap();
        }
        let cut = sizes(top, Some(Instant::now())).unwrap();
        assert!(!cut.whole && !cut.sizes.is_empty());
        assert!(sizes("/nowhere/at/all", None).is_err());
    }
}
