// SPDX-License-Identifier: GPL-2.0-or-later
//! Which file systems of an overlay root nobody else has discard what they don't use. fstrim.service looks at the lines
//! of fstab alone (util-linux, sys-utils/fstrim.c): there `/` is the overlay, which discards nothing, and the file
//! system of a kept upper does not stand in it at all. Pure.

use overlayroot_core::layout::paths;
use overlayroot_core::parse::fstab;
use overlayroot_core::parse::mountinfo::{self, Mount};

/// Our private mounts of block devices that can be written to, one of each file system. Where the root's line in fstab
/// says that it is not to be trimmed (`X-fstrim.notrim`), the root's is left out.
pub fn places(mounts: &[Mount], table: &str) -> Vec<String> {
    let spared = fstab::parse(table).iter().any(|entry| entry.at == "/" && entry.has("X-fstrim.notrim"));
    let lowers = paths::LOWERS.into_iter().filter_map(|at| mountinfo::at(mounts, at));
    let spared: Vec<&str> = lowers.filter(|_| spared).map(|lower| lower.devno.as_str()).collect();
    let mut found: Vec<&Mount> = Vec::new();
    for mount in mountinfo::below(mounts, paths::PRIVATE) {
        let seen = mountinfo::at(mounts, &mount.at) == Some(mount);
        let twice = found.iter().any(|other| other.devno == mount.devno);
        let device = mount.source.starts_with("/dev/") && !mount.read_only();
        if seen && device && !twice && !spared.contains(&mount.devno.as_str()) {
            found.push(mount);
        }
    }
    found.into_iter().map(|mount| mount.at.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIR: &str = "\
22 1 0:40 / / rw - overlay LiveOS_rootfs rw,lowerdir=/run/rootfsbase
23 22 254:1 / /run/rootfsbase ro,nosuid,nodev - ext4 /dev/vda1 rw
24 22 254:1 / /run/initramfs/overlayroot/root rw,nosuid,nodev - ext4 /dev/vda1 rw
25 22 254:1 / /run/initramfs/overlayroot/keep/root rw - ext4 /dev/vda1 rw
26 22 254:17 / /run/initramfs/overlayroot/keep/0 rw - ext4 /dev/vdb1 rw
27 22 254:17 /.overlayroot/keep/home.dir /home rw - ext4 /dev/vdb1 rw
28 22 254:33 / /srv rw - ext4 /dev/vdc1 rw
";

    fn of(text: &str, table: &str) -> Vec<String> {
        places(&mountinfo::parse(text), table)
    }

    #[test]
    fn the_root_of_a_directory_upper_and_what_keeps_paths_each_once() {
        let own = "/run/initramfs/overlayroot";
        let line = "LABEL=root / ext4 defaults 0 1\n";
        assert_eq!(of(DIR, line), [format!("{own}/root"), format!("{own}/keep/0")]);
        // who has switched it off for the root has a reason
        let never = "LABEL=root / ext4 defaults,X-fstrim.notrim 0 1\n";
        assert_eq!(of(DIR, never), [format!("{own}/keep/0")]);
    }

    #[test]
    fn the_private_mount_of_a_device_and_no_public_one() {
        let device = "\
22 1 0:40 / / rw - overlay LiveOS_rootfs rw
23 22 254:1 / /run/rootfsbase ro - ext4 /dev/vda1 ro
24 22 254:17 / /run/overlayfs-backing ro - ext4 /dev/vdb1 rw
25 22 254:17 / /run/initramfs/overlayroot/upper rw - ext4 /dev/vdb1 rw
";
        assert_eq!(of(device, ""), ["/run/initramfs/overlayroot/upper"]);
        let private = |mount: &str| of(&format!("25 22 {mount}\n"), "");
        for none in [
            // an upper in RAM, one that nobody writes to, one of a server
            "0:50 / /run/initramfs/overlay rw - tmpfs tmpfs rw",
            "254:17 / /run/initramfs/overlayroot/upper rw - ext4 /dev/vdb1 ro",
            "0:51 / /run/initramfs/overlayroot/root rw - nfs4 10.0.0.1:/srv rw",
        ] {
            assert_eq!(private(none), Vec::<String>::new(), "{none}");
        }
    }
}
