// SPDX-License-Identifier: GPL-2.0-or-later
//! Uppers: each kind, what keeps them, and what comes between.
#![allow(missing_docs)]

mod fill;
mod in_ram;
mod loop_dev;
mod loop_device;
mod loop_tool;
mod named;
mod old_kernel;
mod on_disk;
mod partition;
mod partition_cuts;
mod partition_lost;
mod quota;
mod reset;
mod resize;
mod revert;
mod same_device;
mod stale;
mod subvol;
mod tries;
mod trim;
mod uppers;
