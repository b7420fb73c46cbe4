// SPDX-License-Identifier: GPL-2.0-or-later
//! A step in words: its name, and what it does in one line.

use crate::facts::live_image;
use crate::layout::Store;
use crate::step::{Need, Step};
use crate::value::size::human;
use std::fmt;

impl Step {
    /// Short name, as in the record and the golden plans.
    pub fn name(&self) -> &'static str {
        match self {
            Self::StandDown { .. } => "stand-down",
            Self::Uncover { .. } => "uncover",
            Self::Clear { .. } => "clear",
            Self::MountTmpfs { .. } => "mount-tmpfs",
            Self::Look { .. } => "look",
            Self::Check { .. } => "check",
            Self::MountDevice { .. } => "mount-device",
            Self::MountTop { .. } => "mount-top",
            Self::MakeSubvolume { .. } => "make-subvolume",
            Self::Writable { .. } => "writable",
            Self::LookInside { .. } => "look-inside",
            Self::MakeLoopFile { .. } => "make-loop-file",
            Self::GrowLoopFile { .. } => "grow-loop-file",
            Self::Attach { .. } => "attach",
            Self::Part(step) => step.name(),
            Self::GrowFs { .. } => "grow-fs",
            Self::Hide { .. } => "hide",
            Self::Bind { .. } => "bind",
            Self::Reset { .. } => "reset",
            Self::ResetOnce { .. } => "reset-once",
            Self::Stale(_) => "stale",
            Self::Commit(_) => "commit",
            Self::MakeUpper { .. } => "make-upper",
            Self::Quota(_) => "quota",
            Self::Remember { .. } => "remember",
            Self::Link { .. } => "link",
            Self::BindLower { .. } => "bind-lower",
            Self::LowerReadOnly { .. } => "lower-read-only",
            Self::LowerFsReadOnly { .. } => "lower-fs-read-only",
            Self::Park { .. } => "park",
            Self::UnmountRoot { .. } => "unmount-root",
            Self::MountOverlay(_) => "mount-overlay",
            Self::Verify(_) => "verify",
            Self::Close { .. } => "close",
            Self::Unpark { .. } => "unpark",
            Self::Populate(_) => "populate",
            Self::Hostname { .. } => "hostname",
            Self::Path(step) => step.name(),
            Self::RootReadOnly { .. } => "root-read-only",
            Self::WriteRun { .. } => "write",
            Self::LinkRun { .. } => "link-run",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `{:#}` is without the name: records have it in a field of its own.
        if !f.alternate() {
            write!(f, "{:<18} ", self.name())?;
        }
        self.sentence(f)
    }
}

impl Step {
    #[expect(clippy::too_many_lines, reason = "one arm a step")]
    fn sentence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StandDown { hooks } => write!(f, "remove {}", hooks.join(" ")),
            Self::Uncover { at, live } => {
                write!(f, "{} at {at}, in place of {}'s overlay", live.lower, live_image::NAME)
            }
            Self::Clear { path } => write!(f, "remove what is at {path}"),
            Self::MountTmpfs { at, source, options } => write!(f, "tmpfs '{source}' on {at} ({options})"),
            Self::Look { device, fstype, base, need, .. } => {
                write!(f, "{device} is a sound {fstype}{} (read-only on {base})", need.words())
            }
            Self::Check { device, fstype } => write!(f, "fsck {fstype} on {device}"),
            Self::MountDevice { device, fstype, at, read_only } => {
                let mode = if *read_only { "ro" } else { "rw" };
                write!(f, "{fstype} of {device} on {at} ({mode})")
            }
            Self::MountTop { device, at, read_only } => {
                let mode = if *read_only { " (ro)" } else { "" };
                write!(f, "top level of the btrfs of {device} on {at}{mode}")
            }
            Self::MakeSubvolume { path } => write!(f, "{path}, if it does not exist"),
            Self::Writable { at } => write!(f, "{at}, and the file system under it"),
            Self::LookInside { store, need, .. } => {
                write!(f, "{} and its neighbours are plain directories{}", store.upper, need.words())
            }
            Self::MakeLoopFile { file, bytes, fs } => write!(f, "{file}, {} reserved, {}", human(*bytes), fs.word()),
            Self::GrowLoopFile { file, bytes, .. } => write!(f, "{file} to {}", human(*bytes)),
            Self::Attach { file, link, .. } => write!(f, "{file} as {link}"),
            Self::Part(step) => write!(f, "{step}"),
            Self::GrowFs { at, fstype } => write!(f, "{fstype} on {at} to the size of its device"),
            Self::Hide { path, .. } => write!(f, "{path} from the merged root"),
            Self::Bind { from, to } => write!(f, "{from} also on {to}"),
            Self::Reset { store: Store { subvolume: Some(subvolume), trash, .. } } => {
                write!(f, "{subvolume} into {trash}")
            }
            Self::Reset { store } => write!(f, "{} and {} into {}", store.upper, store.work, store.trash),
            Self::ResetOnce { store, readonly: false, .. } => {
                write!(f, "what {} asks for, if it exists", store.marker)
            }
            Self::ResetOnce { store, .. } => write!(f, "nothing, but report whether {} exists", store.marker),
            Self::Stale(compare) => write!(f, "{compare}"),
            Self::Commit(commit) => write!(f, "{commit}"),
            Self::MakeUpper { store, like } => {
                let subvolume = store.subvolume.iter().map(|path| format!(", in the subvolume {path}"));
                write!(f, "{} (like {like}) and {}{}", store.upper, store.work, subvolume.collect::<String>())
            }
            Self::Quota(quota) => write!(f, "{quota}"),
            Self::Remember { path, .. } => write!(f, "the lower's fingerprint in {path}"),
            Self::Link { at, to } => write!(f, "{at} -> {to}"),
            Self::BindLower { from, to } => write!(f, "{from} on {to}"),
            Self::LowerReadOnly { at } => write!(f, "the mount {at}"),
            Self::LowerFsReadOnly { at } => write!(f, "the file system under {at}"),
            Self::Park { mounts, at, .. } => write!(f, "{} below {at}", mounts.join(" ")),
            Self::UnmountRoot { at, .. } => write!(f, "{at}"),
            Self::MountOverlay(o) => write!(f, "'{}' on {} ({})", o.source, o.at, o.data()),
            Self::Verify(o) => write!(f, "{} has these layers and can be written", o.at),
            Self::Close { at } => write!(f, "{at} to writes: the overlay has a mount of its own"),
            Self::Unpark { root, mounts, .. } => {
                write!(f, "{} over {root}, not overlaid", mounts.join(" "))
            }
            Self::Populate(populate) => write!(f, "{populate}"),
            Self::Hostname { name, upper, .. } => write!(f, "{name} in {upper}/etc/hostname, and to the kernel"),
            Self::Path(step) => write!(f, "{step}"),
            Self::RootReadOnly { at } => write!(f, "{at}"),
            Self::WriteRun { path, why, .. } => write!(f, "{path}: {why}"),
            Self::LinkRun { path, to, why } => write!(f, "{path} -> {to}: {why}"),
        }
    }
}

impl Need {
    fn words(self) -> &'static str {
        match self {
            Self::Room => ", with room",
            Self::Upper => ", with an upper",
            Self::Nothing => "",
        }
    }
}
