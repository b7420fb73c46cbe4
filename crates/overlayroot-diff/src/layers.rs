// SPDX-License-Identifier: GPL-2.0-or-later
//! The stack of layers, and what a name is in the lowers: the first that has it wins, directories are merged, until a
//! whiteout or an opaque directory ends it; a redirect goes on elsewhere (kernel: fs/overlayfs/namei.c).

use crate::stat::{Answer, Stat, Type};
use crate::xattr::Xattrs;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

/// An open directory of one layer.
#[derive(Clone)]
pub(crate) struct Dir {
    fd: Arc<OwnedFd>,
    /// The number of the lower; the upper is none.
    pub layer: usize,
    xwhiteouts: bool,
}

impl Dir {
    pub fn new(fd: OwnedFd, layer: usize, xwhiteouts: bool) -> Self {
        Self { fd: Arc::new(fd), layer, xwhiteouts }
    }

    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What keeps it open.
    pub fn shared(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// Whether an entry of it stands for a removed name.
    pub fn is_whiteout(&self, name: &CStr, stat: &Stat, xattrs: &mut Xattrs) -> rustix::io::Result<bool> {
        if stat.is_whiteout_device() {
            return Ok(true);
        }
        let may = self.xwhiteouts && stat.kind == Type::File && stat.size == 0;
        Ok(may && xattrs.is_whiteout(self.fd(), name)?)
    }

    /// Whether empty files in it may be whiteouts.
    pub fn xwhiteouts(&self) -> bool {
        self.xwhiteouts
    }
}

/// What is not a directory, in the lower that has it.
pub(crate) struct Leaf {
    pub dir: Dir,
    pub name: CString,
    pub stat: Stat,
}

/// What a name is in the lowers.
pub(crate) enum Found {
    Nothing,
    Leaf(Leaf),
    /// The directories that are merged, topmost first; the first one's inode is seen.
    Dirs(Vec<Dir>, Stat),
}

/// An upper and its lowers.
pub struct Layers {
    pub(crate) upper: Dir,
    pub(crate) lowers: Vec<Dir>,
    pub(crate) user: bool,
}

enum Step {
    /// Not in this layer; what to look for in those below, where that is another path.
    Missing(Option<Vec<u8>>),
    Hidden,
    Leaf(Leaf),
    Dir(Dir, Stat, Marked),
}

#[derive(Default)]
struct Marked {
    /// No layer below counts.
    stop: bool,
    /// What to look for in the layers below.
    redirect: Option<Vec<u8>>,
}

impl Layers {
    /// Opens them, the lowers topmost first. `user`: the overlay is mounted with `userxattr`, its marks are
    /// `user.overlay.*`. Others than root see no `trusted.overlay.*`: opaque directories look merged to them.
    ///
    /// # Errors
    /// Those of open(2), with the path.
    pub fn open<P: AsRef<Path>>(
        upper: impl AsRef<Path>,
        lowers: impl IntoIterator<Item = P>,
        user: bool,
    ) -> io::Result<Self> {
        let mut xattrs = Xattrs::new(user);
        let mut open = |path: &Path, layer| -> io::Result<Dir> {
            let named = |error: Errno| {
                let error = io::Error::from(error);
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            };
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let fd = rustix::fs::open(path, flags, Mode::empty()).map_err(named)?;
            let marks = xattrs.marks(fd.as_fd()).map_err(named)?;
            Ok(Dir::new(fd, layer, marks.xwhiteouts))
        };
        let upper = open(upper.as_ref(), usize::MAX)?;
        let lowers = lowers.into_iter().enumerate().map(|(layer, path)| open(path.as_ref(), layer));
        Ok(Self { upper, lowers: lowers.collect::<io::Result<_>>()?, user })
    }

    /// What `wanted` is in the lowers below `after`: a name in `parents`, or a path from the top of each layer.
    pub(crate) fn find(
        &self,
        parents: &[Dir],
        after: Option<usize>,
        wanted: &[u8],
        xattrs: &mut Xattrs,
    ) -> rustix::io::Result<Found> {
        self.find_known(parents, after, wanted, None, xattrs)
    }

