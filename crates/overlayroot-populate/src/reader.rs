// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads the entries of a tar archive: ustar, GNU's long names, pax. The crate `tar` is not used: it splits extended
//! headers at line ends, which a capability or a label may contain, and leaves every check to its caller.

use crate::fault::{At, Result, archive, shown};
use crate::header::{BLOCK, Header};
use crate::pax::{self, Extended};
use std::io::Read;

/// Longest extended header or long name: attributes have at most 64 KiB each.
const MOST_EXTENDED: i64 = 1 << 20;
/// Most of such headers before one entry: the two long names, the extended header and a volume's label, some twice.
const MOST_HEADERS: u32 = 8;
/// Most bytes of such headers in an archive, where there is nothing to be kept of them.
const MOST_SAID: u64 = 1 << 30;
/// Longest path, as for system calls (PATH_MAX).
const MOST_PATH: usize = 4096;
/// Deepest path. The kernel's overlay has no bound of its own; what people pack has some 30.
const MOST_PARTS: usize = 256;
/// What may follow the end: a tape's block, and then some.
const MOST_BEHIND: u64 = 16 << 20;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file; its bytes follow.
    File,
    /// A further name of an earlier entry.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device.
    Char,
    /// A block device.
    Block,
    /// A directory.
    Directory,
    /// A pipe.
    Fifo,
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its parts, from the root of the archive on; none for the root itself.
    pub path: Vec<Vec<u8>>,
    /// What it is.
    pub kind: Kind,
    /// What a link points at.
    pub link: Vec<u8>,
    /// Permissions, set-id and sticky bits.
    pub mode: u32,
    /// Number of the user.
    pub uid: u32,
    /// Number of the group.
    pub gid: u32,
    /// When it was changed: seconds since 1970, nanoseconds.
    pub mtime: (i64, u32),
    /// Bytes of a file.
    pub size: u64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// Its name for a line.
    pub fn shown(&self) -> String {
        shown(&self.path.join(&b'/'))
    }
}

/// An archive that is being read.
pub struct Archive<R> {
    from: R,
    /// Bytes of the entry that nobody has read yet, and those that fill its last block.
    left: u64,
    pad: u64,
    /// Bytes of the headers that said something of an entry to come.
    said: u64,
}

impl<R: Read> Archive<R> {
    /// An archive from its beginning on.
    pub fn new(from: R) -> Self {
        Self { from, left: 0, pad: 0, said: 0 }
    }

    /// The next entry; what is left of the one before is passed over.
    ///
    /// # Errors
    /// Where it can't be read, ends without its end, or is of a kind that is not understood.
    pub fn entry(&mut self) -> Result<Option<Entry>> {
        let (mut extended, mut name, mut link) = (Extended::default(), None, None);
        for number in 0.. {
            if number > MOST_HEADERS {
                return archive(format!("it has more than {MOST_HEADERS} headers before one entry"));
            }
            self.skip()?;
            let Some(block) = self.block()? else {
                return Ok(None);
            };
            let header = Header::read(&block)?;
            match header.kind() {
                b'x' => pax::read(&self.extended(&header)?, &mut extended)?,
                b'g' => global(&self.extended(&header)?)?,
                b'L' => name = Some(until_nul(self.extended(&header)?)),
                b'K' => link = Some(until_nul(self.extended(&header)?)),
                // A volume's label.
                b'V' => drop(self.extended(&header)?),
                kind => {
                    let path = extended.path.take().or(name).unwrap_or_else(|| header.name());
                    let link = extended.link.take().or(link).unwrap_or_else(|| header.link());
                    return self.plain(&header, kind, &path, link, extended).map(Some);
                }
            }
        }
        early()
    }

    fn plain(&mut self, header: &Header<'_>, kind: u8, path: &[u8], link: Vec<u8>, more: Extended) -> Result<Entry> {
        let kind = match kind {
            // Before POSIX a directory was a file with a slash at the end of its name.
            0 | b'0' if path.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Char,
            b'4' => Kind::Block,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            b'S' => return pax::sparse(),
            other => {
                return archive(format!("{} is of kind '{}', which is not supported", shown(path), shown(&[other])));
            }
        };
        let size = match more.size {
            Some(size) => size,
            None => header.size()?,
        };
        if size < 0 {
            return archive(format!("{} has the size {size}", shown(path)));
        }
        if size != 0 && kind != Kind::File {
            // Programs differ in whether such bytes follow: what is the next header then?
            return archive(format!("{} is not a file and has a size", shown(path)));
        }
        self.begin(size);
        let number = |given: Option<i64>, header: Result<i64>| match given {
            Some(given) => narrow(given, path),
            None => narrow(header?, path),
        };
        let (major, minor) = match kind {
            Kind::Char | Kind::Block => header.device()?,
            Kind::File | Kind::HardLink | Kind::Symlink | Kind::Directory | Kind::Fifo => (0, 0),
        };
        Ok(Entry {
            path: parts(path, "a name")?,
            kind,
            link,
            mode: narrow(header.mode()?, path)? & 0o7777,
            uid: number(more.uid, header.uid())?,
            gid: number(more.gid, header.gid())?,
            mtime: match more.mtime {
                Some(time) => time,
                None => (header.mtime()?, 0),
            },
            size: self.left,
            device: (narrow(major, path)?, narrow(minor, path)?),
            xattrs: more.xattrs,
        })
    }

