// SPDX-License-Identifier: GPL-2.0-or-later
//! Unpacks an archive into an empty directory. What it may hold is checked here, entry by entry; one that may not
//! be ends the whole.

use crate::fault::{At, Fault, Result, archive, shown};
use crate::make;
use crate::reader::{Archive, Entry, Kind, parts};
use crate::tree::{self, Found};
use overlayroot_linux::sys::statvfs::room;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, unlinkat, utimensat};
use std::collections::BTreeMap;
use std::io::Read;

/// What stays free: the overlay needs a little to begin with.
pub const RESERVE: u64 = 1 << 20;
/// More entries than a whole distribution has.
const MOST_ENTRIES: u64 = 1_000_000;
/// A few bytes of a compressed archive can say the same entry as often as all others together.
const MOST_REPEATED: u64 = 50_000;

/// Device numbers have 12 and 20 bits (kernel: include/linux/kdev_t.h).
const MAJORS: u32 = 1 << 12;
const MINORS: u32 = 1 << 20;
/// Most bytes of the names of directories whose times are to be set: some hundred thousand of them.
const MOST_NAMES: usize = 32 << 20;

/// The parts of a path.
type Parts = Vec<Vec<u8>>;

/// Unpacks into a directory.
pub struct Unpack {
    into: OwnedFd,
    lower: OwnedFd,
    devices: bool,
    /// Times of directories, which change with what is made in them.
    times: BTreeMap<Parts, (i64, u32)>,
    /// Bytes of their names.
    names: usize,
    repeated: u64,
    /// Entries so far.
    pub entries: u64,
    /// Entries with an attribute that the file system has no place for.
    pub lost: u64,
}

impl Unpack {
    /// Into the empty directory `into`, over the root at `lower`.
    pub fn new(into: &str, lower: &str, devices: bool) -> Result<Self> {
        let (into, lower) = (tree::root(into)?, tree::root(lower)?);
        Ok(Self { into, lower, devices, times: BTreeMap::new(), names: 0, repeated: 0, entries: 0, lost: 0 })
    }

    /// The whole archive.
    ///
    /// # Errors
    /// The first entry that may not be, or can't be made. What was made by then is the caller's to remove.
    pub fn all<R: Read>(&mut self, from: &mut Archive<R>) -> Result<()> {
        while let Some(entry) = from.entry()? {
            self.entries += 1;
            if self.entries > MOST_ENTRIES {
                return archive(format!("it has more than {MOST_ENTRIES} entries"));
            }
            self.entry(entry, from)?;
        }
        // What is said last of a directory holds.
        for (path, time) in &self.times {
            let Some((name, parents)) = path.split_last() else { continue };
            let parent = self.way(parents)?;
            utimensat(&parent, name.as_slice(), &make::times(*time), AtFlags::SYMLINK_NOFOLLOW)
                .at(|| format!("setting the time of {}", shown(&path.join(&b'/'))))?;
        }
        Ok(())
    }

    fn entry<R: Read>(&mut self, mut entry: Entry, from: &mut Archive<R>) -> Result<()> {
        let path = entry.path.clone();
        let Some((name, parents)) = path.split_last() else {
            // "./": the merged root keeps the lower's attributes, not those of the directory it was packed in.
            return match entry.kind {
                Kind::Directory => Ok(()),
                Kind::File | Kind::HardLink | Kind::Symlink | Kind::Char | Kind::Block | Kind::Fifo => {
                    archive("its root is not a directory")
                }
            };
        };
        self.allowed(&entry)?;
        let parent = self.parent(&path)?;
        let there = tree::look(parent.as_fd(), name)?;
        let lower = tree::lower(self.lower.as_fd(), parents)?;
        self.over_lower(&entry, name, lower.as_ref())?;
        if entry.kind == Kind::HardLink {
            return self.hard_link(&entry, &parent, name, &there);
        }
        if !entry.xattrs.iter().any(|(attribute, _)| attribute == make::LABEL.as_bytes()) {
            let like = lower.as_ref().and_then(|lower| make::label(lower.as_fd(), name));
            let label = like.or_else(|| make::label(parent.as_fd(), b""));
            entry.xattrs.extend(label.map(|label| (make::LABEL.as_bytes().to_vec(), label)));
        }
        match (there, entry.kind) {
            (Found::Directory(_), Kind::Directory) => self.again()?,
            (Found::Missing, Kind::File) => self.file(&parent, name, &entry, from)?,
            (Found::Missing, _) => make::node(parent.as_fd(), name, &entry)?,
            (Found::Other(kind), _) if same(kind, entry.kind) => {
                // Said twice, as tar --append does: the last one holds.
                self.again()?;
                unlinkat(&parent, name.as_slice(), AtFlags::empty()).at(|| format!("replacing {}", entry.shown()))?;
                match entry.kind {
                    Kind::File => self.file(&parent, name, &entry, from)?,
                    Kind::HardLink | Kind::Symlink | Kind::Char | Kind::Block | Kind::Directory | Kind::Fifo => {
                        make::node(parent.as_fd(), name, &entry)?
                    }
                }
            }
            _ => return archive(format!("{} is in it twice, as different things", entry.shown())),
        }
        if entry.kind == Kind::Directory {
            self.time(path.clone(), entry.mtime)?;
        }
        self.lost += u64::from(make::dress(parent.as_fd(), name, &entry)?);
        Ok(())
    }

