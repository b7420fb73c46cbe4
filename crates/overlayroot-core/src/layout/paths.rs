// SPDX-License-Identifier: GPL-2.0-or-later
//! Every path the project uses at run time. Short and fixed, so that no mount option needs escaping.
//!
//! Those under `/run` that other software looks at are dracut-ng 111's
//! (modules.d/70overlayfs); our own lie under `/run/overlayroot` and `/run/initramfs/overlayroot`.

/// Where the initramfs mounts the machine's root.
pub const SYSROOT: &str = "/sysroot";
/// The lower: the root as it was, read-only (dracut-ng).
pub const LOWER: &str = "/run/rootfsbase";
/// The same with the names of Ubuntu's overlayroot.
pub const UBUNTU_LOWER: &str = "/media/root-ro";
/// Where the lower of a running overlay is looked for.
pub const LOWERS: [&str; 2] = [LOWER, UBUNTU_LOWER];
/// The RAM upper's own tmpfs (dracut-ng mounts it only for `tmpfs:`; see docs/reference/compatibility.md).
pub const TMPFS: &str = "/run/initramfs/overlay";
/// Upper directory in the RAM upper's tmpfs (dracut-ng).
pub const TMPFS_UPPER: &str = "/run/initramfs/overlay/overlayfs";
/// Work directory in the RAM upper's tmpfs (dracut-ng).
pub const TMPFS_WORK: &str = "/run/initramfs/overlay/ovlwork";
/// A device upper's file system, where other software looks for it (dracut-ng). Everybody can go there: once the
/// overlay is mounted it is read-only.
pub const BACKING: &str = "/run/overlayfs-backing";
/// The same file system, writable, where only root gets. PID 1 leaves what is below `/run/initramfs` alone at
/// umount.target, so systemd-shutdown can still make the superblock read-only (docs/internals/boot-sequence.md).
pub const BACKING_KEPT: &str = "/run/initramfs/overlayroot/upper";
/// The root's file system, writable, where the upper lies on it; 0700 and below `/run/initramfs`
/// (docs/internals/boot-sequence.md).
pub const ROOT_KEPT: &str = "/run/initramfs/overlayroot/root";
/// The file system of the device that a loop file lies on, where that is not the root's; 0700 and
/// below `/run/initramfs` for the same reasons.
pub const HOLDER_KEPT: &str = "/run/initramfs/overlayroot/holder";
/// Symbolic link to the loop device of this boot.
pub const LOOP_LINK: &str = "/run/initramfs/overlayroot/loop";
/// What is below is for root's eyes only.
pub const PRIVATE: &str = "/run/initramfs/overlayroot";
/// The file system that keeps the image of `root=live:URL`.
pub const CACHE: &str = "/run/initramfs/overlayroot/cache";
/// Where a device upper is looked at, read-only, before anything may write to it.
pub const LOOK: &str = "/run/initramfs/overlayroot/look";
/// Mounts found below the root wait here while the root is exchanged.
pub const PARKED: &str = "/run/initramfs/overlayroot/parked";
/// File systems that keep single paths, in directories with numbers, and the root's, writable, as `root`.
pub const KEEP: &str = "/run/initramfs/overlayroot/keep";
/// The root's own file system, writable for single paths.
pub const KEEP_ROOT: &str = "/run/initramfs/overlayroot/keep/root";
/// Directory for what is kept of single paths, below [`META_DIR`].
pub const KEEP_DIR: &str = "keep";
/// Symbolic link to the upper directory (dracut-ng).
pub const UPPER_LINK: &str = "/run/overlayfs";
/// Symbolic link to the work directory (dracut-ng).
pub const WORK_LINK: &str = "/run/ovlwork";
/// Symbolic link to a persistent upper used as a read-only lower (dracut-ng).
pub const READONLY_LINK: &str = "/run/overlayfs-r";
/// Source of the overlay in mountinfo; dracut-ng's test for "already done".
pub const OVERLAY_SOURCE: &str = "LiveOS_rootfs";
/// The same with the names of Ubuntu's overlayroot.
pub const UBUNTU_SOURCE: &str = "overlayroot";
/// Directory of our own state.
pub const STATE_DIR: &str = "/run/overlayroot";
/// The record of this boot (docs/reference/record.md).
pub const RECORD: &str = "/run/overlayroot/state.json";
/// What became of the image of `root=live:URL` (docs/reference/record.md).
pub const FETCHED: &str = "/run/overlayroot/image";
/// The native configuration file; its drop-ins are `/etc/overlayroot-rs.conf.d/*.conf`.
pub const CONF: &str = "/etc/overlayroot-rs.conf";
/// Names the block device behind an overlay root to growfs, gpt-auto-generator and bootctl
/// (systemd, src/volatile-root/volatile-root.c).
pub const VOLATILE_ROOT: &str = "/run/systemd/volatile-root";
/// Asks for every file to be labelled at the next boot (selinux-autorelabel(8)).
pub const AUTORELABEL: &str = "/.autorelabel";
/// Drop-ins for the booted system's units.
pub const RUNTIME_UNITS: &str = "/run/systemd/system";
/// Our own directory at the top of a device upper: trash, fingerprints.
pub const META_DIR: &str = ".overlayroot";
/// Arguments that this boot has besides those of its command line, with dracut's own (dracut-lib.sh, getcmdline).
pub const EXTRA: &str = "/run/initramfs/cmdline.d/99-overlayroot-rs.conf";
/// That `overlay-tries` has run: a boot counts once, whoever starts it.
pub const COUNTED: &str = "/run/initramfs/overlayroot/tries";
/// Why this boot uses another upper than was wanted; a reason of the record.
pub const RETURNED: &str = "/run/initramfs/overlayroot/returned";
/// That this boot is one of those that are counted, until it is good.
pub const TRIED: &str = "/run/overlayroot/tried";
/// That this boot is thawed, and the request that it is for.
pub const THAWED: &str = "/run/overlayroot/thawed";
/// Why a boot that was to be thawed is not; a reason of the record.
pub const NOT_THAWED: &str = "/run/initramfs/overlayroot/not-thawed";
/// What became of what `overlayctl commit` or `revert` asked this boot for (docs/reference/record.md).
pub const COMMITTED: &str = "/run/overlayroot/commit.json";
/// What became of this boot's pull (docs/reference/record.md).
pub const PULLED: &str = "/run/overlayroot/pull.json";
/// `rd.overlay.git` as written, where the record does not tell all of it.
pub const PULL_ASKED: &str = "/run/initramfs/overlayroot/git";
/// Held by the pull that runs.
pub const PULL_LOCK: &str = "/run/overlayroot/pull.lock";
/// Where repositories are checked out, in directories with numbers.
pub const PULL_DIR: &str = "/var/lib/overlayroot-rs/pull";
/// The unit that pulls.
pub const PULL_UNIT: &str = "/usr/lib/systemd/system/overlayroot-rs-pull.service";
/// The link that has the booted system start it.
pub const PULL_WANTED: &str = "/run/systemd/system/multi-user.target.wants/overlayroot-rs-pull.service";
/// Links that have the booted system keep files, and the units behind them.
pub const KEEP_WANTED: [(&str, &str); 2] = [
    (
        "/run/systemd/system/multi-user.target.wants/overlayroot-rs-keep.service",
        "/usr/lib/systemd/system/overlayroot-rs-keep.service",
    ),
    (
        "/run/systemd/system/sysinit.target.wants/overlayroot-rs-keep-late.service",
        "/usr/lib/systemd/system/overlayroot-rs-keep-late.service",
    ),
];
/// What lay in which directory of the upper when the watch began ([`overlayroot_host::watch::growth`]).
pub const SIZES: &str = "/run/overlayroot/sizes";
/// That the upper was resized since the boot ([`overlayroot_host::resize`]).
pub const RESIZED: &str = "/run/overlayroot/resized.json";
/// What who logs in is told (pam_motd(8)).
pub const MOTD: &str = "/run/motd.d/overlayroot-rs";
/// The same, where the root is not what was asked for.
pub const MOTD_BOOT: &str = "/run/motd.d/overlayroot-rs-boot";
/// Held by the watch that runs.
pub const WATCH_LOCK: &str = "/run/overlayroot/watch.lock";
/// What a shell in the lower left, for the rest of this boot ([`overlayroot_host::servicing::Serviced`]).
pub const SERVICED: &str = "/run/overlayroot/serviced.json";
/// Held by the shell that runs.
pub const SHELL_LOCK: &str = "/run/overlayroot/shell.lock";
/// Held by who makes, copies, renames or discards uppers that are not in use.
pub const UPPERS_LOCK: &str = "/run/overlayroot/uppers.lock";
/// Where that shell has the lower, in mounts of its own.
pub const SHELL: &str = "/run/overlayroot/shell";
/// The lower once more, where its file system could not be made read-only again after a shell: it can be at the
/// shutdown, for what is here is still mounted then.
pub const SERVICED_KEPT: &str = "/run/initramfs/overlayroot/serviced";

/// The rule for SELinux that policies of Debian lack.
pub const SELINUX_RULE: &str = "/usr/share/overlayroot-rs/overlayroot-rs.cil";
