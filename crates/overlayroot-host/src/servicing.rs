// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl shell`: whether the lower can be made writable for servicing, and what that takes. Pure.

use overlayroot_core::parse::mountinfo::{self, Mount};
use overlayroot_core::record::{self, Record};
use overlayroot_core::step::effective::RootKind;
use serde::{Deserialize, Serialize};

/// Version of [`Serviced`]; raised when a field changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// Left in `/run` by a shell in the lower, for the rest of this boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serviced {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When the first one began, in seconds since 1970.
    pub started: u64,
    /// When the last one ended; none while it is open, or where it was killed.
    pub ended: Option<u64>,
    /// Whether the lower is as it was before: its file system read-only again, where it had been.
    pub restored: bool,
}

/// How the lower becomes writable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Its file system is read-only, and is remounted.
    Remount,
    /// Its file system is writable already, for the upper or another mount needs that; only the view of it is not.
    View,
    /// It does not: it is only looked at.
    Look,
}

/// What the lower is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To be changed. `device_read_only` is what the kernel says of the lower's block device.
    Write {
        /// Whether nothing can write to it.
        device_read_only: bool,
    },
    /// To be looked at.
    Read,
}

/// What it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Where the lower is mounted.
    pub lower: String,
    /// How it becomes writable.
    pub way: Way,
    /// The upper in use, as a path below the lower, that must not be touched.
    pub protect: Option<String>,
    /// Whether files of the upper can have their content in the lower (`metacopy`), and so change with it.
    pub shares_content: bool,
}

/// File systems that other machines write to or boot from as well.
const SHARED: [&str; 12] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "virtiofs",
    "ceph",
    "gfs2",
    "ocfs2",
    "lustre",
    "fuse.glusterfs",
    "fuse.sshfs",
];
/// File systems that are images: nothing can write to them.
const IMAGES: [&str; 5] = ["squashfs", "erofs", "iso9660", "cramfs", "romfs"];

/// Whether a root of that type is a server's. Two of those that are shared lie on disks that each machine has.
pub(crate) fn served(fstype: &str) -> bool {
    SHARED.contains(&fstype) && !matches!(fstype, "gfs2" | "ocfs2")
}

/// Decides. `hidden` is the path of the upper in the root, where it lies there.
///
/// # Errors
/// Why not, in one line with what to do.
pub fn target(
    record: Option<&Record>,
    mounts: &[Mount],
    access: Access,
    hidden: Option<String>,
) -> Result<Target, String> {
    let Some(record) = record else {
        return Err(record::NO_RECORD.to_owned());
    };
    let overlay = mountinfo::at(mounts, "/").filter(|root| root.fstype == "overlay");
    let Some(overlay) = overlay.filter(|_| record.effective.root == RootKind::Overlay) else {
        return Err(format!("{}: changes in / are permanent", record::NOT_OURS));
    };
    let found = record.effective.lowers.last().and_then(|at| mountinfo::at(mounts, at));
    let lower = found.ok_or_else(|| "the lower is not mounted where the record says".to_owned())?;
    let way = match access {
        Access::Read => Way::Look,
        Access::Write { device_read_only } => {
            writable_kind(lower, device_read_only)?;
            let needed = record.effective.is_on_lower() || sharer(mounts, lower).is_some();
            if needed && !lower.super_read_only() { Way::View } else { Way::Remount }
        }
    };
    Ok(Target {
        lower: lower.at.clone(),
        way,
        protect: hidden.filter(|path| path.starts_with('/')),
        shares_content: overlay.super_option("metacopy").as_deref() == Some("on"),
    })
}

fn writable_kind(lower: &Mount, device_read_only: bool) -> Result<(), String> {
    let (kind, source) = (lower.fstype.as_str(), &lower.source);
    if SHARED.contains(&kind) {
        return Err(format!("the lower is {kind} ({source}), which other machines use; change it on its server"));
    }
    if IMAGES.contains(&kind) {
        let todo = "build a new one: overlayctl image build";
        return Err(format!("the lower is {kind} ({source}), a read-only image; {todo}"));
    }
    if matches!(kind, "overlay" | "tmpfs" | "ramfs") {
        return Err(format!("the lower is {kind} ({source}): changes there are not kept"));
    }
    if device_read_only {
        return Err(format!("the lower's device {source} is read-only (blockdev --getro)"));
    }
    Ok(())
}

/// A writable mount of the lower's file system elsewhere, such as another btrfs subvolume.
pub fn sharer(mounts: &[Mount], lower: &Mount) -> Option<String> {
    let same = |mount: &&Mount| mount.devno == lower.devno && mount.at != lower.at && !mount.read_only();
    mounts.iter().find(same).map(|mount| mount.at.clone())
}

/// Mounts of the running system that belong into the shell: those of the lower's fstab, and the places of boot
/// loaders. Outermost first.
pub fn submounts<'a>(mounts: &'a [Mount], fstab: &str) -> Vec<&'a str> {
    const ALWAYS: [&str; 5] = ["/boot", "/boot/efi", "/boot/firmware", "/efi", "/usr"];
    const OURS: [&str; 5] = ["/dev", "/proc", "/run", "/sys", "/tmp"];
    const VIRTUAL: [&str; 3] = ["tmpfs", "overlay", "ramfs"];
    let entries = overlayroot_core::parse::fstab::parse(fstab);
    let named = |at: &str| entries.iter().any(|entry| entry.not_overlaid() && entry.at.trim_end_matches('/') == at);
    let inside = |at: &str, dir: &str| at == dir || at.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    let mut found: Vec<&str> = Vec::new();
    for mount in mountinfo::below(mounts, "/") {
        let at = mount.at.as_str();
        // To bind what waits for a first look mounts it. Kernels go to /boot; a server's data may be away.
        let waits = mount.fstype == "autofs";
        let wanted = (ALWAYS.contains(&at) || named(at) && !waits) && !VIRTUAL.contains(&mount.fstype.as_str());
        if wanted && !OURS.iter().any(|dir| inside(at, dir)) && !found.contains(&at) {
            found.push(at);
        }
    }
    found
}

#[cfg(test)]
mod tests;