    /// A name that is there: some programs say a directory twice, and what was appended is said again.
    fn again(&mut self) -> Result<()> {
        self.repeated += 1;
        match self.repeated > MOST_REPEATED {
            true => archive(format!("more than {MOST_REPEATED} of its entries are in it more than once")),
            false => Ok(()),
        }
    }

    fn time(&mut self, path: Parts, time: (i64, u32)) -> Result<()> {
        let bytes: usize = path.iter().map(|part| part.len() + size_of::<Vec<u8>>()).sum();
        if self.times.insert(path, time).is_none() {
            self.names += bytes;
        }
        match self.names > MOST_NAMES {
            true => archive("the names of its directories are too many and too long"),
            false => Ok(()),
        }
    }

    /// What an entry may be, apart from where it stands.
    fn allowed(&self, entry: &Entry) -> Result<()> {
        let node = matches!(entry.kind, Kind::Char | Kind::Block | Kind::Fifo);
        if node && !self.devices {
            return archive(format!("{} is a device or pipe, which only the option devices allows", entry.shown()));
        }
        let (major, minor) = entry.device;
        if matches!(entry.kind, Kind::Char | Kind::Block) && (major >= MAJORS || minor >= MINORS) {
            // mknod(2) cuts them off: 4096 would be 0, and so a whiteout.
            return archive(format!("{} is a device {major}:{minor}, which no kernel has", entry.shown()));
        }
        if matches!(entry.kind, Kind::Char | Kind::Block) && entry.device == (0, 0) {
            return archive(format!("{} is a device 0:0, by which an overlay hides what is below", entry.shown()));
        }
        if entry.kind == Kind::Symlink {
            self.symlink(entry)?;
        }
        for (name, value) in &entry.xattrs {
            let ours = name.starts_with(b"trusted.overlay.") || name.starts_with(b"trusted.overlayroot.");
            if ours || name.starts_with(b"user.overlay.") {
                return archive(format!("{} has {}, which steers the overlay", entry.shown(), shown(name)));
            }
            let known = ["user.", "trusted.", "security.", "system.posix_acl_"];
            if name.contains(&0) || !known.iter().any(|begin| name.starts_with(begin.as_bytes())) {
                return archive(format!("{} has the attribute {}, which is not supported", entry.shown(), shown(name)));
            }
            if value.len() > 1 << 16 {
                return archive(format!("{} has an attribute of {} bytes", entry.shown(), value.len()));
            }
        }
        Ok(())
    }

