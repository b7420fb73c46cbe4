// SPDX-License-Identifier: GPL-2.0-or-later
//! What is known of an upper that runs, by its kind in the record: the one dispatch, each kind's answers lie in its
//! module. A partition is a device there.

use crate::step::effective::{Effective, NOT_OURS, UpperKind};
use crate::upper::resize::Resize;
use crate::upper::{device, dir, loop_file, subvol, tmpfs};

impl UpperKind {
    /// How it gets another size. `fstype` and `device`: of the file system that holds it.
    pub fn resize(self, fstype: &str, device: &str) -> Resize {
        match self {
            Self::Tmpfs => tmpfs::RESIZE,
            Self::Device => device::resize(fstype, device),
            Self::Dir => dir::RESIZE,
            Self::Loop => loop_file::RESIZE,
            Self::Subvol => subvol::resize(),
            Self::None => Resize::Refused(NOT_OURS.to_owned()),
        }
    }

    /// Whether its directory may be held to a size that its file system does not show.
    pub fn is_limited(self) -> bool {
        match self {
            Self::Dir => true,
            Self::Tmpfs | Self::Device | Self::Loop | Self::Subvol | Self::None => false,
        }
    }

    /// Whether all that is in it is gone at the next boot.
    pub fn is_in_ram(self) -> bool {
        match self {
            Self::Tmpfs => true,
            Self::Device | Self::Dir | Self::Loop | Self::Subvol | Self::None => false,
        }
    }
}

impl Effective {
    /// Whether the upper lies on the lower's file system, which is writable then by design.
    pub fn is_on_lower(&self) -> bool {
        match self.upper {
            UpperKind::Dir | UpperKind::Subvol => true,
            UpperKind::Loop => loop_file::is_on_root(self),
            UpperKind::Tmpfs | UpperKind::Device | UpperKind::None => false,
        }
    }

    /// Where the lower has the upper itself, which a whiteout of ours hides; `subvolume`: which of its file system's
    /// is mounted as the lower (mountinfo's root), where it is mounted.
    pub fn hidden_path(&self, subvolume: Option<&str>) -> Option<String> {
        let path = self.path.as_ref()?;
        match self.upper {
            UpperKind::Dir | UpperKind::Loop => Some(path.clone()),
            UpperKind::Subvol => subvol::hidden_path(subvolume?, path),
            UpperKind::Tmpfs | UpperKind::Device | UpperKind::None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_ours_to_resize_is_told_what_to_do() {
        let said = |kind: UpperKind, fstype: &str| match kind.resize(fstype, "/dev/vdb") {
            Resize::Refused(text) => text,
            other @ (Resize::Remount | Resize::GrowFile | Resize::SetQuota) => format!("{other:?}"),
        };
        assert!(
            said(UpperKind::Device, "xfs").contains("the xfs on /dev/vdb")
                && said(UpperKind::Device, "xfs").contains("xfs_growfs")
        );
        assert!(said(UpperKind::Subvol, "btrfs").contains("btrfs device add"));
        assert_eq!(said(UpperKind::None, ""), NOT_OURS);
        assert_eq!(said(UpperKind::Dir, "xfs"), "SetQuota");
    }

    #[test]
    fn where_the_lower_has_it() {
        let of = |upper, device: Option<&str>, path: &str| Effective {
            upper,
            device: device.map(str::to_owned),
            path: Some(path.to_owned()),
            ..Effective::plain(crate::step::effective::RootKind::Overlay)
        };
        let file = of(UpperKind::Loop, None, "/upper.img");
        assert!(file.is_on_lower() && !of(UpperKind::Loop, Some("/dev/vdb"), "/upper.img").is_on_lower());
        assert_eq!(file.hidden_path(None).as_deref(), Some("/upper.img"));
        let subvolume = of(UpperKind::Subvol, None, "ovl");
        assert_eq!(subvolume.hidden_path(Some("/")).as_deref(), Some("/ovl"));
        assert_eq!((subvolume.hidden_path(Some("/@")), subvolume.hidden_path(None)), (None, None));
        assert!(subvolume.is_on_lower() && !of(UpperKind::Tmpfs, None, "/x").is_on_lower());
    }
}
