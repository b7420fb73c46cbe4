// SPDX-License-Identifier: GPL-2.0-or-later
//! Where upper and lowers are: those of the root that runs, a kept upper, or directories that are named.

use crate::commands::stale;
use crate::output::exit::refused;
use crate::state::fill::named;
use crate::state::kept::{self, Found};
use anyhow::{Context, Result, ensure};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::record::{NO_RECORD, NOT_OURS, Record};
use overlayroot_core::step::effective::RootKind;
use overlayroot_core::value::diagnostics::escape;
use overlayroot_diff::Layers;
use overlayroot_linux::source::recordfile;
use overlayroot_linux::sys::mounts;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Which layers.
#[derive(Debug, Default, clap::Args)]
pub struct Where {
    /// A kept upper, such as overlay.1, instead of the one in use
    #[arg(long, value_name = "NAME", conflicts_with = "upperdir")]
    upper: Option<String>,
    /// The upper directory of any overlay, instead of the root's
    #[arg(long, value_name = "DIR", requires = "lowerdir")]
    upperdir: Option<PathBuf>,
    /// Its lowers, the topmost first
    #[arg(long, value_name = "DIR[:DIR...]", requires = "upperdir")]
    lowerdir: Option<String>,
}

/// Which upper.
#[derive(Debug, clap::Args)]
pub struct WhichUpper {
    /// A kept upper, such as overlay.1, instead of the one in use
    #[arg(long, value_name = "NAME", conflicts_with = "upperdir")]
    upper: Option<String>,
    /// The upper directory of any overlay, instead of the root's
    #[arg(long, value_name = "DIR")]
    upperdir: Option<PathBuf>,
}

/// The layers found.
#[derive(Debug)]
pub struct Place {
    /// The upper directory.
    pub upper: PathBuf,
    /// The lowers, topmost first.
    pub lowers: Vec<PathBuf>,
    /// What of the root is the upper's own place.
    pub hidden: Vec<Vec<u8>>,
    /// Whether its marks are `user.overlay.*`.
    user: bool,
    /// Whether it is the root that runs: links in a path mean something.
    live: bool,
}

impl Place {
    /// Finds them, for root.
    pub fn find(asked: &Where) -> Result<Self> {
        let lowers = || asked.lowerdir.as_deref().unwrap_or_default().split(':').map(PathBuf::from).collect();
        let place = found(asked.upper.as_deref(), asked.upperdir.as_deref(), lowers)?;
        if let Some(lower) = place.lowers.last().filter(|_| asked.upperdir.is_none()) {
            kept::is_mounted(&lower.to_string_lossy())?;
        }
        Ok(place)
    }

    /// The same where the lowers are of no interest.
    pub fn of_upper(asked: &WhichUpper) -> Result<Self> {
        found(asked.upper.as_deref(), asked.upperdir.as_deref(), Vec::new)
    }

    /// Opens the layers.
    pub fn open(&self) -> Result<Layers> {
        self.raise_file_limit();
        Layers::open(&self.upper, &self.lowers, self.user).context("opening the layers")
    }

    /// A deep tree has a file open for each of its directories.
    pub fn raise_file_limit(&self) {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let now = getrlimit(Resource::Nofile);
        let _ = setrlimit(Resource::Nofile, Rlimit { current: now.maximum, maximum: now.maximum });
    }

    /// The file system of the upper, as people know it.
    pub fn file_system(&self) -> String {
        let unknown = || "its file system".to_owned();
        let Ok(mounts) = mounts::read() else { return unknown() };
        // The way to it may lead over links in /run.
        let upper = std::fs::canonicalize(&self.upper).unwrap_or_else(|_| self.upper.clone());
        let holder = mounts.iter().filter(|mount| upper.starts_with(&mount.at));
        let holder = holder.max_by_key(|mount| mount.at.len());
        holder.map_or_else(unknown, |mount| named(&mount.fstype, &mount.source))
    }

