// SPDX-License-Identifier: GPL-2.0-or-later
//! Files below any root, found by that root's own links: openat2(2) with RESOLVE_IN_ROOT, and the same by hand where
//! the kernel has no openat2, as Linux before 5.6 and so RHEL 8.

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::{Errno, Result};
use rustix::process::geteuid;

/// Links that one path may have, as in path_resolution(7).
const LINKS: u32 = 40;

/// Which links a way may lead through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// All of them, each as it is seen from the root.
    All,
    /// Those that only root, or who runs this, can have made: nobody else can write the directories they are in.
    Own,
    /// None.
    No,
}

/// Opens what a path leads to below `root`: no link and no `..` leads out of it.
///
/// # Errors
/// Those of openat2(2), without ENOSYS.
pub fn open_below(root: &str, path: &str, flags: OFlags) -> Result<OwnedFd> {
    open(root, path, flags, Links::All)
}

/// The same with a choice of links; ELOOP for the others.
///
/// # Errors
/// As [`open_below`].
pub fn open(root: &str, path: &str, flags: OFlags, links: Links) -> Result<OwnedFd> {
    // Nothing leads out of the root of this process, so that need not be opened.
    if root == "/" && path.starts_with('/') && links == Links::Own {
        match openat2(CWD, path, flags - OFlags::NOFOLLOW, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            Err(Errno::NOSYS | Errno::LOOP) => {}
            other => return other,
        }
    }
    let directory = openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    open_at(&directory, path, flags, links)
}

/// The same below an open directory.
///
/// # Errors
/// As [`open_below`].
pub fn open_at(root: impl AsFd, path: &str, flags: OFlags, links: Links) -> Result<OwnedFd> {
    let root = root.as_fd();
    let no_links = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
    let (now, resolve) = match links {
        Links::All => (flags, ResolveFlags::IN_ROOT),
        Links::No => (flags, no_links),
        // A link at the end is not opened itself.
        Links::Own => (flags - OFlags::NOFOLLOW, no_links),
    };
    match openat2(root, path, now, Mode::empty(), resolve) {
        Err(Errno::NOSYS) => walk(root, path, flags, links),
        // There is a link, whose it is has to be seen; or somebody renames directories, and `..` is not sure.
        Err(Errno::LOOP | Errno::AGAIN) if links == Links::Own => walk(root, path, flags, links),
        other => other,
    }
}

/// One name after the other. Unlike the kernel's, this can be led astray by who renames directories meanwhile, but
/// no further than the directories themselves lead: never by a link that was not to be followed, never up.
fn walk(root: BorrowedFd<'_>, path: &str, flags: OFlags, links: Links) -> Result<OwnedFd> {
    let step = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut names: Vec<Vec<u8>> = reversed(path.as_bytes());
    // below the root; the last is where this is
    let mut passed: Vec<OwnedFd> = Vec::new();
    let mut followed = 0;
    while let Some(name) = names.pop() {
        let here = passed.last().map_or(root, AsFd::as_fd);
        if matches!(name.as_slice(), b"" | b"." | b"..") {
            // only a directory has them
            openat(here, ".", step, Mode::empty())?;
            if name == b".." {
                passed.pop();
            }
            continue;
        }
        let found = openat(here, name.as_slice(), step, Mode::empty())?;
        if FileType::from_raw_mode(fstat(&found)?.st_mode) != FileType::Symlink {
            passed.push(found);
            continue;
        }
        let may = match links {
            Links::All => true,
            Links::Own => is_own(here)?,
            Links::No => false,
        };
        followed += 1;
        if !may || followed > LINKS {
            return Err(Errno::LOOP);
        }
        // Of the very link that was looked at.
        let target = readlinkat(&found, "", Vec::new())?;
        if target.as_bytes().starts_with(b"/") {
            passed.clear();
        }
        names.extend(reversed(target.as_bytes()));
    }
    // a descriptor made with O_PATH reads nothing
    let at = format!("/proc/self/fd/{}", passed.last().map_or(root, AsFd::as_fd).as_raw_fd());
    openat(CWD, at, flags - OFlags::NOFOLLOW, Mode::empty())
}

/// Whether only root, or who runs this, can make names in a directory.
fn is_own(directory: BorrowedFd<'_>) -> Result<bool> {
    let stat = fstat(directory)?;
    Ok((stat.st_uid == 0 || stat.st_uid == geteuid().as_raw()) && stat.st_mode & 0o022 == 0)
}

