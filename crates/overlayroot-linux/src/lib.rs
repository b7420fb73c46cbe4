// SPDX-License-Identifier: GPL-2.0-or-later
//! Does what `overlayroot-core` decides. Each file holds one kind of system call; none of them
//! takes a decision that the plan has not taken.

pub mod assemble;
pub mod blkid;
pub mod device;
pub mod execute;
pub mod fsck;
pub mod growfs;
pub mod holder;
pub mod kmsg;
pub mod log;
pub mod look;
pub mod loopcheck;
pub mod loopdev;
pub mod loopfile;
pub mod loophand;
pub mod mounts;
pub mod place;
pub mod probe;
pub mod program;
pub mod project;
pub mod quota;
pub mod quota_probe;
pub mod recordfile;
pub mod reset;
pub mod room;
pub mod shutdown;
pub mod sources;
pub mod store;
pub mod sweep;
pub mod undo;
pub mod verify;