    /// An absolute one begins at the new root and may; one that climbs above it is a mistake or worse.
    fn symlink(&self, entry: &Entry) -> Result<()> {
        let target = &entry.link;
        if target.is_empty() || target.contains(&0) {
            return archive(format!("{} is a link to nothing", entry.shown()));
        }
        let absolute = target.starts_with(b"/");
        let mut depth = if absolute { 0 } else { entry.path.len().saturating_sub(1) };
        for part in target.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => {}
                b".." if depth == 0 => {
                    return archive(format!("{} is a link out of the root: {}", entry.shown(), shown(target)));
                }
                b".." => depth -= 1,
                _ => depth += 1,
            }
        }
        Ok(())
    }

    /// A directory must not hide something else of the lower, nor the other way round.
    fn over_lower(&self, entry: &Entry, name: &[u8], lower: Option<&OwnedFd>) -> Result<()> {
        let Some(lower) = lower else { return Ok(()) };
        match (tree::look(lower.as_fd(), name)?, entry.kind) {
            (Found::Directory(_), kind) if kind != Kind::Directory => archive(format!(
                "{} is a directory in the root, and something else in the archive would hide it",
                entry.shown()
            )),
            (Found::Other(kind), Kind::Directory) => archive(format!(
                "{} is {} in the root, and a directory in the archive would hide it",
                entry.shown(),
                tree::word(kind)
            )),
            _ => Ok(()),
        }
    }

    fn file<R: Read>(&self, parent: &OwnedFd, name: &[u8], entry: &Entry, from: &mut Archive<R>) -> Result<()> {
        let free = room(&tree::by_path(self.into.as_fd())).map_or(u64::MAX, |room| room.available);
        if entry.size > free.saturating_sub(RESERVE) {
            let text = format!("{} has {} KiB, and {} KiB are free", entry.shown(), entry.size >> 10, free >> 10);
            return Err(Fault { word: "no-room", text });
        }
        make::file(parent.as_fd(), name, entry, from)
    }

    fn hard_link(&self, entry: &Entry, parent: &OwnedFd, name: &[u8], there: &Found) -> Result<()> {
        let target = parts(&entry.link, "the target of a hard link")?;
        let missing = || {
            archive(format!("{} is a hard link to {}, which is not in it before", entry.shown(), shown(&entry.link)))
        };
        let Some((to, parents)) = target.split_last() else { return missing() };
        let Ok(directory) = self.way(parents) else { return missing() };
        match (tree::look(directory.as_fd(), to)?, there) {
            (Found::Other(_), Found::Missing) => make::link((parent.as_fd(), name), (directory.as_fd(), to), entry),
            (Found::Other(_), _) => archive(format!("{} is in it twice, as different things", entry.shown())),
            _ => missing(),
        }
    }

    /// A directory that is there.
    fn way(&self, path: &[Vec<u8>]) -> Result<OwnedFd> {
        let mut at = self.into.try_clone().at(|| "opening the upper".to_owned())?;
        for (index, part) in path.iter().enumerate() {
            at = match tree::look(at.as_fd(), part)? {
                Found::Directory(next) => next,
                Found::Missing | Found::Other(_) => return through(path, index),
            };
        }
        Ok(at)
    }

    /// The directory that the entry `path` stands in, made where the archive does not list it.
    fn parent(&mut self, path: &[Vec<u8>]) -> Result<OwnedFd> {
        let parents = path.split_last().map_or(path, |(_, parents)| parents);
        let mut at = self.into.try_clone().at(|| "opening the upper".to_owned())?;
        for (index, part) in parents.iter().enumerate() {
            at = match tree::look(at.as_fd(), part)? {
                Found::Directory(next) => next,
                Found::Other(_) => return through(path, index),
                Found::Missing => {
                    let whole = path.get(..=index).unwrap_or_default();
                    let like = tree::lower(self.lower.as_fd(), whole)?;
                    let (made, time) = make::parent(at.as_fd(), part, like.as_ref())?;
                    if like.is_some() {
                        self.time(whole.to_vec(), time)?;
                    }
                    made
                }
            };
        }
        Ok(at)
    }
}

fn through<T>(path: &[Vec<u8>], index: usize) -> Result<T> {
    let (whole, at) = (path.join(&b'/'), path.get(..=index).unwrap_or_default().join(&b'/'));
    archive(format!("{} would be written through {}, which is not a directory", shown(&whole), shown(&at)))
}

fn same(there: rustix::fs::FileType, kind: Kind) -> bool {
    use rustix::fs::FileType;
    matches!(
        (there, kind),
        (FileType::RegularFile, Kind::File)
            | (FileType::Symlink, Kind::Symlink)
            | (FileType::CharacterDevice, Kind::Char)
            | (FileType::BlockDevice, Kind::Block)
            | (FileType::Fifo, Kind::Fifo)
    )
}
