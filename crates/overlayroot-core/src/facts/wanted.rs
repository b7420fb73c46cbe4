// SPDX-License-Identifier: GPL-2.0-or-later
//! What of the machine a plan depends on, of what takes time to look at. What is not wanted is not looked at, and its
//! fact stays as by default: the golden plans show that none depends on it.

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// What the lower is ([`Root::fingerprint`](crate::facts::Root)): an upper that stays belongs to it, and a device may
    /// be its own, or a copy.
    pub fingerprint: bool,
    /// Bytes of its file system, and how many are free.
    pub room: bool,
    /// Whether that can hold a directory to a size.
    pub project_quota: bool,
    /// Programs that make file systems.
    pub mkfs: bool,
}

impl Wanted {
    /// None of it.
    pub const NONE: Self = Self { fingerprint: false, room: false, project_quota: false, mkfs: false };
}
