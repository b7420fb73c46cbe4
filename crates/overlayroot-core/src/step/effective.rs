// SPDX-License-Identifier: GPL-2.0-or-later
//! What runs: root, upper, and where changes go.

use crate::layout::{Places, Store, paths};
use crate::step::path_state::PathState;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Said where an overlay of ours is needed.
pub const NOT_OURS: &str = "the root is not managed by overlayroot-rs";

/// What the root is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootKind {
    /// Our overlay.
    Overlay,
    /// The root as it would be without us.
    Plain,
    /// The root, read-only.
    Ro,
    /// Another party's overlay.
    Foreign,
    /// None: the boot was halted.
    None,
}

/// What the upper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UpperKind {
    /// In RAM.
    Tmpfs,
    /// On a block device.
    Device,
    /// In a directory on the root's own file system.
    Dir,
    /// In a file on the root's own file system.
    Loop,
    /// In a subvolume of the root's own file system.
    Subvol,
    /// No overlay.
    None,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effective {
    /// What the root is.
    pub root: RootKind,
    /// What the upper is.
    pub upper: UpperKind,
    /// Block device of the upper, or of the read-only layer, or that holds the loop file.
    pub device: Option<String>,
    /// Directory or file of the upper, as the root has it, or a loop file's device; its subvolume, as the file
    /// system's top level has it.
    #[serde(default)]
    pub path: Option<String>,
    /// Limits of a tmpfs upper, file system type of a kept one.
    pub options: String,
    /// Where the upper's file system is shown; its fill is the upper's. See [`Effective::store_fs`].
    pub upper_fs: Option<String>,
    /// Lowers, topmost first.
    pub lowers: Vec<String>,
    /// Whether the upper was begun anew at this boot.
    pub reset: bool,
    /// Directories of an upper that stays; none for one in RAM.
    #[serde(default)]
    pub store: Option<Store>,
    /// The name that the machine was given.
    #[serde(default)]
    pub hostname: Option<String>,
    /// Single paths with a policy of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathState>,
}

impl Effective {
    /// No overlay of ours.
    pub fn plain(root: RootKind) -> Self {
        Self {
            root,
            upper: UpperKind::None,
            device: None,
            path: None,
            options: String::new(),
            upper_fs: None,
            lowers: Vec::new(),
            reset: false,
            store: None,
            hostname: None,
            paths: Vec::new(),
        }
    }

    /// Our overlay at these places.
    pub fn overlay(places: &Places) -> Self {
        Self {
            upper_fs: Some(places.public.clone()),
            lowers: vec![places.lower.clone()],
            ..Self::plain(RootKind::Overlay)
        }
    }

    /// Mount point of the file system that the directories of an upper that stays are named by: root's way to it.
    pub fn store_fs(&self) -> Option<&str> {
        let (store, shown) = (self.store.as_ref()?, self.upper_fs.as_deref()?);
        let private = store.upper.strip_prefix(paths::BACKING_KEPT).is_some_and(|rest| rest.starts_with('/'));
        Some(if private { paths::BACKING_KEPT } else { shown })
    }

    /// Where changes go, in words: never without 'lost' where they are.
    pub fn changes(&self) -> String {
        let device = self.device.as_deref().unwrap_or_default();
        let path = self.path.as_deref().unwrap_or_default();
        let on = if device.is_empty() { String::new() } else { format!(" on {device}") };
        match (self.root, self.upper) {
            (RootKind::Overlay, UpperKind::Tmpfs) if self.paths.iter().any(PathState::keeps) => {
                "changes will be lost at reboot, except in the kept paths".to_owned()
            }
            (RootKind::Overlay, UpperKind::Tmpfs) => "changes will be lost at reboot".to_owned(),
            (RootKind::Overlay, UpperKind::Device) => format!("changes go to {device}"),
            (RootKind::Overlay, UpperKind::Dir | UpperKind::Loop) => format!("changes go to {path}{on}"),
            (RootKind::Overlay, UpperKind::Subvol) => format!("changes go to the subvolume {path}"),
            (RootKind::Overlay, UpperKind::None) => "changes go to an unknown upper".to_owned(),
            (RootKind::Plain, _) => "changes go to the root's own file system".to_owned(),
            (RootKind::Ro, _) => "nothing can be changed".to_owned(),
            (RootKind::Foreign, _) => "changes go to another party's overlay".to_owned(),
            (RootKind::None, _) => "nothing is running".to_owned(),
        }
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let device = self.device.as_deref().unwrap_or_default();
        match (self.root, self.upper) {
            (RootKind::Plain, _) => write!(f, "plain root, no overlay"),
            (RootKind::Ro, _) => write!(f, "root read-only, no overlay"),
            (RootKind::Foreign, _) => write!(f, "another party's overlay"),
            (RootKind::None, _) => write!(f, "no root, emergency shell"),
            (RootKind::Overlay, UpperKind::Device) => {
                write!(f, "overlay, upper on {device} ({})", self.options)
            }
            (RootKind::Overlay, UpperKind::Dir | UpperKind::Loop) => {
                let path = self.path.as_deref().unwrap_or_default();
                let on = if device.is_empty() { String::new() } else { format!(" on {device}") };
                write!(f, "overlay, upper in {path}{on} ({})", self.options)
            }
            (RootKind::Overlay, UpperKind::Subvol) => {
                let path = self.path.as_deref().unwrap_or_default();
                write!(f, "overlay, upper in the subvolume {path} ({})", self.options)
            }
            (RootKind::Overlay, UpperKind::None) => write!(f, "overlay, nothing is known of its upper"),
            (RootKind::Overlay, UpperKind::Tmpfs) => {
                write!(f, "overlay, upper in RAM ({})", self.options)?;
                if device.is_empty() { Ok(()) } else { write!(f, ", over the upper on {device}") }
            }
        }
    }
}
