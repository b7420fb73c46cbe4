// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes and enlarges loop files. A file has its name only when it is finished, so what an
//! interruption leaves is told from what may hold somebody's changes.

use crate::step::mkfs;
use crate::sys::statvfs::room;
use crate::sys::sync::sync_parent;
use crate::sys::{files, loopdev, newfile};
use anyhow::{Context, Result, ensure};
use overlayroot_core::upper::loop_file::UNFINISHED;
use overlayroot_core::value::file_system::MadeFs;
use overlayroot_core::value::size::human;
use rustix::fs::{FallocateFlags, IFlags, SeekFrom, fallocate, ioctl_getflags, ioctl_setflags, seek};
use rustix::io::Errno;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Told how far it is: what is done now, and how much of how much (0 of 0 where nobody knows).
pub type Tell<'a> = dyn FnMut(&str, u64, u64) + 'a;

/// For whoever does not want to know.
pub fn untold(_: &str, _: u64, _: u64) {}

/// Makes the file, its space reserved, with a file system in it.
///
/// # Errors
/// Where there is no room, mkfs fails, or something has the name already. Nothing is left then.
pub fn make(file: &str, bytes: u64, kind: MadeFs, log: &str, tell: &mut Tell<'_>) -> Result<()> {
    let new = format!("{file}{UNFINISHED}");
    ensure!(Path::new(file).symlink_metadata().is_err(), "{file} exists");
    if let Some(parent) = Path::new(file).parent() {
        fs::create_dir_all(parent).with_context(|| format!("making the directory {}", parent.display()))?;
    }
    let made = fill(&new, bytes, kind, log, tell).and_then(|made| {
        ensure!(files::is_at(&made, &new), "{new} was exchanged meanwhile");
        fs::rename(&new, file).with_context(|| format!("renaming {new} to {file}"))?;
        sync_parent(file)
    });
    if made.is_err() {
        let _ = fs::remove_file(&new);
    }
    made
}

fn fill(new: &str, bytes: u64, kind: MadeFs, log: &str, tell: &mut Tell<'_>) -> Result<File> {
    let file = newfile::fresh(new)?;
    no_cow(&file);
    let context = || format!("reserving {} for {new}", human(bytes));
    reserve(&file, bytes, tell).with_context(context)?;
    tell("making the file system", 0, 0);
    // By its number: who can write the directory may have put a link in the place of the name.
    mkfs::make(&files::for_others(&file), kind, None, log)?;
    // mkfs may have punched holes for what it zeroes in a plain file.
    reserve(&file, bytes, &mut untold).with_context(context)?;
    tell("syncing", 0, 0);
    file.sync_all().with_context(|| format!("syncing {new}"))?;
    Ok(file)
}

/// Every block gets its place on the disk: a sparse file on a full disk loses data after write(2)
/// has reported success.
fn reserve(file: &File, bytes: u64, tell: &mut Tell<'_>) -> Result<()> {
    const PIECE: u64 = 256 << 20;
    let mut done = 0;
    while done < bytes {
        tell("reserving", done, bytes);
        let piece = PIECE.min(bytes - done);
        match fallocate(file, FallocateFlags::empty(), done, piece) {
            Err(Errno::OPNOTSUPP) => return fill_holes(file, bytes, tell),
            result => result?,
        }
        done += piece;
    }
    Ok(())
}

/// ext2 and ext3 know no fallocate: zeros are written where the file has no block yet.
fn fill_holes(file: &File, bytes: u64, tell: &mut Tell<'_>) -> Result<()> {
    let zeros = vec![0; 1 << 20];
    if file.metadata()?.len() < bytes {
        file.set_len(bytes)?;
    }
    let mut done = 0;
    while done < bytes {
        done = seek(file, SeekFrom::Hole(done))?;
        let end = match seek(file, SeekFrom::Data(done)) {
            Err(Errno::NXIO) => bytes,
            data => data?.min(bytes),
        };
        for at in (done..end).step_by(zeros.len()) {
            tell("reserving", at, bytes);
            let piece = usize::try_from(end - at).map_or(zeros.len(), |rest| rest.min(zeros.len()));
            file.write_all_at(zeros.get(..piece).unwrap_or_default(), at)?;
        }
        done = end.max(done);
    }
    Ok(())
}

