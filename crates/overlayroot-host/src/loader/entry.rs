// SPDX-License-Identifier: GPL-2.0-or-later
//! One entry of a boot menu, whoever reads it.

use overlayroot_core::parse::cmdline::spans;

/// One entry of a boot menu.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its file, or its kernel.
    pub name: String,
    /// What the menu calls it; empty where it has no menu.
    pub title: String,
    /// All arguments, quotes taken off.
    pub args: Vec<String>,
    /// The command line as the kernel gets it, quotes and all.
    pub line: Vec<u8>,
    /// The images that are loaded for it, as the boot loader names them.
    pub initrd: Vec<String>,
    /// The kernel, as the boot loader names it.
    pub kernel: String,
}

impl Entry {
    /// Those that are ours.
    pub fn ours(&self) -> Vec<String> {
        self.args.iter().filter(|arg| arg.starts_with("rd.overlay")).cloned().collect()
    }
}

/// The arguments of a command line.
pub(super) fn args(text: &[u8]) -> Vec<String> {
    spans(text).iter().map(|(_, arg)| arg.text()).collect()
}
