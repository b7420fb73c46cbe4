// SPDX-License-Identifier: GPL-2.0-or-later
//! How an upper in use becomes larger or smaller: what each kind answers.

/// How an upper in use gets another size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resize {
    /// Its tmpfs is mounted again with another.
    Remount,
    /// Its file is made longer, and the file system in it.
    GrowFile,
    /// The limit of its project is set.
    SetQuota,
    /// Not by us: what to do instead.
    Refused(String),
}

/// How full an upper in use is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes that it may take; 0 for a tmpfs without limit.
    pub bytes: u64,
    /// Bytes in use.
    pub used: u64,
    /// Inodes in all; 0 where there is no fixed number.
    pub inodes: u64,
    /// Inodes in use.
    pub inodes_used: u64,
    /// Bytes of the machine's RAM, for an upper in it.
    pub ram: u64,
    /// Bytes of its swap.
    pub swap: u64,
}
