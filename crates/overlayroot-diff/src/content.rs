// SPDX-License-Identifier: GPL-2.0-or-later
//! The data of files: where it is, and whether two have the same.

use crate::layers::{Dir, Found, Layers, open_quietly};
use crate::stat::{Stat, Type};
use crate::xattr::{Data, Xattrs};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::Read;
use std::os::fd::BorrowedFd;

/// Bytes read at once of each file.
const CHUNK: usize = 128 * 1024;

/// Where an entry is.
#[derive(Clone, Copy)]
pub(crate) struct At<'a> {
    pub dir: &'a Dir,
    pub name: &'a CStr,
    /// What the name is looked for in, where its data is below.
    pub below: &'a [Dir],
}

impl Layers {
    /// Opens the data of a regular file, through layers that have only its inode (metacopy).
    pub(crate) fn data(&self, at: At<'_>, xattrs: &mut Xattrs) -> rustix::io::Result<File> {
        let (mut dir, mut name) = (at.dir.clone(), at.name.to_owned());
        // every turn goes one layer down
        loop {
            let wanted = match xattrs.metacopy(dir.fd(), &name)? {
                Data::Here => return open(dir.fd(), &name),
                Data::Below => name.to_bytes().to_vec(),
                Data::BelowAt(path) => path,
            };
            let after = (dir.layer != usize::MAX).then_some(dir.layer);
            match self.find(at.below, after, &wanted, xattrs)? {
                Found::Leaf(leaf) if leaf.stat.kind == Type::File => (dir, name) = (leaf.dir, leaf.name),
                // the lower has changed since
                Found::Nothing | Found::Leaf(_) | Found::Dirs(..) => return Err(Errno::STALE),
            }
        }
    }
}

/// Opens the data that a layer has itself.
pub(crate) fn open(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<File> {
    // a pipe that took the file's place must not hold us
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(open_quietly(dir, name, flags)?))
}

/// Room to compare in, made when it is first needed.
#[derive(Default)]
pub(crate) struct Buffers {
    now: Vec<u8>,
    was: Vec<u8>,
}

impl Buffers {
    /// Whether two files hold the same bytes.
    pub fn same(&mut self, mut now: File, mut was: File) -> std::io::Result<bool> {
        use std::os::fd::AsFd;
        if Stat::of(now.as_fd())?.id() == Stat::of(was.as_fd())?.id() {
            return Ok(true);
        }
        self.now.resize(CHUNK, 0);
        self.was.resize(CHUNK, 0);
        loop {
            let (a, b) = (fill(&mut now, &mut self.now)?, fill(&mut was, &mut self.was)?);
            if self.now.get(..a) != self.was.get(..b) {
                return Ok(false);
            }
            if a < CHUNK {
                return Ok(true);
            }
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut len = 0;
    while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

/// What a link points to.
pub(crate) fn target(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<CString> {
    rustix::fs::readlinkat(dir, name, Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_compared_to_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            std::fs::write(dir.path().join(name), bytes).unwrap();
            File::open(dir.path().join(name)).unwrap()
        };
        let mut buffers = Buffers::default();
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let bytes = vec![7; len];
            assert!(buffers.same(file("a", &bytes), file("b", &bytes)).unwrap(), "{len}");
            if len > 0 {
                let mut other = bytes.clone();
                *other.last_mut().unwrap() = 8;
                assert!(!buffers.same(file("a", &bytes), file("b", &other)).unwrap(), "{len}");
                assert!(!buffers.same(file("a", &bytes), file("b", &bytes[1..])).unwrap(), "{len}");
            }
        }
    }
}
