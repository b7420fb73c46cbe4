// SPDX-License-Identifier: GPL-2.0-or-later
//! The way to a name in an open directory for the calls that take only a path, which until Linux 6.13 are all that read
//! attributes. Over /proc/self/fd it costs three times as much as from the directory itself, so a thread of ours has a
//! current directory of its own, and goes there.
#![allow(unsafe_code, reason = "unshare(2) takes also what would leave a thread without its files")]

use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::CStr;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

/// Belongs to the thread that made it.
pub(crate) struct Way {
    /// Going elsewhere is nobody else's business.
    goes: bool,
    /// The current directory. That it is kept open keeps its number from meaning another.
    at: Option<Arc<OwnedFd>>,
    path: Vec<u8>,
    thread: PhantomData<*const ()>,
}

impl Way {
    /// Over /proc, from any thread.
    pub fn by_proc() -> Self {
        Self { goes: false, at: None, path: Vec::new(), thread: PhantomData }
    }

    /// Gives this thread a current directory of its own; where that is denied, as by a filter of system calls, over
    /// /proc. Only for a thread that nobody else uses.
    pub fn own() -> Self {
        // SAFETY: of the current directory, root and umask only; no descriptors go.
        let goes = unsafe { unshare_unsafe(UnshareFlags::FS) }.is_ok();
        Self { goes, ..Self::by_proc() }
    }

    /// Goes to a directory of which several names come next, and gives it back for the calls that take one. The
    /// descriptor itself is counted at each call, by all threads at the same place in memory.
    pub fn enter<'a>(&mut self, dir: &'a Arc<OwnedFd>) -> BorrowedFd<'a> {
        if self.goes && !self.is_in(dir.as_fd()) {
            self.at = rustix::process::fchdir(dir.as_fd()).is_ok().then(|| Arc::clone(dir));
        }
        if self.is_in(dir.as_fd()) { rustix::fs::CWD } else { dir.as_fd() }
    }

    /// A path to the name, which is no path itself. A link of that name is not followed by it.
    pub fn to<'a>(&'a mut self, dir: BorrowedFd<'_>, name: &'a CStr) -> &'a CStr {
        if self.goes {
            if self.is_in(dir) {
                return name;
            }
            self.at = None;
            if rustix::process::fchdir(dir).is_ok() {
                return name;
            }
        }
        self.path.clear();
        self.path.extend_from_slice(format!("/proc/self/fd/{}/", dir.as_raw_fd()).as_bytes());
        self.path.extend_from_slice(name.to_bytes_with_nul());
        // it ends with the name's NUL, and has no other
        CStr::from_bytes_with_nul(&self.path).unwrap_or(name)
    }

    fn is_in(&self, dir: BorrowedFd<'_>) -> bool {
        self.at.as_ref().is_some_and(|at| at.as_raw_fd() == dir.as_raw_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn open(path: &std::path::Path) -> Arc<OwnedFd> {
        Arc::new(File::open(path).unwrap().into())
    }

    #[test]
    fn names_are_reached_in_each_directory_and_others_stay_where_they_are() {
        let top = tempfile::tempdir().unwrap();
        for dir in ["a", "b"] {
            std::fs::create_dir(top.path().join(dir)).unwrap();
            std::fs::write(top.path().join(dir).join("name"), dir).unwrap();
        }
        let here = std::env::current_dir().unwrap();
        let (a, b) = (open(&top.path().join("a")), open(&top.path().join("b")));
        let thread = std::thread::spawn(move || {
            for mut way in [Way::by_proc(), Way::own()] {
                let goes = way.goes;
                let mut read = |dir: &Arc<OwnedFd>, enter: bool| {
                    if enter {
                        way.enter(dir);
                    }
                    let path = way.to(dir.as_fd(), c"name").to_str().unwrap();
                    assert_eq!(path == "name", goes, "{path}");
                    std::fs::read_to_string(path).unwrap()
                };
                for (dir, enter, want) in [
                    (&a, true, "a"),
                    (&a, false, "a"),
                    (&b, false, "b"),
                    (&a, false, "a"),
                    (&b, true, "b"),
                    (&b, true, "b"),
                    (&a, true, "a"),
                ] {
                    assert_eq!(read(dir, enter), want);
                }
                assert!(goes == way.at.is_some());
            }
            std::env::current_dir().unwrap()
        });
        assert_ne!(thread.join().unwrap(), here, "it went, or unshare(2) is denied here");
        assert_eq!(std::env::current_dir().unwrap(), here);
    }
}
