// SPDX-License-Identifier: GPL-2.0-or-later
//! A lower and an upper on real file systems, and the overlay of both.

use crate::view::{View, groups, view};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use overlayroot_linux::commit::{Calls, Choice, Cut, Done, Request, run as commit, scan};
use overlayroot_rootns::disk::{Disk, disk_at};
use overlayroot_rootns::run;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the upper lies in the root where it is a directory of that.
const PLACE: &str = "z/upper";

/// How the upper lies to the lower.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lying {
    /// On the same file system, beside it.
    Beside,
    /// In a directory of the lower, hidden by a whiteout.
    Inside,
    /// On another file system.
    Apart,
    /// In a subvolume of its own.
    Subvolume,
}

/// The file systems; unmounted and detached when dropped.
pub(crate) struct Disks {
    lying: Lying,
    top: PathBuf,
    _disks: Vec<Disk>,
}

impl Disks {
    pub(crate) fn make(lying: Lying, fstype: &str) -> Self {
        let top = PathBuf::from("/mnt/commit");
        fs::create_dir_all(&top).unwrap();
        // In RAM: thousands of syncs.
        mount(Some("disks"), &top, Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
        let mkfs = format!("mkfs.{fstype}");
        let args = match fstype {
            "ext4" => vec![mkfs.as_str(), "-q", "-F"],
            _ => vec![mkfs.as_str(), "-q", "-f"],
        };
        let mut disks = Vec::new();
        for name in ["lower", "upper"] {
            fs::create_dir(top.join(name)).unwrap();
            let at = top.join(name);
            if name == "upper" && lying != Lying::Apart {
                run("mount", &["--bind", top.join("lower").to_str().unwrap(), at.to_str().unwrap()]);
                continue;
            }
            let disk = disk_at(&top, &format!("{name}.img"), 320, &args);
            run("mount", &[&disk.node, at.to_str().unwrap()]);
            disks.push(disk);
        }
        Self { lying, top, _disks: disks }
    }

    /// Empty layers.
    pub(crate) fn stack(&self, name: &str) -> Stack {
        // By one mount where it is one file system: the kernel renames nothing between two.
        let home = self.top.join("lower").join(name);
        let lower = home.join("lower");
        let holder = match self.lying {
            Lying::Beside => home.join("holder"),
            Lying::Inside => lower.join(PLACE),
            Lying::Subvolume => home.join("holder"),
            Lying::Apart => self.top.join("upper").join(name),
        };
        fs::create_dir(&home).unwrap();
        if self.lying == Lying::Subvolume {
            for made in [&lower, &holder] {
                run("btrfs", &["-q", "subvolume", "create", made.to_str().unwrap()]);
            }
        }
        let stack = Stack {
            lying: self.lying,
            upper: holder.join("upper"),
            work: holder.join("work"),
            merged: self.top.join("merged").join(name),
            lower,
            homes: [home, holder],
        };
        for made in [&stack.lower, &stack.upper, &stack.work, &stack.merged] {
            fs::create_dir_all(made).unwrap();
        }
        stack
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for name in ["upper", "lower"] {
            umount2(&self.top.join(name), MntFlags::MNT_DETACH).unwrap();
        }
        umount2(&self.top, MntFlags::MNT_DETACH).unwrap();
    }
}

/// Two layers.
pub(crate) struct Stack {
    lying: Lying,
    pub(crate) lower: PathBuf,
    pub(crate) upper: PathBuf,
    work: PathBuf,
    merged: PathBuf,
    homes: [PathBuf; 2],
}

/// An overlay that is mounted.
pub(crate) struct Mounted<'a>(pub(crate) &'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        umount2(self.0, MntFlags::MNT_DETACH).unwrap();
    }
}

impl Stack {
    pub(crate) fn mount(&self) -> Mounted<'_> {
        let _ = fs::remove_dir_all(&self.work);
        fs::create_dir_all(&self.work).unwrap();
        let [lower, upper, work] = [&self.lower, &self.upper, &self.work].map(|path| path.display().to_string());
        let data = format!(
            "lowerdir={lower},upperdir={upper},workdir={work},index=off,metacopy=off,redirect_dir=off,xino=off"
        );
        let at = self.merged.as_path();
        mount(Some("overlay"), at, Some("overlay"), MsFlags::empty(), Some(data.as_str())).expect("an overlay");
        Mounted(at)
    }

    /// What hides an upper that is in the lower.
    pub(crate) fn hide(&self) {
        if self.lying == Lying::Inside {
            let place = self.upper.join(PLACE);
            fs::create_dir_all(place.parent().unwrap()).unwrap();
            run("mknod", &[place.to_str().unwrap(), "c", "0", "0"]);
        }
    }

    pub(crate) fn merged(&self) -> View {
        view(self.mount().0, &[])
    }

    /// The lower as it is without an overlay.
    pub(crate) fn plain(&self) -> View {
        view(&self.lower, &self.own())
    }

    fn own(&self) -> Vec<PathBuf> {
        if self.lying == Lying::Inside { vec![PathBuf::from(PLACE)] } else { Vec::new() }
    }

    /// Names of one file, as the merged tree has them.
    pub(crate) fn groups(&self, seen: &View) -> Vec<Vec<PathBuf>> {
        let at = |path: &Path| {
            let above = self.upper.join(path);
            if fs::symlink_metadata(&above).is_ok() { above } else { self.lower.join(path) }
        };
        groups(seen.keys().map(|path| (path, at(path))))
    }

    /// What is left in the upper, besides what hides it.
    pub(crate) fn rest(&self) -> Vec<PathBuf> {
        let place = Path::new(PLACE);
        let all = view(&self.upper, &[]).into_keys();
        all.filter(|path| *path != Path::new(""))
            .filter(|path| self.lying != Lying::Inside || !place.starts_with(path))
            .collect()
    }

    /// Ends behind so many changes.
    pub(crate) fn commit(&self, choice: &Choice, calls: &mut Calls) -> anyhow::Result<Done> {
        let choice = Choice { own: self.own(), ..choice.clone() };
        let found = scan(&self.upper, &choice)?;
        let request = Request { upper: &self.upper, lower: &self.lower, choice: &choice, until: None };
        commit(&request, &found, calls)
    }

    /// Both layers as those of `model` are.
    pub(crate) fn copy_of(&self, model: &Self) {
        for (from, to) in [(&model.lower, &self.lower), (&model.upper, &self.upper)] {
            run("cp", &["-a", &format!("{}/.", from.display()), to.to_str().unwrap()]);
            if model.lying == Lying::Inside {
                break;
            }
        }
    }

    pub(crate) fn remove(self) {
        for home in &self.homes {
            let _ = fs::remove_dir_all(home);
        }
        assert!(!fs::exists(&self.homes[0]).unwrap(), "{} can't be removed", self.homes[0].display());
        fs::remove_dir(&self.merged).unwrap();
    }
}

/// Whether it was a test that ended it.
pub(crate) fn was_cut(error: &anyhow::Error) -> bool {
    error.is::<Cut>()
}
