// SPDX-License-Identifier: GPL-2.0-or-later
//! What two inodes at the same path say by themselves. Decides; makes no system call.

use crate::stat::{Stat, Type};

/// What became of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The lowers do not have it.
    Added,
    /// Content, target or device differs.
    Modified,
    /// Only mode, owner or extended attributes differ; times, if they were asked for.
    Metadata,
    /// It is gone, with everything in it.
    Removed,
    /// It is of another type now.
    TypeChanged,
    /// A directory that was renamed: it shows what the lowers have elsewhere.
    Renamed,
    /// The upper has it, and nothing differs.
    Same,
}

impl Kind {
    /// Its letter in a list.
    pub fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified => 'M',
            Self::Metadata => 'm',
            Self::Removed => 'D',
            Self::TypeChanged => 'T',
            Self::Renamed => 'R',
            Self::Same => '=',
        }
    }

    /// Its word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Metadata => "metadata",
            Self::Removed => "removed",
            Self::TypeChanged => "type-changed",
            Self::Renamed => "renamed",
            Self::Same => "same",
        }
    }
}

/// What of it differs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct What {
    /// Bytes, target or device.
    pub content: bool,
    /// Permissions.
    pub mode: bool,
    /// Owner or group.
    pub owner: bool,
    /// Extended attributes; of changed content only with [`crate::Options::detail`].
    pub xattrs: bool,
    /// Time of the last change, where times were asked for.
    pub times: bool,
}

impl What {
    /// The words for it.
    pub fn words(self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.content, "content"),
            (self.mode, "mode"),
            (self.owner, "owner"),
            (self.xattrs, "xattrs"),
            (self.times, "times"),
        ];
        all.into_iter().filter_map(|(is, word)| is.then_some(word))
    }

    /// What it makes of a path that is of the same type.
    pub fn kind(self) -> Kind {
        match self {
            Self { content: true, .. } => Kind::Modified,
            Self { mode: false, owner: false, xattrs: false, times: false, .. } => Kind::Same,
            _ => Kind::Metadata,
        }
    }
}

/// Whether the content differs, as far as the inodes tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    Same,
    Differs,
    /// Only reading both tells: times can be set back, and packages have the same in every build.
    Read,
}

/// Compares two inodes of the same type.
pub(crate) fn judge(now: &Stat, was: &Stat, times: bool) -> (What, Content) {
    let content = match now.kind {
        Type::File | Type::Symlink if now.size != was.size => Content::Differs,
        Type::File if now.size == 0 || now.id() == was.id() => Content::Same,
        Type::File | Type::Symlink => Content::Read,
        Type::Block | Type::Char if now.rdev != was.rdev => Content::Differs,
        Type::Directory | Type::Block | Type::Char | Type::Fifo | Type::Socket | Type::Unknown => Content::Same,
    };
    let what = What {
        content: content == Content::Differs,
        mode: now.mode != was.mode,
        owner: (now.uid, now.gid) != (was.uid, was.gid),
        xattrs: false,
        // each name made or removed in a directory sets its time: that says nothing of its own
        times: times && now.kind != Type::Directory && now.mtime != was.mtime,
    };
    (what, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Stat {
        Stat {
            kind: Type::File,
            mode: 0o644,
            uid: 0,
            gid: 0,
            size: 10,
            blocks: 8,
            mtime: (5, 0),
            dev: (0, 1),
            ino: 1,
            nlink: 1,
            rdev: (0, 0),
        }
    }

    #[test]
    fn sizes_tell_at_once_and_the_same_times_prove_nothing() {
        let (was, other) = (file(), Stat { ino: 2, ..file() });
        assert_eq!(judge(&other, &was, false), (What::default(), Content::Read));
        let longer = Stat { size: 11, ..other };
        assert_eq!(judge(&longer, &was, false).1, Content::Differs);
        assert_eq!(judge(&longer, &was, false).0.kind(), Kind::Modified);
        let empty = Stat { size: 0, ..other };
        assert_eq!(judge(&empty, &Stat { size: 0, ..was }, false).1, Content::Same);
    }

    #[test]
    fn metadata_alone() {
        let was = file();
        for (now, word) in [(Stat { mode: 0o600, ..was }, "mode"), (Stat { gid: 7, ..was }, "owner")] {
            let (what, content) = judge(&now, &was, false);
            assert_eq!((what.kind(), content), (Kind::Metadata, Content::Same), "{word}");
            assert_eq!(what.words().collect::<Vec<_>>(), [word]);
        }
        let touched = Stat { mtime: (6, 0), ..was };
        assert_eq!(judge(&touched, &was, false).0.kind(), Kind::Same);
        assert_eq!(judge(&touched, &was, true).0.kind(), Kind::Metadata);
        let dir = Stat { kind: Type::Directory, ..touched };
        assert_eq!(judge(&dir, &was, true).0.kind(), Kind::Same, "its entries' doing");
    }

    #[test]
    fn a_device_is_its_number() {
        let was = Stat { kind: Type::Block, rdev: (8, 1), ..file() };
        assert_eq!(judge(&Stat { rdev: (8, 2), ..was }, &was, false).0.kind(), Kind::Modified);
        assert_eq!(judge(&Stat { ino: 3, ..was }, &was, false).0.kind(), Kind::Same);
    }
}
