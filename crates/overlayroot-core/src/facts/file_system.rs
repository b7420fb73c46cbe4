// SPDX-License-Identifier: GPL-2.0-or-later
//! Which file system it is. A path does not tell: one device has several. Nor does one number: a btrfs may have
//! several devices, and the number that its mounts show is none of them.

use crate::facts::Root;
use crate::facts::device::Device;
use crate::layout::paths;

/// What tells a file system from others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FileSystem {
    /// Its UUID; empty where it has none, or nobody could read it.
    pub uuid: String,
    /// `major:minor` of each of its devices; none for one that has no block device, as on a network.
    pub devices: Vec<String>,
}

/// How two are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alike {
    /// They are one: they have a device in common.
    Same,
    /// They have one UUID, and no device in common: one seen through another device, or a copy of it. Not both may
    /// be written.
    Uuid,
}

impl FileSystem {
    /// Whether this is the other, as far as can be told.
    pub fn alike(&self, other: &Self) -> Option<Alike> {
        if self.devices.iter().any(|device| other.devices.contains(device)) {
            return Some(Alike::Same);
        }
        (!self.uuid.is_empty() && self.uuid.eq_ignore_ascii_case(&other.uuid)).then_some(Alike::Uuid)
    }

    /// Whether they have a device in common.
    pub fn is(&self, other: &Self) -> bool {
        self.alike(other) == Some(Alike::Same)
    }

    fn new(uuid: &str, devices: &[String], devno: &str) -> Self {
        // Major 0 is a number that the kernel made up.
        let one = Some(devno).filter(|devno| !devno.is_empty() && !devno.starts_with("0:"));
        let devices = if devices.is_empty() { one.map(str::to_owned).into_iter().collect() } else { devices.to_vec() };
        Self { uuid: uuid.to_owned(), devices }
    }
}

impl Device {
    /// Whether nobody has it, or what has its UUID: a mount of it would be the first.
    pub fn is_free(&self) -> bool {
        self.mounted_at.is_empty() && self.twin_at.is_empty() && self.held_by.is_empty()
    }

    /// The device as the initramfs of the next boot will find it: what the running system mounts beside the root is
    /// not mounted there yet, `/usr` and `x-initrd.mount` neither (they come after initrd-root-fs.target, bootup(7)).
    /// What an initramfs mounted and left lies below `/run/initramfs`.
    pub fn before_fstab(mut self) -> Self {
        let early =
            |at: &String| at == "/" || paths::LOWERS.contains(&at.as_str()) || at.starts_with("/run/initramfs/");
        self.mounted_at.retain(early);
        self.twin_at.retain(early);
        self
    }

    /// The file system on it.
    pub fn file_system(&self) -> FileSystem {
        FileSystem::new(&self.uuid, &self.devices, &self.devno)
    }
}

impl Root {
    /// The root's.
    pub fn file_system(&self) -> FileSystem {
        FileSystem::new(&self.fingerprint.uuid, &self.devices, &self.devno)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(uuid: &str, devices: &[&str]) -> FileSystem {
        let devices = devices.iter().map(|device| (*device).to_owned()).collect();
        FileSystem { uuid: uuid.to_owned(), devices }
    }

    #[test]
    fn devices_first_and_then_the_uuid() {
        let root = one("A", &["7:2", "7:3"]);
        for (other, is) in [
            (one("A", &["7:3"]), Some(Alike::Same)),
            (one("", &["7:2"]), Some(Alike::Same)),
            (one("b", &["7:3"]), Some(Alike::Same)),
            (one("a", &["7:4"]), Some(Alike::Uuid)),
            (one("b", &["7:4"]), None),
            (one("", &[]), None),
        ] {
            assert_eq!((root.alike(&other), other.alike(&root)), (is, is), "{other:?}");
        }
        assert_eq!(one("", &[]).alike(&one("", &[])), None);
    }

    #[test]
    fn a_number_that_was_made_up_is_nobodys() {
        let root = Root { devno: "0:41".into(), ..Root::default() };
        let device = Device { devno: "0:41".into(), ..Device::default() };
        assert_eq!(root.file_system().alike(&device.file_system()), None);
        assert_eq!(Root::default().file_system().alike(&Device::default().file_system()), None);
        let root = Root { devices: vec!["7:2".into(), "7:3".into()], ..root };
        let device = Device { devno: "7:3".into(), ..Device::default() };
        assert!(root.file_system().is(&device.file_system()));
    }

    #[test]
    fn what_is_mounted_later_does_not_count() {
        let at = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
        let device = |paths: &[&str]| Device { mounted_at: at(paths), twin_at: at(paths), ..Device::default() };
        for late in ["/mnt", "/usr", "/home", "/run/media/me/stick", "/run/initramfsx"] {
            assert!(device(&[late]).before_fstab().is_free(), "{late}");
        }
        let early = ["/", "/run/rootfsbase", "/media/root-ro", "/run/initramfs/live"];
        let found = device(&[&early[..], &["/mnt"]].concat()).before_fstab();
        assert_eq!((found.mounted_at, found.twin_at), (at(&early), at(&early)));
        assert_eq!(Device { held_by: at(&["dm-0"]), ..Device::default() }.before_fstab().held_by, at(&["dm-0"]));
    }
}
