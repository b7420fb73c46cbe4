// SPDX-License-Identifier: GPL-2.0-or-later
//! One thing to do. Steps carry every path and option; executing one takes no decision (docs/internals/architecture.md names those that look first).

pub mod effective;
pub mod made;
pub mod overlay;
pub mod partition;
pub mod path;
pub mod path_state;
pub mod plan;
pub mod refusal;
mod words;
pub use crate::step::overlay::Overlay;

use crate::facts::Fingerprint;
use crate::facts::live_image::Live;
use crate::feature::commit::Commit;
use crate::feature::populate::Populate;
use crate::feature::stale::Compare;
use crate::layout::Store;
use crate::step::partition::PartStep;
use crate::step::path::PathStep;
use crate::value::file_system::MadeFs;
use crate::value::size::human;
use std::fmt;

/// One thing to do, in the order of the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the words of the sentence that Display prints")]
pub enum Step {
    /// Remove dracut's stock overlayfs hooks from the running initramfs: two must not act.
    StandDown { hooks: Vec<String> },
    /// Unmount the overlay of dmsquash-live, so that the root is its image.
    Uncover { at: String, live: Live },
    /// Remove what those hooks left where our mounts and links go.
    Clear { path: String },
    /// Mount the upper's tmpfs.
    MountTmpfs { at: String, source: String, options: String },
    /// Mount the device read-only without replaying its journal, and look: room, plain directories.
    Look { device: String, fstype: String, store: Store, base: String, need: Need },
    /// Check and repair the file system, unmounted.
    Check { device: String, fstype: String },
    /// Mount the device.
    MountDevice { device: String, fstype: String, at: String, read_only: bool },
    /// Mount the top level of the root's own btrfs, as writable as the root is, and read-only if asked.
    MountTop { device: String, at: String, read_only: bool },
    /// Make a subvolume with its parents, unless it is there.
    MakeSubvolume { path: String },
    /// Make the file system mounted here writable, and this mount of it.
    Writable { at: String },
    /// Look at the upper's directories: plain ones, and room.
    LookInside { store: Store, base: String, need: Need },
    /// Make the loop file under another name, with its file system, and give it its name last.
    MakeLoopFile { file: String, bytes: u64, fs: MadeFs },
    /// Enlarge the loop file, where its own file system keeps `keep` bytes free, and its device.
    GrowLoopFile { file: String, device: String, bytes: u64, keep: u64 },
    /// Make a loop device of the file.
    Attach { file: String, link: String, read_only: bool, discard: bool },
    /// Make or enlarge the upper's partition.
    Part(PartStep),
    /// Let the mounted file system fill its device.
    GrowFs { at: String, fstype: String },
    /// Put a whiteout into the upper, so that the merged root does not show where the upper lies.
    Hide { upper: String, like: String, path: String },
    /// Make one mount visible at a second place, where neither setuid nor devices count.
    Bind { from: String, to: String },
    /// Move upper and work into the trash.
    Reset { store: Store },
    /// Do what `overlayctl` asked this boot for, if it did; with `readonly` only say so. `resets`: a reset
    /// follows, which would take what is restored away.
    ResetOnce { store: Store, readonly: bool, resets: bool },
    /// Compare the fingerprint stored with the upper with the lower's, and do what the policy says.
    Stale(Compare),
    /// Move what the upper has into the lower, if `overlayctl` asked this boot for it.
    Commit(Commit),
    /// Make upper and work, the upper with the attributes of the lower's root.
    MakeUpper { store: Store, like: String },
    /// Hold upper and work to a size.
    Quota(Quota),
    /// Store the fingerprint of the lower beside the upper, where none is stored yet.
    Remember { path: String, fingerprint: Fingerprint },
    /// Make a symbolic link.
    Link { at: String, to: String },
    /// Bind the root to where it stays as the lower.
    BindLower { from: String, to: String },
    /// Make the mount of the lower read-only.
    LowerReadOnly { at: String },
    /// Make the file system under the lower read-only, so that no other mount of it writes either.
    LowerFsReadOnly { at: String },
    /// Put mounts found below the root aside.
    Park { root: String, mounts: Vec<String>, at: String },
    /// Unmount the root, of which the lower is a second mount.
    UnmountRoot { at: String, lower: String },
    /// Mount the overlay.
    MountOverlay(Overlay),
    /// Check what the kernel made of it: type, layers, writable.
    Verify(Overlay),
    /// Make the public mount of the upper's file system read-only; the overlay has one of its own.
    Close { at: String },
    /// Put the parked mounts back, over the merged root.
    Unpark { root: String, mounts: Vec<String>, at: String },
    /// Unpack an archive into the upper, if that is new.
    Populate(Populate),
    /// Give the machine its name: in the upper's `/etc/hostname`, unless the layers show that name already, and
    /// to the kernel.
    Hostname { name: String, upper: String, lowers: Vec<String> },
    /// Give a single path a policy of its own.
    Path(PathStep),
    /// Make the root read-only where no overlay protects it.
    RootReadOnly { at: String },
    /// Write a file for the booted system.
    WriteRun { path: String, text: String, why: String },
    /// Make a symbolic link for the booted system, unless one is there.
    LinkRun { path: String, to: String, why: String },
}

