// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a file that the boot loader reads can be written where it lies.

use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo::Mount;

/// What becomes of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It stays.
    Kept,
    /// Its mount is read-only.
    ReadOnly(String),
    /// It goes into the upper, where no boot loader looks.
    Lost,
}

/// Judges a path of the running system, all links in it resolved.
pub fn judge(mounts: &[Mount], path: &str) -> Place {
    let below = |at: &str| at == "/" || path == at || path.strip_prefix(at).is_some_and(|rest| rest.starts_with('/'));
    let covering = mounts.iter().filter(|mount| below(&mount.at)).max_by_key(|mount| mount.at.len());
    match covering.and_then(|found| mounts.iter().rfind(|mount| mount.at == found.at)) {
        Some(mount) if mount.at == "/" && is_overlay(mounts) => Place::Lost,
        Some(mount) if mount.read_only() => Place::ReadOnly(mount.at.clone()),
        _ => Place::Kept,
    }
}

/// Whether the running root is an overlay of which a boot loader does not know: one with a lower of its own.
/// A chroot into the lower sees another `/`.
pub fn is_overlay(mounts: &[Mount]) -> bool {
    let root = mounts.iter().rfind(|mount| mount.at == "/").filter(|root| root.fstype == "overlay");
    let lower = paths::LOWERS.iter().any(|at| mounts.iter().any(|mount| mount.at == *at));
    root.is_some_and(|root| lower || root.source == paths::OVERLAY_SOURCE || root.source == paths::UBUNTU_SOURCE)
}

/// The device of the root, or of the lower below it: where it is named by one, and that alone says which root it is.
pub fn root_device(mounts: &[Mount]) -> Option<String> {
    let lower = paths::LOWERS.into_iter().find(|at| mounts.iter().any(|mount| mount.at == *at));
    let at = if is_overlay(mounts) { lower? } else { "/" };
    let mount = mounts.iter().rfind(|mount| mount.at == at)?;
    let alone = !matches!(mount.fstype.as_str(), "btrfs" | "zfs" | "bcachefs") && mount.source.starts_with("/dev/");
    alone.then(|| mount.source.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use overlayroot_core::parse::mountinfo::parse;

    const OVERLAY: &str = "\
30 1 0:40 / / rw - overlay LiveOS_rootfs rw,lowerdir=/run/rootfsbase
31 30 254:0 / /run/rootfsbase ro - ext4 /dev/vda ro
32 30 254:1 / /boot/firmware ro,nosuid - vfat /dev/vda1 ro
33 30 254:2 / /efi rw - vfat /dev/vda2 rw
";

    #[test]
    fn where_writes_go() {
        let mounts = parse(OVERLAY);
        assert_eq!(judge(&mounts, "/etc/default/grub"), Place::Lost);
        assert_eq!(judge(&mounts, "/boot/grub/grub.cfg"), Place::Lost);
        assert_eq!(judge(&mounts, "/boot/firmware/cmdline.txt"), Place::ReadOnly("/boot/firmware".into()));
        assert_eq!(judge(&mounts, "/boot/firmware-2/x"), Place::Lost);
        assert_eq!(judge(&mounts, "/efi/loader/entries/a.conf"), Place::Kept);
        let plain = parse("30 1 254:0 / / rw - ext4 /dev/vda rw\n");
        assert_eq!(judge(&plain, "/etc/default/grub"), Place::Kept);
        assert_eq!(root_device(&mounts).as_deref(), Some("/dev/vda"));
        assert_eq!(root_device(&plain).as_deref(), Some("/dev/vda"));
        assert_eq!(root_device(&parse("30 1 0:30 /@ / rw - btrfs /dev/vda rw\n")), None);
        // a container's or a machine's own kind of root: not ours to judge
        let other = parse("30 1 0:40 / / rw - overlay overlay rw\n");
        assert_eq!(judge(&other, "/etc/x"), Place::Kept);
    }
}
