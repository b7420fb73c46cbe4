// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds what a store of container images has in its layers for an overlay of its own: whiteouts, and overlayfs's
//! marks. An overlay on the root shows neither.

use crate::step::layers::is_whiteout;
use crate::sys::attributes::{beside, xattrs};
use crate::sys::descent::{self, Visitor, is_directory};
use anyhow::{Context, Result, bail};
use rustix::fd::BorrowedFd;
use rustix::fs::Stat;
use std::ffi::{CStr, OsStr};
use std::fs::{self, Metadata};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// Marks that say nothing of what is shown.
const SILENT: [&str; 2] = ["trusted.overlay.origin", "trusted.overlay.impure"];

/// Whether it is a whiteout, or has a mark that changes what an overlay shows.
pub fn is_marked(path: &Path, metadata: &Metadata) -> bool {
    let telling = |name: &String| name.starts_with("trusted.overlay.") && !SILENT.contains(&name.as_str());
    let file = metadata.is_dir() || metadata.is_file();
    is_whiteout(metadata) || (file && xattrs(path).is_ok_and(|names| names.iter().any(telling)))
}

/// The first path with one, below a directory of a layer or the directory itself. `stop` is asked again and again, and
/// ends the search. Users write there: what they put in a directory's place meanwhile is not gone into.
///
/// # Errors
/// Where a directory can't be read or is moved, and those of `stop`.
pub fn find(top: &Path, stop: &mut impl FnMut() -> Result<bool>) -> Result<Option<PathBuf>> {
    if is_marked(top, &fs::symlink_metadata(top)?) {
        return Ok(Some(top.to_owned()));
    }
    let mut search = Search { stop, path: top.to_owned(), ended: false, found: None };
    let walked = descent::walk(top.to_str().context("a name that is not UTF-8")?, &mut search);
    match search.ended {
        true => Ok(search.found),
        false => walked.map(|()| None),
    }
}

struct Search<'a, S> {
    stop: &'a mut S,
    /// Where it is.
    path: PathBuf,
    ended: bool,
    found: Option<PathBuf>,
}

impl<S: FnMut() -> Result<bool>> Visitor for Search<'_, S> {
    fn entry(&mut self, directory: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<bool> {
        self.ended = (self.stop)()?;
        let at = PathBuf::from(std::ffi::OsString::from_vec(beside(directory, name)));
        if !self.ended && is_marked(&at, &fs::symlink_metadata(&at)?) {
            (self.ended, self.found) = (true, Some(self.path.join(OsStr::from_bytes(name.to_bytes()))));
        }
        if self.ended {
            bail!("the end of the search");
        }
        Ok(is_directory(stat))
    }

    fn enter(&mut self, name: &CStr) {
        self.path.push(OsStr::from_bytes(name.to_bytes()));
    }

    fn leave(&mut self, _directory: BorrowedFd<'_>) -> Result<()> {
        self.path.pop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::on_cpu;
    use std::time::Duration;

    /// Users can have such directories, and `overlayctl doctor` looks into theirs for two seconds.
    #[test]
    fn a_search_that_is_to_end_reads_no_directory_whole() {
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        for number in 0..100_000 {
            fs::write(dir.path().join(number.to_string()), "").unwrap();
        }
        let before = on_cpu();
        let found = find(dir.path(), &mut || Ok(true)).unwrap();
        let took = on_cpu() - before;
        assert!(found.is_none() && took < Duration::from_millis(30), "{took:?}");
    }

    #[test]
    fn the_path_of_what_is_found() {
        let dir = tempfile::tempdir().unwrap();
        for made in ["a/b/c", "a/d", "e"] {
            fs::create_dir_all(dir.path().join(made)).unwrap();
        }
        assert_eq!(find(dir.path(), &mut || Ok(false)).unwrap(), None);
        let whiteout = dir.path().join("a/b/c/gone");
        if rustix::fs::mknodat(
            rustix::fs::CWD,
            &whiteout,
            rustix::fs::FileType::CharacterDevice,
            rustix::fs::Mode::empty(),
            0,
        )
        .is_ok()
        {
            assert_eq!(find(dir.path(), &mut || Ok(false)).unwrap(), Some(whiteout));
        }
    }
}
