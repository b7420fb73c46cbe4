// SPDX-License-Identifier: GPL-2.0-or-later
//! The attributes of a file in a form that can be compared later: both sides need not be asked in turns.

use super::{Of, Xattrs, counts, get, is_own, list};
use std::ffi::CStr;
use std::os::fd::BorrowedFd;

/// More is compared one by one ([`Xattrs::same`]), so that what is kept in memory is bounded.
const MOST: usize = 2048;

/// Of one file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Brief {
    /// Whether there is any of overlayfs's own.
    pub own: bool,
    /// The others: each name with its NUL, the value's length and the value, sorted by name.
    others: Vec<u8>,
}

impl Brief {
    /// Whether two files have the same attributes, overlayfs's own left out.
    pub fn same(&self, other: &Self) -> bool {
        self.others == other.others
    }
}

impl Xattrs {
    /// What a name has; nothing where that is much or can't be read, or changes meanwhile.
    pub fn brief(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> Option<Brief> {
        let (of, Self { prefix, way, list: room, values: [value, _] }) = (Of::Named(dir, name), self);
        let len = list(way, of, room).ok()?;
        let (mut own, mut names) = (false, Vec::new());
        for name in room.get(..len)?.split(|byte| *byte == 0) {
            own |= is_own(prefix, name);
            if counts(prefix, name) {
                names.push(name);
            }
        }
        names.sort_unstable();
        let mut others = Vec::new();
        for name in names {
            let len = get(way, of, name, value).ok()??;
            if others.len() + name.len() + len > MOST {
                return None;
            }
            others.extend_from_slice(name);
            others.push(0);
            others.extend_from_slice(&len.to_ne_bytes());
            others.extend_from_slice(value.get(..len)?);
        }
        Some(Brief { own, others })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::XattrFlags;
    use std::fs::{self, File};
    use std::os::fd::AsFd;

    #[test]
    fn they_say_what_comparing_one_by_one_says() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let top = File::open(dir.path()).unwrap();
        let files: [(&CStr, &[(&str, &str)]); 8] = [
            (c"0-none", &[]),
            (c"1-own", &[("user.overlay.origin", "x")]),
            (c"2-one", &[("user.a", "1"), ("user.b", "2")]),
            (c"3-the-same", &[("user.overlay.origin", "x"), ("user.b", "2"), ("user.a", "1")]),
            (c"4-other-value", &[("user.a", "1"), ("user.b", "3")]),
            (c"5-longer", &[("user.a", "1"), ("user.b", "22")]),
            (c"6-empty", &[("user.a", "")]),
            (c"7-one-less", &[("user.a", "1")]),
        ];
        for (name, attributes) in files {
            let path = dir.path().join(name.to_str().unwrap());
            fs::write(&path, "").unwrap();
            for (name, value) in attributes {
                rustix::fs::setxattr(&path, *name, value.as_bytes(), XattrFlags::empty()).unwrap();
            }
        }
        // what a link points to is not asked
        std::os::unix::fs::symlink("2-one", dir.path().join("8-link")).unwrap();
        let names = files.map(|(name, _)| name).into_iter().chain([c"8-link"]);
        let mut xattrs = Xattrs::new(true);
        let top = top.as_fd();
        let mut alike = Vec::new();
        for a in names.clone() {
            for b in names.clone() {
                let (brief, other) = (xattrs.brief(top, a).unwrap(), xattrs.brief(top, b).unwrap());
                let same = xattrs.same(Of::Named(top, a), Of::Named(top, b)).unwrap();
                assert_eq!(brief.same(&other), same, "{a:?} {b:?}");
                if same && a < b {
                    alike.push((a, b));
                }
            }
        }
        let want = [(c"0-none", c"1-own"), (c"0-none", c"8-link"), (c"1-own", c"8-link"), (c"2-one", c"3-the-same")];
        alike.sort();
        assert_eq!(alike, want);
        let own = files.map(|(name, _)| xattrs.brief(top, name).unwrap().own);
        assert_eq!(own, [false, true, false, true, false, false, false, false]);
        assert_eq!(xattrs.brief(top, c"nowhere"), None);
    }

    #[test]
    fn long_lists_are_read_and_much_is_left_to_the_other_way() {
        let dir = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR")).unwrap();
        let top = File::open(dir.path()).unwrap();
        let set = |file: &str, name: &str, value: &[u8]| {
            rustix::fs::setxattr(dir.path().join(file), name, value, XattrFlags::empty()).unwrap();
        };
        for file in ["a", "b"] {
            fs::write(dir.path().join(file), "").unwrap();
            for number in 0..6 {
                set(file, &format!("user.{}{number}", "n".repeat(200)), b"");
            }
        }
        let mut xattrs = Xattrs::new(true);
        let (a, b) = (Of::Named(top.as_fd(), c"a"), Of::Named(top.as_fd(), c"b"));
        let brief = |xattrs: &mut Xattrs, name| xattrs.brief(top.as_fd(), name);
        // longer than what is offered first
        assert!(brief(&mut xattrs, c"a").unwrap().same(&brief(&mut xattrs, c"b").unwrap()));
        assert!(xattrs.same(a, b).unwrap());
        set("a", "user.large", &[b'v'; 2000]);
        set("b", "user.large", &[b'w'; 2000]);
        assert_eq!(brief(&mut xattrs, c"a"), None);
        assert!(!xattrs.same(a, b).unwrap());
        set("b", "user.large", &[b'v'; 2000]);
        assert!(xattrs.same(a, b).unwrap());
    }
}
