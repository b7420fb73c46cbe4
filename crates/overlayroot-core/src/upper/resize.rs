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
