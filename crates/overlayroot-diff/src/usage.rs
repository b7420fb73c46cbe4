// SPDX-License-Identifier: GPL-2.0-or-later
//! What fills a directory: bytes in blocks and inodes, of each directory down to a depth, as du(1) counts.

use crate::layers::open_directory;
use crate::names::{BUFFER, Names};
use crate::stat::{Stat, Type};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::io;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// What a directory holds, with everything below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Bytes in blocks; a file with several names counts where its first name is.
    pub bytes: u64,
    /// Inodes, the directory's own among them.
    pub inodes: u64,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.inodes = self.inodes.saturating_add(other.inodes);
    }

    fn of(stat: &Stat) -> Self {
        Self { bytes: stat.allocated(), inodes: 1 }
    }
}

/// Takes what is counted.
pub trait Counter {
    /// A directory and all below it, those within before it. Depth 0 is the directory asked for. `own` is it without
    /// the directories in it.
    fn directory(&mut self, path: &[u8], depth: usize, sum: Sum, own: Sum);
    /// A directory below the one asked for is opened; as [`Counter::file`] else.
    fn enter(&mut self) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    /// What is not a directory; of several names the first. `Break` ends the count: the directories that are open then
    /// are told with what they have so far.
    fn file(&mut self, path: &[u8], stat: &Stat) -> ControlFlow<()>;
    /// What could not be read, and counts as nothing.
    fn problem(&mut self, path: &[u8], error: io::Error);
}

struct Open {
    fd: OwnedFd,
    names: Names,
    path_len: usize,
    sum: Sum,
    own: Sum,
}

/// Counts `path` below `top`, on its file system, and follows no link. What vanishes meanwhile is passed over.
///
/// # Errors
/// Those of opening `top`; `NotFound` and `NotADirectory` for `path`.
pub fn count(top: &Path, path: &[u8], counter: &mut dyn Counter) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut fd = rustix::fs::open(top, flags, Mode::empty())?;
    let device = Stat::of(fd.as_fd())?.dev;
    let mut at = Vec::new();
    for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
        at.push(b'/');
        at.extend_from_slice(name);
        let mut room = [0; 256];
        let name = crate::layers::terminated(name, &mut room)?;
        fd = open_directory(fd.as_fd(), name)?;
    }
    let mut links = HashSet::new();
    let mut room = vec![MaybeUninit::uninit(); BUFFER];
    let mut open = vec![ready(fd, at.len(), &mut room)?];
    let mut cut = false;
    while let Some(last) = open.last_mut() {
        at.truncate(last.path_len);
        let Some(number) = last.names.advance().filter(|_| !cut) else {
            close(&mut open, &at, counter);
            continue;
        };
        let Some(entry) = last.names.get(number) else { continue };
        at.push(b'/');
        at.extend_from_slice(entry.name.to_bytes());
        let stat = match Stat::at(last.fd.as_fd(), entry.name) {
            Ok(stat) if stat.dev != device => continue,
            Ok(stat) => stat,
            Err(Errno::NOENT) => continue,
            Err(error) => {
                counter.problem(&at, error.into());
                continue;
            }
        };
        if stat.kind == Type::Directory {
            let opened = open_directory(last.fd.as_fd(), entry.name).map_err(io::Error::from);
            match opened.and_then(|fd| ready(fd, at.len(), &mut room)) {
                Ok(child) => {
                    open.push(child);
                    cut = counter.enter().is_break();
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => counter.problem(&at, error),
            }
        } else if stat.nlink == 1 || links.insert(stat.ino) {
            last.own.add(Sum::of(&stat));
            cut = counter.file(&at, &stat).is_break();
        }
    }
    Ok(())
}

/// Tells of the innermost directory, and counts it for the one above.
fn close(open: &mut Vec<Open>, path: &[u8], counter: &mut dyn Counter) {
    let Some(Open { mut sum, own, .. }) = open.pop() else { return };
    sum.add(own);
    counter.directory(if path.is_empty() { b"/" } else { path }, open.len(), sum, own);
    if let Some(parent) = open.last_mut() {
        parent.sum.add(sum);
    }
}

fn ready(fd: OwnedFd, path_len: usize, room: &mut [MaybeUninit<u8>]) -> io::Result<Open> {
    let mut names = Names::default();
    names.read(fd.as_fd(), true, room)?;
    names.sort();
    let own = Sum::of(&Stat::of(fd.as_fd())?);
    Ok(Open { fd, names, path_len, sum: Sum::default(), own })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    #[derive(Default)]
    struct All {
        directories: Vec<(String, usize, Sum)>,
        files: Vec<String>,
        most: Option<usize>,
    }

    impl Counter for All {
        fn directory(&mut self, path: &[u8], depth: usize, sum: Sum, own: Sum) {
            assert!(own.bytes <= sum.bytes && own.inodes <= sum.inodes);
            self.directories.push((crate::shown(path).into_owned(), depth, sum));
        }
        fn file(&mut self, path: &[u8], _: &Stat) -> ControlFlow<()> {
            self.files.push(crate::shown(path).into_owned());
            match self.most == Some(self.files.len()) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        }
        fn problem(&mut self, path: &[u8], error: io::Error) {
            panic!("{}: {error}", crate::shown(path));
        }
    }

    fn counted(top: &Path, path: &[u8]) -> All {
        let mut all = All::default();
        count(top, path, &mut all).unwrap();
        all
    }

    #[test]
    fn sums_go_up_and_links_count_once() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        fs::create_dir_all(top.join("a/deep")).unwrap();
        fs::create_dir(top.join("b")).unwrap();
        fs::write(top.join("a/deep/file"), vec![1; 100_000]).unwrap();
        fs::hard_link(top.join("a/deep/file"), top.join("b/again")).unwrap();
        std::os::unix::fs::symlink("/", top.join("b/root")).unwrap();
        let all = counted(top, b"/");
        let names: Vec<_> = all.directories.iter().map(|(path, depth, _)| (path.as_str(), *depth)).collect();
        assert_eq!(names, [("/a/deep", 2), ("/a", 1), ("/b", 1), ("/", 0)]);
        assert_eq!(all.files, ["/a/deep/file", "/b/root"]);
        let blocks = |path: &str| fs::symlink_metadata(top.join(path)).unwrap().blocks() * 512;
        let want: u64 = ["", "a", "a/deep", "a/deep/file", "b", "b/root"].into_iter().map(blocks).sum();
        assert_eq!(all.directories.last().unwrap().2, Sum { bytes: want, inodes: 6 });
        let part = counted(top, b"/a/deep");
        assert_eq!(part.directories.len(), 1);
        assert_eq!(part.directories[0].0, "/a/deep");
        assert_eq!(part.directories[0].2.inodes, 2);
        assert!(count(top, b"/b/root", &mut All::default()).is_err(), "a link is not followed");
    }

    #[test]
    fn what_is_cut_short_is_told_so_far() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::create_dir(dir.path().join("never")).unwrap();
        for name in ["a/b/1", "a/b/2", "a/b/3"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let mut all = All { most: Some(2), ..All::default() };
        count(dir.path(), b"/", &mut all).unwrap();
        assert_eq!(all.files, ["/a/b/1", "/a/b/2"]);
        let told: Vec<_> = all.directories.iter().map(|(path, _, sum)| (path.as_str(), sum.inodes)).collect();
        assert_eq!(told, [("/a/b", 3), ("/a", 4), ("/", 5)]);
    }
}
