// SPDX-License-Identifier: GPL-2.0-or-later
//! Files below any root, found by that root's own links: openat2(2) with RESOLVE_IN_ROOT, and the same by hand where
//! the kernel has no openat2, as Linux before 5.6 and so RHEL 8.

use rustix::fd::{AsRawFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, open, openat, openat2, readlinkat};
use rustix::io::{Errno, Result};

/// Links that one path may have, as in path_resolution(7).
const LINKS: u32 = 40;

/// Opens what a path leads to below `root`: no link and no `..` leads out of it.
///
/// # Errors
/// Those of openat2(2), without ENOSYS.
pub fn open_below(root: &str, path: &str, flags: OFlags) -> Result<OwnedFd> {
    let directory = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    match openat2(&directory, path, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        Err(Errno::NOSYS) => walk(&directory, path, flags),
        other => other,
    }
}

/// One name after the other. Unlike the kernel's, this can be led astray by who renames directories meanwhile.
fn walk(root: &OwnedFd, path: &str, flags: OFlags) -> Result<OwnedFd> {
    let step = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut names: Vec<Vec<u8>> = reversed(path.as_bytes());
    // below the root; the last is where this is
    let mut passed: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = names.pop() {
        let here = passed.last().unwrap_or(root);
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
        links += 1;
        if links > LINKS {
            return Err(Errno::LOOP);
        }
        let target = readlinkat(here, name.as_slice(), Vec::new())?;
        if target.as_bytes().starts_with(b"/") {
            passed.clear();
        }
        names.extend(reversed(target.as_bytes()));
    }
    // a descriptor made with O_PATH reads nothing
    let at = format!("/proc/self/fd/{}", passed.last().unwrap_or(root).as_raw_fd());
    openat(CWD, at, flags, Mode::empty())
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
        let root = open(dir.path(), OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap();
        for (path, wanted) in PATHS {
            let wanted = wanted.map(str::to_owned).map_err(Errno::raw_os_error);
            assert_eq!(told(walk(&root, path, flags)), wanted, "{path} by hand");
            assert_eq!(told(open_below(dir.path().to_str().unwrap(), path, flags)), wanted, "{path}");
        }
        // one link less than too many, and then one more
        let same = |links: usize| "etc/".to_owned() + &"same/".repeat(links) + "relative";
        for (links, wanted) in [(38, Ok("inside".to_owned())), (41, Err(Errno::LOOP.raw_os_error()))] {
            assert_eq!(told(walk(&root, &same(links), flags)), wanted);
            assert_eq!(told(open_below(dir.path().to_str().unwrap(), &same(links), flags)), wanted);
        }
    }
}
