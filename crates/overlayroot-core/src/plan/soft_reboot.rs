// SPDX-License-Identifier: GPL-2.0-or-later
//! What stays mounted over a soft-reboot (systemd 254 and newer). PID 1 ends every process and stops the mount units
//! then, and no initramfs runs that could mount anything again. It spares `/`, `/usr` and what is below `/run/initramfs`
//! (src/core/mount.c, mount_is_extrinsic). So the units of all other mounts of a plan get a drop-in that takes the
//! default dependencies away, and says again what these are for at any other shutdown.

use crate::layout::paths::{RUNTIME_UNITS, SYSROOT};
use crate::parse::fstab::unit_name;
use crate::step::Step;
use crate::step::path::PathStep;

/// Longest name of a directory with drop-ins; systemd knows a unit with a longer one by a hash.
const LONGEST: usize = 255;
/// PID 1 leaves it alone, whatever its unit says.
const SPARED: &str = "/run/initramfs/";
/// Types of roots whose mounts systemd stops before the network (src/basic/mountpoint-util.c, fstype_is_network).
const NETWORK: [&str; 7] = ["ceph", "cifs", "glusterfs", "nfs", "nfs4", "ocfs2", "smb3"];

/// What systemd orders a mount by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Local,
    /// Unmounted before swap is switched off, which would read all of it back.
    Tmpfs,
    Network,
}

impl Kind {
    fn of(fstype: &str) -> Self {
        if NETWORK.contains(&fstype) { Self::Network } else { Self::Local }
    }

    /// The order of systemd.mount(5), default dependencies. Stopped is in the opposite order: after the services,
    /// before the devices.
    fn drop_in(self) -> String {
        let (before, after) = match self {
            Self::Local => ("local-fs.target", "local-fs-pre.target"),
            Self::Tmpfs => ("local-fs.target", "local-fs-pre.target swap.target"),
            Self::Network => ("remote-fs.target", "remote-fs-pre.target network.target"),
        };
        format!(
            "[Unit]\nDefaultDependencies=no\nConflicts=reboot.target kexec.target poweroff.target halt.target\n\
             Before={before} umount.target\nAfter={after}\n"
        )
    }
}

/// A step for each mount of the steps, and what is worth saying; `lower` is the type of the file system that the lower
/// is on.
pub(crate) fn keep_mounted(steps: &[Step], lower: &str) -> (Vec<Step>, Vec<String>) {
    let mut found: Vec<(String, Kind)> = Vec::new();
    for (at, kind) in steps.iter().filter_map(|step| mounted(step, lower)) {
        // What is mounted below the new root is in the booted system without that.
        let at = at.strip_prefix(SYSROOT).filter(|rest| rest.starts_with('/')).unwrap_or(at);
        if !at.starts_with(SPARED) && found.iter().all(|(other, _)| other != at) {
            found.push((at.to_owned(), kind));
        }
    }
    let (mut units, mut notes) = (Vec::new(), Vec::new());
    for (at, kind) in found {
        let unit = unit_name(&at, "mount");
        if unit.len() + ".d".len() > LONGEST {
            notes.push(format!("a soft-reboot unmounts {at}: its unit's name is too long for a drop-in"));
            continue;
        }
        units.push(Step::WriteRun {
            path: format!("{RUNTIME_UNITS}/{unit}.d/50-overlayroot-rs.conf"),
            text: kind.drop_in(),
            why: "stays mounted over a soft-reboot".to_owned(),
        });
    }
    (units, notes)
}

/// Where a step leaves a mount for the booted system.
fn mounted<'a>(step: &'a Step, lower: &str) -> Option<(&'a str, Kind)> {
    match step {
        Step::MountTmpfs { at, .. } => Some((at, Kind::Tmpfs)),
        Step::MountDevice { at, .. } | Step::MountTop { at, .. } | Step::Bind { to: at, .. } => Some((at, Kind::Local)),
        // dmsquash-live may have mounted it before
        Step::LowerReadOnly { at } => Some((at, Kind::of(lower))),
        Step::Path(step) => path_mounted(step),
        // The root itself, which is spared; what is mounted for a moment or below SPARED only; and no mounts at all.
        Step::StandDown { .. }
        | Step::Uncover { .. }
        | Step::Clear { .. }
        | Step::Look { .. }
        | Step::Check { .. }
        | Step::MakeSubvolume { .. }
        | Step::Writable { .. }
        | Step::LookInside { .. }
        | Step::MakeLoopFile { .. }
        | Step::GrowLoopFile { .. }
        | Step::Attach { .. }
        | Step::Part(_)
        | Step::GrowFs { .. }
        | Step::Hide { .. }
        | Step::Reset { .. }
        | Step::ResetOnce { .. }
        | Step::Stale(_)
        | Step::Commit(_)
        | Step::MakeUpper { .. }
        | Step::Quota(_)
        | Step::Remember { .. }
        | Step::Link { .. }
        // The step that makes it read-only tells of it.
        | Step::BindLower { .. }
        | Step::LowerFsReadOnly { .. }
        | Step::Park { .. }
        | Step::UnmountRoot { .. }
        | Step::MountOverlay(_)
        | Step::Verify(_)
        | Step::Close { .. }
        // Mounts of others, back where they were.
        | Step::Unpark { .. }
        | Step::Populate(_)
        | Step::Hostname { .. }
        | Step::RootReadOnly { .. }
        | Step::WriteRun { .. }
        | Step::LinkRun { .. } => None,
    }
}

fn path_mounted(step: &PathStep) -> Option<(&str, Kind)> {
    match step {
        PathStep::Volatile { path, .. } => Some((path, Kind::Tmpfs)),
        PathStep::Persist { path, .. } | PathStep::Bind { path, .. } | PathStep::ReadOnly { path, .. } => {
            Some((path, Kind::Local))
        }
        // Below SPARED, or none.
        PathStep::OpenDevice { .. }
        | PathStep::OpenRoot { .. }
        | PathStep::Point { .. }
        | PathStep::Restore { .. }
        | PathStep::MachineId { .. } => None,
    }
}

#[cfg(test)]
mod tests;
