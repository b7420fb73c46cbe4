// SPDX-License-Identifier: GPL-2.0-or-later
//! Extended attributes: overlayfs's own, and whether all others are the same (kernel: overlayfs.rst).

mod brief;

pub(crate) use brief::Brief;

use crate::way::Way;
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

/// XATTR_SIZE_MAX and XATTR_LIST_MAX: nothing is larger.
const MOST: usize = 65536;
/// Nearly always enough. The kernel takes as much memory as it is offered room, a value's it clears besides.
const USUAL: usize = 1024;

/// Where attributes are.
#[derive(Clone, Copy)]
pub(crate) enum Of<'a> {
    /// An open directory or file.
    Open(BorrowedFd<'a>),
    /// A name in a directory.
    Named(BorrowedFd<'a>, &'a CStr),
}

/// What overlayfs has noted on a directory.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// Nothing below is merged.
    pub opaque: bool,
    /// Whiteouts in it may be empty files with an attribute (Linux 6.7).
    pub xwhiteouts: bool,
    /// What is merged lies elsewhere: a name beside it, or a path from the layer's top.
    pub redirect: Option<Vec<u8>>,
}

/// Room for lists and values, made once.
pub(crate) struct Xattrs {
    prefix: &'static str,
    way: Way,
    list: Vec<u8>,
    values: [Vec<u8>; 2],
}

/// Where the data of a file is (overlayfs, metacopy).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// With its inode.
    Here,
    /// In a layer below, at the same place.
    Below,
    /// In a layer below, at this path.
    BelowAt(Vec<u8>),
}

impl Xattrs {
    /// `user`: for overlays mounted with `userxattr`.
    pub fn new(user: bool) -> Self {
        Self::by(Way::by_proc(), user)
    }

    /// The same, names being reached in that way.
    pub fn by(way: Way, user: bool) -> Self {
        let prefix = if user { "user.overlay." } else { "trusted.overlay." };
        Self { prefix, way, list: vec![0; MOST], values: [vec![0; MOST], vec![0; MOST]] }
    }

