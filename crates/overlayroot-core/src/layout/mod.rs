// SPDX-License-Identifier: GPL-2.0-or-later
//! Where everything goes: names of mounts, and directories on the upper's file system.
//!
//! On a device upper (docs/reference/storage-layout.md):
//! ```text
//! overlay/              the default upper; dracut-ng and Ubuntu share the name
//! ovlwork/              its work directory (dracut-ng; Ubuntu: overlay-workdir/_)
//! NAME/ NAME-work/      any other upper (rd.overlay.name)
//! overlay.N/ NAME.N/    one that was kept when it was exchanged
//! .overlayroot/keep/    single paths that are kept, whatever becomes of the upper
//! .overlayroot/trash/   what a reset moved aside, to be emptied
//! .overlayroot/reset.json  what `overlayctl` asks the next boot for; of another upper NAME.reset.json
//! .overlayroot/NAME.commit.json  what it asks the next boot to move into the lower
//! .overlayroot/NAME.json   fingerprint of the lower that the upper NAME belongs to
//! ```

mod name;
pub mod paths;
pub mod pending;
mod store;

pub use name::parse_name;
pub use store::{ASIDE, DEFAULT_UPPER, Store};

/// Whose mount points and names are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// dracut-ng's `/run/rootfsbase`, source `LiveOS_rootfs`.
    Dracut,
    /// Ubuntu's `/media/root-ro` and `/media/root-rw`, source `overlayroot`.
    Ubuntu {
        /// Upper directory within the upper's file system.
        dir: String,
    },
}

/// Where Ubuntu's overlayroot has the upper's file system.
const ROOT_RW: &str = "/media/root-rw";

/// Names of one boot's mounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Mount point of the lower.
    pub lower: String,
    /// Mount point of the upper's file system, writable: nobody but root gets there.
    pub upper_fs: String,
    /// Where others look for that file system. Where it is another place it is a second mount, made read-only once
    /// the overlay is mounted: the kernel wants the mount that `upperdir=` names writable, and keeps one of its own.
    pub public: String,
    /// Source of a tmpfs upper in mountinfo.
    pub tmpfs_source: &'static str,
    /// The directories on it, by the way that is root's.
    pub store: Store,
    /// Source of the overlay in mountinfo.
    pub source: &'static str,
    /// Links to make: where, and to what.
    pub links: Vec<(String, String)>,
    /// What the overlay's options call upper and work.
    pub upperdir: String,
    /// See `upperdir`.
    pub workdir: String,
    /// Whether the upper lies on the root's own file system, which must stay writable then.
    pub on_root: bool,
    /// Mounts to show inside the merged root: from, and where in it.
    pub visible: Vec<(String, String)>,
}

impl Places {
    /// The directories by their public names.
    pub fn shown(&self) -> Store {
        self.store.seen_at(&self.upper_fs, &self.public)
    }
}

/// The places of a tmpfs upper. It is closed by its own mode.
pub fn tmpfs(names: &Names) -> Places {
    match names {
        Names::Dracut => {
            let mut store = Store::named(paths::TMPFS, DEFAULT_UPPER);
            store.upper = paths::TMPFS_UPPER.to_owned();
            store.work = paths::TMPFS_WORK.to_owned();
            dracut(paths::TMPFS, paths::TMPFS, store)
        }
        Names::Ubuntu { dir } => ubuntu(ROOT_RW, dir),
    }
}

/// The places of the upper `name` on a device; Ubuntu's overlayroot has a name of its own.
pub fn device(names: &Names, name: &str) -> Places {
    let private = paths::BACKING_KEPT;
    match names {
        Names::Dracut => dracut(private, paths::BACKING, Store::named(private, name)),
        Names::Ubuntu { dir } => ubuntu(private, dir),
    }
}

/// The places of the upper `name` in a file of the root's own file system.
pub fn loop_file(name: &str) -> Places {
    Places { on_root: true, ..device(&Names::Dracut, name) }
}

/// The places of the upper `name` in the directory `path` of the root's own file system.
pub fn directory(path: &str, name: &str) -> Places {
    let store = Store::named(&format!("{}{path}", paths::ROOT_KEPT), name);
    Places { on_root: true, ..dracut(paths::ROOT_KEPT, paths::ROOT_KEPT, store) }
}

/// The places of the upper `name` in the subvolume `path` of the root's own file system.
pub fn subvolume(path: &str, name: &str) -> Places {
    let store = Store::in_subvolume(&format!("{}/{path}", paths::ROOT_KEPT), name);
    Places { on_root: true, ..dracut(paths::ROOT_KEPT, paths::ROOT_KEPT, store) }
}

fn dracut(at: &str, public: &str, store: Store) -> Places {
    let shown = store.seen_at(at, public);
    Places {
        lower: paths::LOWER.to_owned(),
        upper_fs: at.to_owned(),
        public: public.to_owned(),
        tmpfs_source: "tmpfs",
        source: paths::OVERLAY_SOURCE,
        links: vec![(paths::UPPER_LINK.to_owned(), shown.upper), (paths::WORK_LINK.to_owned(), shown.work)],
        store,
        upperdir: paths::UPPER_LINK.to_owned(),
        workdir: paths::WORK_LINK.to_owned(),
        on_root: false,
        visible: Vec::new(),
    }
}

fn ubuntu(at: &str, dir: &str) -> Places {
    let store = Store::at(at, dir, &format!("{dir}-workdir/_"));
    let shown = store.seen_at(at, ROOT_RW);
    let visible = [paths::UBUNTU_LOWER, ROOT_RW];
    Places {
        lower: paths::UBUNTU_LOWER.to_owned(),
        upper_fs: at.to_owned(),
        public: ROOT_RW.to_owned(),
        tmpfs_source: "tmpfs-root",
        source: paths::UBUNTU_SOURCE,
        links: Vec::new(),
        upperdir: shown.upper,
        workdir: shown.work,
        store,
        on_root: false,
        visible: visible.map(|path| (path.to_owned(), format!("{}{path}", paths::SYSROOT))).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_upper_is_dracut_ngs() {
        let places = device(&Names::Dracut, DEFAULT_UPPER);
        let shown = places.shown();
        assert_eq!(shown.upper, "/run/overlayfs-backing/overlay");
        assert_eq!(shown.work, "/run/overlayfs-backing/ovlwork");
        assert_eq!(places.store.upper, "/run/initramfs/overlayroot/upper/overlay", "what we write goes by root's way");
        assert_eq!(places.upperdir, "/run/overlayfs");
        assert_eq!(tmpfs(&Names::Dracut).store.upper, "/run/initramfs/overlay/overlayfs");
    }

    #[test]
    fn ubuntus_upper_shares_the_directory_name() {
        let places = device(&Names::Ubuntu { dir: "overlay".into() }, "other");
        assert_eq!(places.upperdir, "/media/root-rw/overlay");
        assert_eq!(places.workdir, "/media/root-rw/overlay-workdir/_");
        assert_eq!(places.store.upper, "/run/initramfs/overlayroot/upper/overlay");
        assert_eq!(places.source, "overlayroot");
    }
}
