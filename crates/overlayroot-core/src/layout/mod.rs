// SPDX-License-Identifier: GPL-2.0-or-later
//! Where everything goes: names of mounts, and directories on the upper's file system.
//!
//! On a device upper (docs/reference/storage-layout.md):
//! ```text
//! overlay/              the default upper; dracut-ng and Ubuntu share the name
//! ovlwork/              its work directory (dracut-ng; Ubuntu: overlay-workdir/_)
//! NAME/ NAME-work/      any other named upper
//! overlay.N/            an upper that was kept when it was exchanged
//! .overlayroot/keep/    single paths that are kept, whatever becomes of the upper
//! .overlayroot/trash/   what a reset moved aside, to be emptied
//! .overlayroot/reset.json  what `overlayctl` asks the next boot for
//! .overlayroot/NAME.json   fingerprint of the lower that the upper NAME belongs to
//! ```

pub mod paths;
pub mod pending;

use serde::{Deserialize, Serialize};

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

/// The upper used where nothing else is named.
pub const DEFAULT_UPPER: &str = "overlay";

/// Beside upper and work in a subvolume: what a boot had no time to remove.
pub const ASIDE: &str = "trash";

/// Where Ubuntu's overlayroot has the upper's file system.
const ROOT_RW: &str = "/media/root-rw";

/// One upper on its file system: absolute paths below the mount point of that file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// The upper directory.
    pub upper: String,
    /// The work directory.
    pub work: String,
    /// Where a reset moves both.
    pub trash: String,
    /// Where the lower's fingerprint is kept.
    pub fingerprint: String,
    /// What the next boot is asked for ([`crate::layout::pending`]).
    pub marker: String,
    /// The subvolume that upper and work have to themselves, if they have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subvolume: Option<String>,
}

impl Store {
    /// The upper `name` in dracut-ng's layout, on the file system mounted at `at`.
    pub fn named(at: &str, name: &str) -> Self {
        let work = match name {
            DEFAULT_UPPER => "ovlwork".to_owned(),
            other => format!("{other}-work"),
        };
        Self::at(at, name, &work)
    }

    fn at(at: &str, upper: &str, work: &str) -> Self {
        // "%" stands in no directory name that the grammars allow, so no two uppers share a file.
        let name = upper.replace('/', "%");
        Self {
            upper: format!("{at}/{upper}"),
            work: format!("{at}/{work}"),
            trash: format!("{at}/{}/trash", paths::META_DIR),
            fingerprint: format!("{at}/{}/{name}.json", paths::META_DIR),
            marker: format!("{at}/{}/reset.json", paths::META_DIR),
            subvolume: None,
        }
    }

    /// The default upper with a subvolume for itself and its work directory: a rename from one subvolume to
    /// another is EXDEV, so overlayfs needs both in one.
    pub fn in_subvolume(at: &str) -> Self {
        let subvolume = format!("{at}/{DEFAULT_UPPER}");
        Self {
            upper: format!("{subvolume}/upper"),
            work: format!("{subvolume}/work"),
            subvolume: Some(subvolume),
            ..Self::named(at, DEFAULT_UPPER)
        }
    }

    /// Where single paths are kept beside it, out of the way of every reset.
    pub fn keep(&self) -> String {
        let meta = self.trash.rsplit_once('/').map_or("", |(meta, _)| meta);
        format!("{meta}/{}", paths::KEEP_DIR)
    }

    /// What is moved where the upper is reset or kept.
    pub fn whole(&self) -> &str {
        self.subvolume.as_deref().unwrap_or(&self.upper)
    }

    /// Where a work directory goes that has too much in it for a boot. One in a subvolume can't leave that.
    pub fn aside(&self) -> String {
        match &self.subvolume {
            Some(subvolume) => format!("{subvolume}/{ASIDE}"),
            None => self.trash.clone(),
        }
    }

    /// The same directories, seen where their file system is mounted a second time.
    pub fn seen_at(&self, from: &str, to: &str) -> Self {
        let seen = |path: &str| path.replacen(from, to, 1);
        Self {
            upper: seen(&self.upper),
            work: seen(&self.work),
            trash: seen(&self.trash),
            fingerprint: seen(&self.fingerprint),
            marker: seen(&self.marker),
            subvolume: self.subvolume.as_deref().map(seen),
        }
    }

    /// The upper's own name.
    pub fn name(&self) -> &str {
        self.whole().rsplit_once('/').map_or(self.whole(), |(_, name)| name)
    }

