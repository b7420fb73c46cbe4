// SPDX-License-Identifier: GPL-2.0-or-later
//! What a kind of upper needs of an initramfs, beside overlayfs itself.

/// Programs, modules and the file system of an upper.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// What makes or enlarges it.
    pub programs: Vec<String>,
    /// Modules of the kernel that have no file system's name.
    pub modules: Vec<String>,
    /// Type of the file system that is mounted for it alone.
    pub file_system: Option<String>,
    /// How it is made without the initramfs; with a comma and what follows behind it.
    pub by_hand: &'static str,
}
