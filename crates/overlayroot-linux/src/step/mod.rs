// SPDX-License-Identifier: GPL-2.0-or-later
//! Performs a plan: [`execute`] has the one match over the steps, and what a step is, is in a file of its own.

pub(crate) mod commit;
pub mod execute;
pub mod hostname;
pub mod keepfiles;
pub(crate) mod kept;
pub mod layers;
pub mod limit;
pub mod loopfile;
pub mod machineid;
pub mod made;
pub mod mkfs;
pub mod partition;
pub(crate) mod path;
pub mod populate;
pub mod preflight;
pub mod project;
pub mod report;
pub mod reset;
pub mod shadow;
pub(crate) mod small_files;
pub mod stale;
pub mod store;
pub mod tree;
pub mod undo;
pub mod verify;
