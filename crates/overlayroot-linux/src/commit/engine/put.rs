// SPDX-License-Identifier: GPL-2.0-or-later
//! A file, a link or a node of the upper gets its place in the lower.

use super::{Engine, Frame, Last, Next};
use crate::commit::scratch::Scratch;
use crate::commit::{below, marks};
use crate::step::tree::node;
use crate::sys::attributes::{beside, by_descriptor, times};
use crate::sys::descent::{is_directory, which};
use crate::sys::files;
use anyhow::{Context, Result};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Uid, chmodat, chownat, linkat, mknodat, readlinkat, renameat, statat, unlinkat,
    utimensat,
};
use rustix::io::Errno;
use std::ffi::CStr;
use std::io::Read;
use std::rc::Rc;

impl Engine<'_> {
    pub(super) fn put(&mut self, frame: &Frame, name: &CStr, stat: &Stat, below: Option<&Stat>) -> Result<Next> {
        if let Some(below) = below.filter(|below| is_directory(below)) {
            below::remove(self.calls, &frame.lower, name, below)?;
        }
        if self.by_rename && !self.found.split.contains(&stat.st_ino) {
            if self.rename(frame, name, stat, below)? {
                return Ok(Next::Goes);
            }
            self.by_rename = false;
        }
        if self.scratch.is_none() {
            self.scratch = Some(Scratch::open(self.calls, &self.upper, &self.lower)?);
        }
        if !self.link(frame, name, stat, below)? {
            self.copy(frame, name, stat)?;
        }
        // Not at once on one file system either: the copy's blocks have no order in its journal.
        self.batch.push(Last::Unlink(Rc::clone(&frame.upper), name.to_owned()), self.way.clone());
        Ok(Next::Goes)
    }

    /// False where the kernel does not take it for one file system.
    fn rename(&mut self, frame: &Frame, name: &CStr, stat: &Stat, below: Option<&Stat>) -> Result<bool> {
        marks::strip(self.calls, &frame.upper, name, stat, self.found.limited)?;
        self.calls.next()?;
        match renameat(&frame.upper, name, &frame.lower, name) {
            Err(Errno::XDEV) => return Ok(false),
            result => result.context("moving it to the lower")?,
        }
        if below.is_some_and(|below| which(below) == which(stat)) {
            // rename(2) does nothing where both are names of one file.
            self.calls.next()?;
            unlinkat(&frame.upper, name, AtFlags::empty())?;
        }
        self.done.entries += 1;
        Ok(true)
    }

    /// Gives a file that has its place by another name already this one, too.
    fn link(&mut self, frame: &Frame, name: &CStr, stat: &Stat, below: Option<&Stat>) -> Result<bool> {
        let Some(scratch) = &self.scratch else { return Ok(false) };
        if stat.st_nlink < 2 && !scratch.has_old {
            return Ok(false);
        }
        let link = stat.st_ino.to_string();
        let Ok(kept) = statat(&scratch.links, &link, AtFlags::SYMLINK_NOFOLLOW) else { return Ok(false) };
        // One that an earlier boot left may be of a file that was changed since.
        if !scratch.knows(stat.st_ino) && !is_same((&frame.upper, name), stat, (&scratch.links, &link), &kept)? {
            return Ok(false);
        }
        if below.is_some_and(|below| which(below) == which(&kept)) {
            return Ok(true);
        }
        self.calls.next()?;
        match linkat(&scratch.links, &link, &scratch.new, name, AtFlags::empty()) {
            Err(Errno::MLINK) => return Ok(false),
            result => result.context("linking it")?,
        }
        self.calls.next()?;
        if let Err(error) = renameat(&scratch.new, name, &frame.lower, name) {
            let _ = unlinkat(&scratch.new, name, AtFlags::empty());
            return Err(error).context("giving the link its name");
        }
        Ok(true)
    }

    fn copy(&mut self, frame: &Frame, name: &CStr, stat: &Stat) -> Result<()> {
        let Some(scratch) = &mut self.scratch else { return Ok(()) };
        self.calls.next()?;
        let copied = copy(&frame.upper, name, stat, &scratch.new).context("copying it");
        let named = copied.and_then(|()| {
            if stat.st_nlink > 1 {
                self.calls.next()?;
                scratch.remember(name, stat.st_ino)?;
            }
            self.calls.next()?;
            renameat(&scratch.new, name, &frame.lower, name).context("giving the copy its name")
        });
        if let Err(error) = named {
            if !error.is::<crate::commit::Cut>() {
                let _ = unlinkat(&scratch.new, name, AtFlags::empty());
            }
            return Err(error);
        }
        if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile {
            let bytes = u64::try_from(stat.st_blocks).unwrap_or_default() * 512;
            self.done.bytes += bytes;
            self.batch.copied(bytes);
        }
        Ok(())
    }
}

fn copy(from: &OwnedFd, name: &CStr, stat: &Stat, to: &OwnedFd) -> Result<()> {
    if !node::copy(from.as_fd(), name, stat, to)? {
        // A socket.
        mknodat(to, name, FileType::Socket, Mode::from_raw_mode(0o600), 0)?;
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
        chmodat(to, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())?;
    }
    marks::complete(&beside(from, name), &beside(to, name))?;
    Ok(utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Whether one is a copy of the other.
fn is_same(one: (&OwnedFd, &CStr), stat: &Stat, other: (&OwnedFd, &str), copied: &Stat) -> Result<bool> {
    let brief = |stat: &Stat| {
        let times = (stat.st_mtime, stat.st_mtime_nsec);
        (stat.st_mode, stat.st_uid, stat.st_gid, stat.st_rdev, stat.st_size, times)
    };
    let attributes = |at: &OwnedFd, name: &[u8]| marks::values(&[by_descriptor(at).as_bytes(), b"/", name].concat());
    if brief(stat) != brief(copied) || attributes(one.0, one.1.to_bytes())? != attributes(other.0, other.1.as_bytes())?
    {
        return Ok(false);
    }
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {
            let (one, other) = (files::open_at(one.0, one.1)?, files::open_at(other.0, other.1)?);
            Ok(is_equal(one, other)?)
        }
        FileType::Symlink => Ok(readlinkat(one.0, one.1, Vec::new())? == readlinkat(other.0, other.1, Vec::new())?),
        FileType::Directory
        | FileType::Fifo
        | FileType::Socket
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Unknown => Ok(true),
    }
}

fn is_equal(mut one: impl Read, mut other: impl Read) -> std::io::Result<bool> {
    let (mut part, mut same) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let read = one.read(&mut part)?;
        let Some(same) = same.get_mut(..read) else { return Ok(false) };
        if read == 0 {
            return Ok(other.read(&mut [0; 1])? == 0);
        }
        match other.read_exact(same) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        if part.get(..read) != Some(&*same) {
            return Ok(false);
        }
    }
}