    /// The same; `known` is the name's inode in the first of `parents`, where somebody has looked already.
    pub(crate) fn find_known(
        &self,
        parents: &[Dir],
        after: Option<usize>,
        wanted: &[u8],
        mut known: Option<Answer>,
        xattrs: &mut Xattrs,
    ) -> rustix::io::Result<Found> {
        let mut wanted = Cow::Borrowed(wanted);
        let mut dirs = Vec::new();
        let mut seen = None;
        for (layer, top) in self.lowers.iter().enumerate().skip(after.map_or(0, |after| after + 1)) {
            let base = match wanted.first() {
                Some(b'/') => Some(top),
                _ => parents.iter().find(|dir| dir.layer == layer),
            };
            let Some(base) = base else { continue };
            match step(base, &wanted, known.take(), xattrs)? {
                Step::Missing(None) => {}
                Step::Missing(Some(redirect)) => wanted = Cow::Owned(redirect),
                Step::Hidden => break,
                Step::Leaf(leaf) if dirs.is_empty() => return Ok(Found::Leaf(leaf)),
                Step::Leaf(_) => break,
                Step::Dir(dir, stat, marked) => {
                    seen.get_or_insert(stat);
                    dirs.push(dir);
                    if marked.stop {
                        break;
                    }
                    if let Some(redirect) = marked.redirect {
                        wanted = Cow::Owned(redirect);
                    }
                }
            }
        }
        Ok(seen.map_or(Found::Nothing, |stat| Found::Dirs(dirs, stat)))
    }
}

/// A name, or a path from the top, in one layer.
fn step(base: &Dir, wanted: &[u8], known: Option<Answer>, xattrs: &mut Xattrs) -> rustix::io::Result<Step> {
    if !wanted.starts_with(b"/") {
        let (step, redirect) = single(base, wanted, known, xattrs)?;
        return Ok(with(step, redirect));
    }
    let (mut at, mut stop, mut elsewhere) = (base.clone(), false, None);
    let mut names = wanted.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).peekable();
    let mut gone = Vec::new();
    while let Some(name) = names.next() {
        let (found, redirect) = single(&at, name, None, xattrs)?;
        let rewritten = redirect.map(|to| match to.first() {
            Some(b'/') => to,
            _ => [&gone[..], b"/", &to].concat(),
        });
        // what is above may be redirected itself
        let from = rewritten.or_else(|| elsewhere.map(|before: Vec<u8>| [&before[..], b"/", name].concat()));
        elsewhere = from;
        gone.extend_from_slice(b"/");
        gone.extend_from_slice(name);
        match (found, names.peek().is_some()) {
            (Step::Dir(dir, _, marked), true) => {
                stop |= marked.stop;
                at = dir;
            }
            (Step::Dir(dir, stat, marked), false) => {
                let marked = Marked { stop: stop || marked.stop, redirect: elsewhere };
                return Ok(Step::Dir(dir, stat, marked));
            }
            (Step::Leaf(_), true) => return Ok(Step::Hidden),
            (Step::Missing(_), _) if stop => return Ok(Step::Hidden),
            (Step::Missing(_), _) => {
                let rest = |mut path: Vec<u8>| {
                    for name in names {
                        path.push(b'/');
                        path.extend_from_slice(name);
                    }
                    path
                };
                return Ok(Step::Missing(elsewhere.map(rest)));
            }
            (other, _) => return Ok(other),
        }
    }
    Ok(Step::Missing(None))
}

fn with(step: Step, redirect: Option<Vec<u8>>) -> Step {
    match step {
        Step::Dir(dir, stat, marked) => Step::Dir(dir, stat, Marked { redirect, ..marked }),
        other @ (Step::Missing(_) | Step::Hidden | Step::Leaf(_)) => other,
    }
}

/// A name in an open directory, and the redirect that it bears itself.
fn single(
    base: &Dir,
    name: &[u8],
    known: Option<Answer>,
    xattrs: &mut Xattrs,
) -> rustix::io::Result<(Step, Option<Vec<u8>>)> {
    let mut room = [0; 256];
    let name = terminated(name, &mut room)?;
    let stat = match known.unwrap_or_else(|| Stat::at(base.fd(), name)) {
        Ok(stat) => stat,
        Err(Errno::NOENT) => return Ok((Step::Missing(None), None)),
        Err(error) => return Err(error),
    };
    if base.is_whiteout(name, &stat, xattrs)? {
        return Ok((Step::Hidden, None));
    }
    if stat.kind != Type::Directory {
        return Ok((Step::Leaf(Leaf { dir: base.clone(), name: name.to_owned(), stat }), None));
    }
    let fd = open_directory(base.fd(), name)?;
    let marks = xattrs.marks(fd.as_fd())?;
    let dir = Dir::new(fd, base.layer, marks.xwhiteouts);
    Ok((Step::Dir(dir, stat, Marked { stop: marks.opaque, redirect: None }), marks.redirect))
}

/// A name with a NUL behind it, without taking memory.
pub(crate) fn terminated<'a>(name: &[u8], room: &'a mut [u8; 256]) -> rustix::io::Result<&'a CStr> {
    let text = room.get_mut(..name.len()).filter(|_| name.len() < 256).ok_or(Errno::NAMETOOLONG)?;
    text.copy_from_slice(name);
    CStr::from_bytes_with_nul(room.get(..=name.len()).unwrap_or_default()).map_err(|_| Errno::INVAL)
}

/// A directory, not through a link, its time of access left alone where that is allowed.
pub(crate) fn open_directory(dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<OwnedFd> {
    const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    open_quietly(dir, name, FLAGS)
}

/// O_NOATIME is for the owner and for root.
pub(crate) fn open_quietly(dir: BorrowedFd<'_>, name: &CStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    match rustix::fs::openat(dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::openat(dir, name, flags, Mode::empty()),
        other => other,
    }
}