/// A limit on what an upper takes of the file system that it shares with the lower.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    /// Where that file system is mounted, writable.
    pub at: String,
    /// Its device, as quotactl(2) wants it.
    pub device: String,
    /// Upper directory.
    pub upper: String,
    /// Work directory; what goes to the upper is made there.
    pub work: String,
    /// Most bytes of both; 0 takes a limit off.
    pub bytes: u64,
    /// Whether project quotas must be switched on by a remount.
    pub remount: bool,
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = if self.bytes == 0 { "no limit".to_owned() } else { human(self.bytes) };
        let remount = if self.remount { " remounted with prjquota" } else { "" };
        write!(f, "{limit} for {} and {}, {}{remount}", self.upper, self.work, self.device)
    }
}

/// What an upper's file system must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Room to write.
    Room,
    /// An upper: it is a layer, and nothing is written.
    Upper,
    /// Nothing: what is there goes.
    Nothing,
}

impl Need {
    /// What this boot does with it.
    pub fn of(readonly: bool, reset: bool) -> Self {
        match (readonly, reset) {
            (true, _) => Self::Upper,
            (false, true) => Self::Nothing,
            (false, false) => Self::Room,
        }
    }
}

impl Step {
    /// Whether the overlay stands without it: a failure is a reason in the record, not an end.
    pub fn optional(&self) -> bool {
        match self {
            Self::Part(step) => step.optional(),
            Self::LowerFsReadOnly { .. }
            | Self::Commit(_)
            | Self::Remember { .. }
            | Self::GrowFs { .. }
            | Self::GrowLoopFile { .. }
            | Self::Hide { .. }
            | Self::Hostname { .. }
            | Self::Path(_)
            | Self::WriteRun { .. }
            | Self::LinkRun { .. } => true,
            Self::StandDown { .. }
            | Self::Uncover { .. }
            | Self::Clear { .. }
            | Self::MountTmpfs { .. }
            | Self::Look { .. }
            | Self::Check { .. }
            | Self::MountDevice { .. }
            | Self::MountTop { .. }
            | Self::MakeSubvolume { .. }
            | Self::Writable { .. }
            | Self::LookInside { .. }
            | Self::MakeLoopFile { .. }
            | Self::Attach { .. }
            | Self::Bind { .. }
            | Self::Reset { .. }
            | Self::ResetOnce { .. }
            | Self::Stale(_)
            | Self::MakeUpper { .. }
            | Self::Quota(_)
            | Self::Link { .. }
            | Self::BindLower { .. }
            | Self::LowerReadOnly { .. }
            | Self::Park { .. }
            | Self::UnmountRoot { .. }
            | Self::MountOverlay(_)
            | Self::Verify(_)
            | Self::Close { .. }
            | Self::Unpark { .. }
            | Self::Populate(_)
            | Self::RootReadOnly { .. } => false,
        }
    }
}