/// On btrfs a file that is written in place must not be copied at each write; elsewhere there is no such flag.
fn no_cow(file: &File) {
    if let Ok(flags) = ioctl_getflags(file) {
        let _ = ioctl_setflags(file, flags | IFlags::NOCOW);
    }
}

/// Enlarges the file where its own file system keeps `keep` bytes free, and its loop device with it. The file
/// system in it should be mounted: the kernel would have refused one whose end was cut off.
///
/// # Errors
/// Where there is no room; the file is as it was then.
pub fn grow(file: &str, device: &str, bytes: u64, keep: u64, tell: &mut Tell<'_>) -> Result<()> {
    let handle = files::open_own(file, true).with_context(|| format!("opening {file}"))?;
    let before = handle.metadata().with_context(|| format!("looking at {file}"))?.len();
    let more = bytes.saturating_sub(before);
    let free = room(file)?.available.saturating_sub(keep);
    ensure!(more <= free, "growing {file} by {} M: only {} M are free above the reserve", more >> 20, free >> 20);
    let grown = reserve(&handle, bytes, tell).and_then(|()| Ok(handle.sync_all()?));
    grown.inspect_err(|_| {
        let _ = handle.set_len(before);
    })?;
    loopdev::follow(device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    /// A directory that others can write, and a file elsewhere.
    fn stage() -> (tempfile::TempDir, String, String) {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        let (file, victim) = (at("open/upper.img"), at("victim"));
        fs::create_dir(at("open")).unwrap();
        fs::set_permissions(at("open"), fs::Permissions::from_mode(0o777)).unwrap();
        fs::write(&victim, vec![b'x'; 8 << 20]).unwrap();
        (dir, file, victim)
    }

    fn untouched(victim: &str) {
        let bytes = fs::read(victim).unwrap();
        assert!(bytes.len() == 8 << 20 && bytes.iter().all(|byte| *byte == b'x'), "it was written");
    }

    #[test]
    fn a_file_system_is_made_in_the_file_and_not_in_what_has_got_its_name() {
        let (dir, file, victim) = stage();
        let new = format!("{file}{UNFINISHED}");
        let mut swap = |what: &str, _: u64, _: u64| {
            if what.starts_with("making") {
                fs::rename(&new, dir.path().join("aside")).unwrap();
                symlink(&victim, &new).unwrap();
            }
        };
        let log = dir.path().join("log");
        let done = make(&file, 8 << 20, MadeFs::Ext4, log.to_str().unwrap(), &mut swap);
        untouched(&victim);
        assert!(fs::symlink_metadata(&file).is_err(), "the link has got the name");
        // Elsewhere there is no mkfs.
        if format!("{:#}", done.unwrap_err()).contains("exchanged") {
            let made = fs::read(dir.path().join("aside")).unwrap();
            assert!(made.iter().any(|byte| *byte != 0), "no file system was made");
        }
    }

    #[test]
    fn no_file_grows_by_a_link_that_others_can_have_made() {
        let (_dir, file, victim) = stage();
        symlink(&victim, &file).unwrap();
        let grown = grow(&file, "/dev/null", 16 << 20, 0, &mut untold);
        untouched(&victim);
        assert!(format!("{:#}", grown.unwrap_err()).ends_with("a link that others can have made"));
        fs::remove_file(&file).unwrap();
        nix::unistd::mkfifo(Path::new(&file), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(grow(&file, "/dev/null", 16 << 20, 0, &mut untold).is_err());
    }
}
