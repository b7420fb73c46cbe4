// SPDX-License-Identifier: GPL-2.0-or-later
//! The order of the unit in the initramfs. A boot may come out right without, when systemd happens to start the units in
//! that order.
#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../systemd-units/initrd/overlayroot-rs.service");

/// Units after an ordering word of the unit, on however many lines.
fn ordered(word: &str) -> Vec<String> {
    let text = std::fs::read_to_string(UNIT).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix(word)?.strip_prefix('='));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn what_writes_into_the_root_comes_after_the_overlay() {
    let before = ordered("Before");
    for unit in [
        // what needs the merged root, and is ordered after these two
        "initrd-root-fs.target",
        "initrd-parse-etc.service",
        // mounts the root's /usr, and runs dracut's mount hooks
        "dracut-mount.service",
        // systemd 261: extensions merged below the overlay make the root busy, and it stays plain
        "systemd-sysext-sysroot.service",
        "systemd-confext-sysroot.service",
        // OnFailure= isolates the emergency shell
        "shutdown.target",
    ] {
        assert!(before.iter().any(|name| name == unit), "{unit} may come before the overlay: {before:?}");
    }
}

#[test]
fn what_finds_and_changes_the_root_comes_before_the_overlay() {
    let after = ordered("After");
    for unit in [
        "sysroot.mount",
        "dracut-initqueue.service",
        "dracut-pre-mount.service",
        "systemd-repart.service",
        "ostree-prepare-root.service",
        "systemd-volatile-root.service",
    ] {
        assert!(after.iter().any(|name| name == unit), "{unit} may come after the overlay: {after:?}");
    }
    // NFS roots have no such unit: what is required and not there fails.
    assert_eq!(ordered("Requires"), Vec::<String>::new());
}