fn reversed(path: &[u8]) -> Vec<Vec<u8>> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.split(|byte| *byte == b'/').rev().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    fn tree(root: &Path) {
        fs::create_dir_all(root.join("etc/deep/er")).unwrap();
        fs::create_dir(root.join("usr")).unwrap();
        fs::write(root.join("usr/file"), "inside").unwrap();
        for (target, link) in [
            ("/usr/file", "etc/absolute"),
            ("../usr/file", "etc/relative"),
            ("../../../../../usr/file", "etc/climbs"),
            ("../../../../../etc/passwd", "etc/out"),
            ("absolute", "etc/twice"),
            ("/etc/deep", "usr/deep"),
            ("loop", "etc/loop"),
            ("/nowhere", "etc/nowhere"),
            (".", "etc/same"),
        ] {
            symlink(target, root.join(link)).unwrap();
        }
    }

    /// What is read there, or the error's number.
    fn told(opened: Result<OwnedFd>) -> std::result::Result<String, i32> {
        let mut file = File::from(opened.map_err(Errno::raw_os_error)?);
        let mut text = String::new();
        match file.metadata().unwrap().is_dir() {
            true => Ok("a directory".to_owned()),
            false => file.read_to_string(&mut text).map(|_| text).map_err(|e| e.raw_os_error().unwrap()),
        }
    }

    const PATHS: [(&str, std::result::Result<&str, Errno>); 20] = [
        ("usr/file", Ok("inside")),
        ("/usr/file", Ok("inside")),
        ("usr//./file", Ok("inside")),
        ("etc/../usr/file", Ok("inside")),
        ("../../usr/file", Ok("inside")),
        ("etc/absolute", Ok("inside")),
        ("/etc/relative", Ok("inside")),
        ("etc/climbs", Ok("inside")),
        ("etc/twice", Ok("inside")),
        ("usr/deep/er", Ok("a directory")),
        ("usr/deep/../absolute", Ok("inside")),
        ("etc/same/same/same/absolute", Ok("inside")),
        ("/", Ok("a directory")),
        ("etc/", Ok("a directory")),
        ("etc/out", Err(Errno::NOENT)),
        ("usr/file/..", Err(Errno::NOTDIR)),
        ("usr/file/", Err(Errno::NOTDIR)),
        ("etc/loop", Err(Errno::LOOP)),
        ("etc/nowhere", Err(Errno::NOENT)),
        ("usr/file/more", Err(Errno::NOTDIR)),
    ];

    #[test]
    fn by_hand_as_the_kernel_does() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path());
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let root = openat(CWD, dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let walk = |path: &str, flags| walk(root.as_fd(), path, flags, Links::All);
        for (path, wanted) in PATHS {
            let wanted = wanted.map(str::to_owned).map_err(Errno::raw_os_error);
            assert_eq!(told(walk(path, flags)), wanted, "{path} by hand");
            assert_eq!(told(open_below(dir.path().to_str().unwrap(), path, flags)), wanted, "{path}");
        }
        // one link less than too many, and then one more
        let same = |links: usize| "etc/".to_owned() + &"same/".repeat(links) + "relative";
        for (links, wanted) in [(38, Ok("inside".to_owned())), (41, Err(Errno::LOOP.raw_os_error()))] {
            assert_eq!(told(walk(&same(links), flags)), wanted);
            assert_eq!(told(open_below(dir.path().to_str().unwrap(), &same(links), flags)), wanted);
        }
    }
    #[test]
    fn links_that_others_can_have_made_are_not_followed() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path());
        let root = dir.path().to_str().unwrap();
        let at = openat(CWD, dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let own = |path: &str| {
            let found = told(super::open(root, path, flags | OFlags::NOFOLLOW, Links::Own));
            // The same from the root of this process, unless a link leads up to it.
            if !path.ends_with("absolute") && !path.ends_with("climbs") {
                assert_eq!(told(super::open("/", &format!("{root}/{path}"), flags, Links::Own)), found, "{path}");
            }
            found
        };
        let no = |path: &str| told(super::open(root, path, flags, Links::No));
        let by_hand = |path: &str| told(walk(at.as_fd(), path, flags, Links::No));
        let inside = Ok("inside".to_owned());
        let refused = Err(Errno::LOOP.raw_os_error());
        for path in ["usr/file", "etc/absolute", "etc/climbs", "etc/relative", "usr//./file"] {
            assert_eq!(own(path), inside, "{path}");
        }
        for links in [&no as &dyn Fn(&str) -> _, &by_hand] {
            assert_eq!(links("usr/file"), inside);
            for path in ["etc/absolute", "etc/relative", "etc/same/absolute", "usr/deep/er", "etc/nowhere"] {
                assert_eq!(links(path), refused, "{path}");
            }
        }
        for mode in [0o777, 0o1777, 0o775] {
            fs::set_permissions(dir.path().join("etc"), fs::Permissions::from_mode(mode)).unwrap();
            for path in ["etc/absolute", "etc/relative", "etc/same/absolute"] {
                assert_eq!(own(path), refused, "{path}, {mode:o}");
            }
            assert_eq!(own("etc/deep/er"), Ok("a directory".to_owned()));
        }
    }
}
