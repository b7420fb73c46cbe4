// SPDX-License-Identifier: GPL-2.0-or-later
//! What is read of this host, for more than one verb: the overlay that runs, its fill, the uppers, the next boot.

pub mod asked;
pub mod bounded;
pub mod fill;
pub mod hostinside;
pub mod hostkernels;
pub mod hostprobe;
pub mod hoststack;
pub mod kept;
pub mod live;
pub mod loader_files;
pub mod next;
pub mod request;
pub mod thaw;
pub mod tries;
pub mod walk;
