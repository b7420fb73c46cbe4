// SPDX-License-Identifier: GPL-2.0-or-later
//! The steps that give single paths a policy of their own. None of them is essential: where one fails, that path is
//! as the overlay has it, and the record says so.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What is to become of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Kept, whatever becomes of the upper.
    Persist,
    /// On a tmpfs of its own.
    Volatile,
    /// The lower's own, writable.
    Bind,
    /// As it is in the merged root, read-only.
    Readonly,
}

impl Kind {
    /// Every kind with its word.
    pub const ALL: [(&'static str, Self); 4] =
        [("persist", Self::Persist), ("volatile", Self::Volatile), ("bind", Self::Bind), ("readonly", Self::Readonly)];

    /// Whether changes there stay, whatever becomes of the upper.
    pub fn keeps(self) -> bool {
        match self {
            Self::Persist | Self::Bind => true,
            Self::Volatile | Self::Readonly => false,
        }
    }

    /// Its word in the grammar.
    pub fn word(self) -> &'static str {
        let found = Self::ALL.iter().find(|(_, kind)| *kind == self);
        found.map_or("persist", |(word, _)| word)
    }
}

/// One of them. Layers are upper and lowers, topmost first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are the words of the sentence that Display prints")]
pub enum PathStep {
    /// Check and mount a device that keeps paths.
    OpenDevice { device: String, fstype: String, at: String },
    /// Make the lower's file system writable, at a private place.
    OpenRoot { lower: String, at: String },
    /// Make the directory in the upper, where the layers have none, so that something can be mounted there.
    Point { path: String, layers: Vec<String> },
    /// Put the files that are kept into the upper, those that the upper has itself left out.
    Restore { path: String, store: String, mount: String, layers: Vec<String> },
    /// The same for the machine's identity, which is made where nobody has one, and kept at once.
    MachineId { path: String, store: String, mount: String, layers: Vec<String> },
    /// Mount the directory that keeps the path; the first time it begins with what the root has there.
    Persist { path: String, root: String, store: String, mount: String, layers: Vec<String> },
    /// Mount a tmpfs of the path's own, with the attributes of what it covers.
    Volatile { path: String, root: String, options: String, mode: Option<u32>, copy: bool, layers: Vec<String> },
    /// Mount what the lower has there, writable.
    Bind { path: String, root: String, from: String },
    /// Make the path read-only.
    ReadOnly { path: String, root: String },
}

impl PathStep {
    /// Short name, as in the record and the golden plans.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OpenDevice { .. } => "path-device",
            Self::OpenRoot { .. } => "path-root",
            Self::Point { .. } => "path-point",
            Self::Restore { .. } => "path-restore",
            Self::MachineId { .. } => "path-machine-id",
            Self::Persist { .. } => "path-persist",
            Self::Volatile { .. } => "path-volatile",
            Self::Bind { .. } => "path-bind",
            Self::ReadOnly { .. } => "path-readonly",
        }
    }

    /// The path in the root that it is about.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::OpenDevice { .. } | Self::OpenRoot { .. } => None,
            Self::Point { path, .. }
            | Self::Restore { path, .. }
            | Self::MachineId { path, .. }
            | Self::Persist { path, .. }
            | Self::Volatile { path, .. }
            | Self::Bind { path, .. }
            | Self::ReadOnly { path, .. } => Some(path),
        }
    }

    /// Every place that it writes to or mounts on.
    pub fn places(&self) -> Vec<String> {
        match self {
            Self::OpenDevice { at, .. } | Self::OpenRoot { at, .. } => vec![at.clone()],
            Self::Point { path, layers } => layers.first().map(|upper| format!("{upper}{path}")).into_iter().collect(),
            Self::Restore { path, store, layers, .. } | Self::MachineId { path, store, layers, .. } => {
                let upper = layers.first().map(|upper| format!("{upper}{path}"));
                upper.into_iter().chain([store.clone()]).collect()
            }
            Self::Persist { path, root, store, .. } => vec![format!("{root}{path}"), store.clone()],
            Self::Bind { path, root, from } => vec![format!("{root}{path}"), from.clone()],
            Self::Volatile { path, root, .. } | Self::ReadOnly { path, root } => vec![format!("{root}{path}")],
        }
    }
}

impl fmt::Display for PathStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OpenDevice { device, fstype, at } => write!(f, "{fstype} of {device} on {at}, checked"),
            Self::OpenRoot { lower, at } => write!(f, "{lower} also on {at}, and the file system under it writable"),
            Self::Point { path, .. } => write!(f, "a directory {path} in the upper, if no layer has one"),
            Self::Restore { path, store, .. } => write!(f, "{path} from {store}, what the upper lacks of it"),
            Self::MachineId { path, store, .. } => write!(f, "{path} from {store}, created where none exists"),
            Self::Persist { path, root, store, .. } => write!(f, "{store} on {root}{path}"),
            Self::Volatile { path, root, options, copy, .. } => {
                let copy = if *copy { ", with what is there" } else { "" };
                write!(f, "tmpfs on {root}{path} ({options}){copy}")
            }
            Self::Bind { path, root, from } => write!(f, "{from} on {root}{path}, writable"),
            Self::ReadOnly { path, root } => write!(f, "{root}{path}"),
        }
    }
}
