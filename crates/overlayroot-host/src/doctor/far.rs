// SPDX-License-Identifier: GPL-2.0-or-later
//! A root that this machine boots from and can't change, such as one on NFS: kernel, initramfs and arguments come from
//! a boot server, and what the root lacks is put into it where it lies.

use crate::doctor::{Finding, Grade, finding};
use crate::servicing;
use overlayroot_core::facts::{Facts, Root};

/// The root, where it is a server's.
pub(crate) fn server(facts: &Facts) -> Option<&Root> {
    facts.root.as_ref().filter(|root| servicing::served(&root.fstype))
}

/// In place of what lies in its `/boot`, which is not what this machine boots.
pub(crate) fn image(root: &Root, found: &mut Vec<Finding>) {
    let text = format!(
        "the root comes from a server ({}, {}): so do kernel, initramfs and arguments, which are not checked here",
        root.source, root.fstype
    );
    found.push(finding("initramfs", Grade::Note, text, "on the boot server: lsinitrd IMAGE | grep overlay-assemble"));
}

/// Says of what must be done in the root that it is done where the root lies. Here it would go into the upper.
pub(crate) fn on_server(root: &Root, found: &mut [Finding]) {
    for finding in found.iter_mut().filter(|finding| finding.in_root && !finding.todo.is_empty()) {
        finding.todo = format!("on the root's server ({}): {}", root.source, finding.todo);
    }
}