    /// Where an upper is kept under a number: its directory and its fingerprint.
    pub fn kept(&self, number: u32) -> (String, String) {
        let fingerprint = self.fingerprint.strip_suffix(".json").unwrap_or(&self.fingerprint);
        (format!("{}.{number}", self.whole()), format!("{fingerprint}.{number}.json"))
    }

    /// The number in the name of a kept upper, such as `overlay.1`.
    pub fn number(&self, name: &str) -> Option<u32> {
        let digits = name.strip_prefix(self.name())?.strip_prefix('.')?;
        // One spelling a number: neither `+1` nor `01`.
        digits.parse().ok().filter(|number: &u32| *number > 0 && number.to_string() == digits)
    }
}

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

/// The places of a device upper.
pub fn device(names: &Names) -> Places {
    let private = paths::BACKING_KEPT;
    match names {
        Names::Dracut => dracut(private, paths::BACKING, Store::named(private, DEFAULT_UPPER)),
        Names::Ubuntu { dir } => ubuntu(private, dir),
    }
}

/// The places of an upper in a file of the root's own file system.
pub fn loop_file() -> Places {
    Places { on_root: true, ..device(&Names::Dracut) }
}

/// The places of an upper in the directory `path` of the root's own file system.
pub fn directory(path: &str) -> Places {
    let store = Store::named(&format!("{}{path}", paths::ROOT_KEPT), DEFAULT_UPPER);
    Places { on_root: true, ..dracut(paths::ROOT_KEPT, paths::ROOT_KEPT, store) }
}

/// The places of an upper in the subvolume `name` of the root's own file system.
pub fn subvolume(name: &str) -> Places {
    let store = Store::in_subvolume(&format!("{}/{name}", paths::ROOT_KEPT));
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
        let places = device(&Names::Dracut);
        let shown = places.shown();
        assert_eq!(shown.upper, "/run/overlayfs-backing/overlay");
        assert_eq!(shown.work, "/run/overlayfs-backing/ovlwork");
        assert_eq!(places.store.upper, "/run/initramfs/overlayroot/upper/overlay", "what we write goes by root's way");
        assert_eq!(places.upperdir, "/run/overlayfs");
        assert_eq!(tmpfs(&Names::Dracut).store.upper, "/run/initramfs/overlay/overlayfs");
    }

    #[test]
    fn ubuntus_upper_shares_the_directory_name() {
        let places = device(&Names::Ubuntu { dir: "overlay".into() });
        assert_eq!(places.upperdir, "/media/root-rw/overlay");
        assert_eq!(places.workdir, "/media/root-rw/overlay-workdir/_");
        assert_eq!(places.store.upper, "/run/initramfs/overlayroot/upper/overlay");
        assert_eq!(places.source, "overlayroot");
    }

    #[test]
    fn an_upper_in_a_subvolume_is_moved_with_its_work() {
        let store = Store::in_subvolume("/x");
        assert_eq!((store.whole(), store.name(), store.number("overlay.2")), ("/x/overlay", "overlay", Some(2)));
        assert_eq!(store.kept(2), ("/x/overlay.2".into(), "/x/.overlayroot/overlay.2.json".into()));
        assert_eq!(store.seen_at("/x", "/y"), Store::in_subvolume("/y"));
        assert_eq!(store.aside(), "/x/overlay/trash");
        assert_eq!(Store::named("/x", "overlay").aside(), "/x/.overlayroot/trash");
    }

    #[test]
    fn other_uppers_never_share_a_directory() {
        let (a, b) = (Store::named("/x", "overlay"), Store::named("/x", "overlay.1"));
        assert!(a.upper != b.upper && a.work != b.work && a.fingerprint != b.fingerprint);
        assert_eq!(a.trash, b.trash);
    }

    #[test]
    fn a_kept_upper_has_the_names_of_an_upper() {
        let store = Store::named("/x", "overlay");
        let other = Store::named("/x", "overlay.12");
        assert_eq!(store.kept(12), (other.upper, other.fingerprint));
        assert_eq!(store.number("overlay.12"), Some(12));
        for bad in ["overlay", "overlay.", "overlay.0", "overlay.01", "overlay.+1", "overlay.1-work", "x.1"] {
            assert_eq!(store.number(bad), None, "{bad}");
        }
        let deep = Store::at("/x", "a/b", "a/b-workdir/_");
        assert_eq!((deep.name(), deep.number("b.3")), ("b", Some(3)));
        assert_eq!(deep.kept(3).1, "/x/.overlayroot/a%b.3.json");
    }
}
