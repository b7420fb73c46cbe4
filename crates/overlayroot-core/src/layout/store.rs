// SPDX-License-Identifier: GPL-2.0-or-later
//! One upper on its file system: the directories and files that belong to it.

use crate::layout::paths;
use serde::{Deserialize, Serialize};

/// The upper used where nothing else is named.
pub const DEFAULT_UPPER: &str = "overlay";

/// Beside upper and work in a subvolume: what a boot had no time to remove.
pub const ASIDE: &str = "trash";

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
        let store = Self::at(at, name, &work);
        match name {
            // That of the default upper is older than other names.
            DEFAULT_UPPER => store,
            other => Self { marker: format!("{at}/{}/{other}.reset.json", paths::META_DIR), ..store },
        }
    }

    pub(super) fn at(at: &str, upper: &str, work: &str) -> Self {
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

    /// The upper `name` with a subvolume for itself and its work directory: a rename from one subvolume to another is
    /// EXDEV, so overlayfs needs both in one.
    pub fn in_subvolume(at: &str, name: &str) -> Self {
        let subvolume = format!("{at}/{name}");
        Self {
            upper: format!("{subvolume}/upper"),
            work: format!("{subvolume}/work"),
            subvolume: Some(subvolume),
            ..Self::named(at, name)
        }
    }

    /// The upper of another name beside this one. None beside Ubuntu's, which has a layout of its own.
    pub fn beside(&self, name: &str) -> Option<Self> {
        let (at, own) = self.whole().rsplit_once('/')?;
        let of = |name: &str| match self.subvolume {
            Some(_) => Self::in_subvolume(at, name),
            None => Self::named(at, name),
        };
        (of(own) == *self).then(|| of(name))
    }

    /// Where `overlayctl commit` leaves what it asks the next boot for ([`crate::feature::commit`]).
    pub fn commit(&self) -> String {
        format!("{}.commit.json", self.fingerprint.strip_suffix(".json").unwrap_or(&self.fingerprint))
    }

    /// Which upper the next boots use ([`crate::feature::tries`]).
    pub fn boots(&self) -> String {
        let meta = self.trash.rsplit_once('/').map_or("", |(meta, _)| meta);
        format!("{meta}/boot.json")
    }

    /// What must be plain before [`Store::boots`] is read, in the fields of a store: nothing of an upper.
    pub fn for_boots(&self) -> Self {
        Self {
            upper: self.trash.clone(),
            work: self.trash.clone(),
            trash: self.trash.clone(),
            fingerprint: self.boots(),
            marker: self.boots(),
            subvolume: None,
        }
    }

    /// Where another upper is copied to before it has its name: nobody sweeps there.
    pub fn copy(&self) -> String {
        let meta = self.trash.rsplit_once('/').map_or("", |(meta, _)| meta);
        format!("{meta}/copy")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upper_in_a_subvolume_is_moved_with_its_work() {
        let store = Store::in_subvolume("/x", DEFAULT_UPPER);
        assert_eq!((store.whole(), store.name(), store.number("overlay.2")), ("/x/overlay", "overlay", Some(2)));
        assert_eq!(store.kept(2), ("/x/overlay.2".into(), "/x/.overlayroot/overlay.2.json".into()));
        assert_eq!(store.seen_at("/x", "/y"), Store::in_subvolume("/y", DEFAULT_UPPER));
        assert_eq!(store.aside(), "/x/overlay/trash");
        assert_eq!(Store::named("/x", "overlay").aside(), "/x/.overlayroot/trash");
    }

    #[test]
    fn other_uppers_never_share_a_directory() {
        let (a, b) = (Store::named("/x", "overlay"), Store::named("/x", "other"));
        assert!(a.upper != b.upper && a.work != b.work && a.fingerprint != b.fingerprint && a.marker != b.marker);
        assert_eq!((&a.trash, a.keep()), (&b.trash, b.keep()));
        assert_eq!((a.beside("other"), b.beside("overlay")), (Some(b.clone()), Some(a)));
        let (c, d) = (Store::in_subvolume("/x", "overlay"), Store::in_subvolume("/x", "other"));
        assert_eq!((c.beside("other"), d.commit()), (Some(d.clone()), "/x/.overlayroot/other.commit.json".to_owned()));
        assert_eq!(Store::at("/x", "overlay", "overlay-workdir/_").beside("other"), None, "Ubuntu's");
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
