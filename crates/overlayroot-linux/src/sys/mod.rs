// SPDX-License-Identifier: GPL-2.0-or-later
//! One kind of system call a file, and the programs that stand for some: what is the same at a boot, for a tool and
//! for the host. Knows nothing of plans.

pub mod attributes;
pub mod blkid;
pub mod blkpg;
pub(crate) mod block;
pub mod btrfs;
pub(crate) mod btrfs_members;
pub mod casefold;
pub(crate) mod descent;
pub mod files;
pub mod filesystem;
pub mod fsck;
pub mod gpt;
pub mod growfs;
pub mod inroot;
pub mod json;
pub mod loopdev;
pub mod memory;
pub mod mounts;
pub mod namespace;
pub mod newfile;
pub mod plain_way;
pub mod process;
pub mod program;
pub mod quota;
pub mod remove_tree;
pub mod scratch;
pub mod selinux;
pub mod statvfs;
pub mod sync;
pub mod table;
pub mod top_level;
pub mod watched;
pub(crate) mod way;
pub mod writable;