    /// Goes to a directory of which several names come next, and gives it back ([`Way::enter`]).
    pub fn enter<'a>(&mut self, dir: &'a Arc<OwnedFd>) -> BorrowedFd<'a> {
        self.way.enter(dir)
    }

    /// What is noted on an open directory. One system call where there is nothing.
    pub fn marks(&mut self, dir: BorrowedFd<'_>) -> rustix::io::Result<Marks> {
        let mut marks = Marks::default();
        let of = Of::Open(dir);
        if !self.own(of)? {
            return Ok(marks);
        }
        match self.value(of, "opaque")? {
            Some(b"y") => marks.opaque = true,
            Some(b"x") => marks.xwhiteouts = true,
            _ => {}
        }
        marks.xwhiteouts |= self.value(of, "whiteouts")?.is_some();
        marks.redirect = self.value(of, "redirect")?.map(<[u8]>::to_vec);
        Ok(marks)
    }

    /// Whether an empty file stands for a removed name.
    pub fn is_whiteout(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<bool> {
        Ok(self.value(Of::Named(dir, name), "whiteout")?.is_some())
    }

    /// Where the data of a file is.
    pub fn metacopy(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> rustix::io::Result<Data> {
        let of = Of::Named(dir, name);
        if !self.own(of)? || self.value(of, "metacopy")?.is_none() {
            return Ok(Data::Here);
        }
        Ok(self.value(of, "redirect")?.map_or(Data::Below, |to| Data::BelowAt(to.to_vec())))
    }

    /// Whether two files have the same attributes, overlayfs's own left out.
    pub fn same(&mut self, now: Of<'_>, was: Of<'_>) -> rustix::io::Result<bool> {
        let (ours, theirs) = (self.others(now)?, self.others(was)?);
        if ours != theirs {
            return Ok(false);
        }
        for name in ours {
            let [a, b] = &mut self.values;
            let (a_len, b_len) =
                (get(&mut self.way, now, &name, a)?.unwrap_or(0), get(&mut self.way, was, &name, b)?.unwrap_or(0));
            if a.get(..a_len) != b.get(..b_len) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether there is any of overlayfs's own.
    fn own(&mut self, of: Of<'_>) -> rustix::io::Result<bool> {
        let len = list(&mut self.way, of, &mut self.list)?;
        let all = self.list.get(..len).unwrap_or_default();
        Ok(all.split(|byte| *byte == 0).any(|name| is_own(self.prefix, name)))
    }

    /// The names of the others, sorted. No memory is taken where there are none.
    fn others(&mut self, of: Of<'_>) -> rustix::io::Result<Vec<Vec<u8>>> {
        let len = list(&mut self.way, of, &mut self.list)?;
        let all = self.list.get(..len).unwrap_or_default();
        let names = all.split(|byte| *byte == 0).filter(|name| counts(self.prefix, name));
        let mut names: Vec<Vec<u8>> = names.map(<[u8]>::to_vec).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn value(&mut self, of: Of<'_>, name: &str) -> rustix::io::Result<Option<&[u8]>> {
        let name = [self.prefix.as_bytes(), name.as_bytes()].concat();
        let [value, _] = &mut self.values;
        let len = get(&mut self.way, of, &name, value)?;
        Ok(len.and_then(|len| value.get(..len)))
    }
}

/// Whether an attribute is the file's own. A lower on NFS shows the server's ACL of every file as one (`system.nfs4_acl`,
/// `_dacl`, `_sacl`), which no upper can have: it is no change.
fn counts(prefix: &str, name: &[u8]) -> bool {
    !name.is_empty() && !is_own(prefix, name) && !name.starts_with(b"system.nfs4_")
}

/// An overlay inside the overlay keeps its attributes behind the prefix twice (Linux 6.7): those are not ours.
fn is_own(prefix: &str, name: &[u8]) -> bool {
    name.strip_prefix(prefix.as_bytes()).is_some_and(|rest| !rest.starts_with(b"overlay."))
}

fn list(way: &mut Way, of: Of<'_>, buffer: &mut [u8]) -> rustix::io::Result<usize> {
    let listed = match of {
        Of::Open(fd) => usual_first(buffer, |room| rustix::fs::flistxattr(fd, room)),
        Of::Named(dir, name) => {
            let path = way.to(dir, name);
            usual_first(buffer, |room| rustix::fs::llistxattr(path, room))
        }
    };
    match listed {
        Err(Errno::OPNOTSUPP) => Ok(0),
        other => other,
    }
}

fn get(way: &mut Way, of: Of<'_>, name: &[u8], buffer: &mut [u8]) -> rustix::io::Result<Option<usize>> {
    let got = match of {
        Of::Open(fd) => usual_first(buffer, |room| rustix::fs::fgetxattr(fd, name, room)),
        Of::Named(dir, file) => {
            let path = way.to(dir, file);
            usual_first(buffer, |room| rustix::fs::lgetxattr(path, name, room))
        }
    };
    match got {
        Ok(len) => Ok(Some(len)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error),
    }
}

fn usual_first(buffer: &mut [u8], call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<usize> {
    // room for nothing would only ask how much there is
    let first = buffer.get_mut(..USUAL).map(&call);
    match first {
        Some(Err(Errno::RANGE)) | None => call(buffer),
        Some(done) => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_attributes_are_the_files_own() {
        let own = |name: &str| counts("trusted.overlay.", name.as_bytes());
        for name in ["user.a", "security.selinux", "system.posix_acl_access", "user.overlay.opaque"] {
            assert!(own(name), "{name}");
        }
        for name in ["", "trusted.overlay.opaque", "system.nfs4_acl", "system.nfs4_dacl", "system.nfs4_sacl"] {
            assert!(!own(name), "{name}");
        }
    }
    use rustix::fs::XattrFlags;
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    #[test]
    fn overlayfs_own_are_known_by_their_prefix() {
        assert!(is_own("trusted.overlay.", b"trusted.overlay.opaque"));
        assert!(!is_own("trusted.overlay.", b"trusted.overlay.overlay.opaque"));
        assert!(!is_own("trusted.overlay.", b"user.overlay.opaque"));
        assert!(is_own("user.overlay.", b"user.overlay.opaque"));
    }

    #[test]
    fn attributes_are_compared_without_the_overlays_own() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        for name in ["a", "b"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let set = |file: &str, name: &str, value: &str| {
            rustix::fs::setxattr(dir.path().join(file), name, value.as_bytes(), XattrFlags::empty()).unwrap();
        };
        let top = File::open(dir.path()).unwrap();
        let (a, b) = (Of::Named(top.as_fd(), c"a"), Of::Named(top.as_fd(), c"b"));
        let mut xattrs = Xattrs::new(true);
        assert!(xattrs.same(a, b).unwrap());
        set("a", "user.one", "1");
        assert!(!xattrs.same(a, b).unwrap());
        set("b", "user.one", "2");
        assert!(!xattrs.same(a, b).unwrap());
        set("b", "user.one", "1");
        set("b", "user.overlay.origin", "x");
        assert!(xattrs.same(a, b).unwrap());
        assert_eq!(xattrs.metacopy(top.as_fd(), c"b").unwrap(), Data::Here);
        set("b", "user.overlay.metacopy", "");
        assert_eq!(xattrs.metacopy(top.as_fd(), c"b").unwrap(), Data::Below);
        set("b", "user.overlay.redirect", "/x");
        assert_eq!(xattrs.metacopy(top.as_fd(), c"b").unwrap(), Data::BelowAt(b"/x".to_vec()));
        assert!(!Xattrs::new(false).same(a, b).unwrap(), "they are ordinary ones without userxattr");
    }
}