    fn begin(&mut self, size: i64) {
        self.left = u64::try_from(size).unwrap_or(0);
        self.pad = self.left.next_multiple_of(BLOCK as u64) - self.left;
    }

    /// The content of a header that says something of the entry to come.
    fn extended(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        let size = header.size()?;
        if !(0..=MOST_EXTENDED).contains(&size) {
            return archive(format!("an extended header has {size} bytes"));
        }
        self.begin(size);
        self.said = self.said.saturating_add(self.left);
        if self.said > MOST_SAID {
            return archive("its extended headers have more than 1 GiB");
        }
        let mut data = Vec::new();
        self.by_ref().read_to_end(&mut data).at(|| "reading the archive".to_owned())?;
        Ok(data)
    }

    fn skip(&mut self) -> Result<()> {
        let much = self.left + self.pad;
        let read = std::io::copy(&mut self.from.by_ref().take(much), &mut std::io::sink());
        let whole = read.at(|| "reading the archive".to_owned())? == much;
        (self.left, self.pad) = (0, 0);
        if whole { Ok(()) } else { early() }
    }

    /// A header's block; nothing at the archive's end, behind which nothing but zeros may be.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        match self.from.read_exact(&mut block) {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return early(),
            result => result.at(|| "reading the archive".to_owned())?,
        }
        if block.iter().any(|byte| *byte != 0) {
            return Ok(Some(block));
        }
        // To its very end, for a compressed one has its checksum there.
        let (mut piece, mut much) = (vec![0; 1 << 16], 0);
        while much < MOST_BEHIND {
            let got = self.from.read(&mut piece).at(|| "reading the archive".to_owned())?;
            if got == 0 {
                return Ok(None);
            }
            if piece.get(..got).unwrap_or_default().iter().any(|byte| *byte != 0) {
                break;
            }
            much += got as u64;
        }
        archive("it goes on behind its end")
    }
}

impl<R: Read> Read for Archive<R> {
    /// The bytes of the entry.
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        let got = self.from.read(into.get_mut(..most).unwrap_or_default())?;
        if got == 0 && most > 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the archive ends early"));
        }
        self.left -= got as u64;
        Ok(got)
    }
}

fn early<T>() -> Result<T> {
    archive("it ends early")
}

fn until_nul(mut data: Vec<u8>) -> Vec<u8> {
    if data.last() == Some(&0) {
        data.pop();
    }
    data
}

/// What it says holds for all entries to come: a comment, as git writes it, is no harm.
fn global(data: &[u8]) -> Result<()> {
    let mut said = Extended::default();
    pax::read(data, &mut said)?;
    match said == Extended::default() {
        true => Ok(()),
        false => archive("it has a global header that would change every entry"),
    }
}

fn narrow(value: i64, path: &[u8]) -> Result<u32> {
    // 4294967295 is "no user" to chown(2).
    let fits = u32::try_from(value).ok().filter(|value| *value != u32::MAX);
    fits.map_or_else(|| archive(format!("{}: the number {value} is out of range", shown(path))), Ok)
}

/// The parts of a path from the archive's root on.
///
/// # Errors
/// One that is absolute, climbs, has a NUL in it, or more than 4096 bytes or 256 parts.
pub fn parts(path: &[u8], what: &str) -> Result<Vec<Vec<u8>>> {
    if path.len() > MOST_PATH {
        return archive(format!("{what} has {} bytes: {}...", path.len(), shown(path.get(..64).unwrap_or_default())));
    }
    if path.starts_with(b"/") {
        return archive(format!("{what} is absolute: {}", shown(path)));
    }
    if path.contains(&0) {
        return archive(format!("{what} has a NUL in it: {}", shown(path)));
    }
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    let parts: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
    if path.is_empty() || parts.iter().any(|part| part == b"..") {
        return archive(format!("{what} leads out of the archive's root: {}", shown(path)));
    }
    if parts.len() > MOST_PARTS {
        return archive(format!("{what} has {} parts: {}...", parts.len(), shown(path.get(..64).unwrap_or_default())));
    }
    Ok(parts)
}