    /// A path as the root has it: from the top, its parent's links resolved where the root is there to tell.
    pub fn path(&self, asked: Option<&Path>) -> Vec<u8> {
        let Some(asked) = asked else { return b"/".to_vec() };
        let whole = match self.live {
            true => std::path::absolute(asked).unwrap_or_else(|_| asked.to_path_buf()),
            false => Path::new("/").join(asked),
        };
        let mut plain = PathBuf::from("/");
        for part in whole.components() {
            match part {
                Component::Normal(name) => plain.push(name),
                Component::ParentDir => drop(plain.pop()),
                Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
            }
        }
        let parent = plain.parent().filter(|_| self.live).and_then(|parent| parent.canonicalize().ok());
        if let (Some(parent), Some(name)) = (parent, plain.file_name()) {
            plain = parent.join(name);
        }
        plain.into_os_string().into_encoded_bytes()
    }
}

fn found(kept: Option<&str>, upperdir: Option<&Path>, lowers: impl FnOnce() -> Vec<PathBuf>) -> Result<Place> {
    // Others don't see trusted.overlay.*, and would be told what is not so.
    ensure!(rustix::process::geteuid().is_root(), "only root can read an upper: run it with sudo");
    if let Some(upper) = upperdir {
        let upper = upper.to_path_buf();
        return Ok(Place { upper, lowers: lowers(), hidden: Vec::new(), user: false, live: false });
    }
    if let Some(name) = kept {
        return kept_place(name);
    }
    let Some(record) = recordfile::read(paths::RECORD)? else {
        return Err(refused(NO_RECORD));
    };
    if record.effective.root != RootKind::Overlay {
        return Err(refused(NOT_OURS));
    }
    let mounts = mounts::read()?;
    let root = mountinfo::at(&mounts, "/").filter(|root| root.fstype == "overlay");
    let root = root.context("the record says overlay, the kernel says that / is none")?;
    if root.super_option("index").as_deref() == Some("on") {
        eprintln!("overlayctl: index=on: further names of a changed file of the lower are not listed");
    }
    let upper = root.super_option("upperdir").unwrap_or_else(|| paths::UPPER_LINK.to_owned());
    Ok(Place {
        upper: PathBuf::from(upper),
        lowers: record.effective.lowers.iter().map(PathBuf::from).collect(),
        hidden: hidden(&record)?,
        user: root.super_options.split(',').any(|option| option == "userxattr"),
        live: true,
    })
}

fn kept_place(name: &str) -> Result<Place> {
    let (record, store) = match kept::find()? {
        Found::Upper(record, store) => (record, store),
        Found::None(why) => return Err(refused(why)),
    };
    let upper = kept::places(&store, Some(name)).map(|(upper, _)| upper);
    let upper = upper.ok_or_else(|| refused(format!("{} is not a kept upper, see overlayctl uppers", escape(name))))?;
    // it was begun on the root itself, whatever lies above that now
    let lowers = record.effective.lowers.last().map(PathBuf::from).into_iter().collect();
    let live = name == store.name();
    Ok(Place { upper: PathBuf::from(upper), lowers, hidden: hidden(&record)?, user: false, live })
}

fn hidden(record: &Record) -> Result<Vec<Vec<u8>>> {
    let Some(lower) = record.effective.lowers.last() else { return Ok(Vec::new()) };
    let path = stale::hidden(record, lower)?;
    let whole = |path: String| Path::new("/").join(OsStr::from_bytes(path.as_bytes())).into_os_string();
    Ok(path.map(|path| whole(path).into_encoded_bytes()).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_from_the_top() {
        let place = Place { upper: "/".into(), lowers: Vec::new(), hidden: Vec::new(), user: false, live: false };
        for (asked, want) in [("/etc", "/etc"), ("etc/../usr/./bin/", "/usr/bin"), ("..", "/"), ("/", "/")] {
            assert_eq!(place.path(Some(Path::new(asked))), want.as_bytes(), "{asked}");
        }
        assert_eq!(place.path(None), b"/");
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().canonicalize().unwrap();
        std::fs::create_dir(top.join("real")).unwrap();
        std::os::unix::fs::symlink("real", top.join("link")).unwrap();
        let live = Place { live: true, ..place };
        let path = |path: &str| PathBuf::from(OsStr::from_bytes(&live.path(Some(&top.join(path)))));
        assert_eq!(path("link/gone"), top.join("real/gone"));
        assert_eq!(path("link"), top.join("link"), "the link itself may have changed");
        assert_eq!(path("gone/x/../y"), top.join("gone/y"));
    }
}
