// SPDX-License-Identifier: GPL-2.0-or-later
//! What an overlay can be told beside its upper: the grammar of each value, and what its step carries.

pub mod commit;
pub mod git;
pub mod hostname;
pub mod image;
pub mod image_cache;
pub mod populate;
pub mod populated;
pub mod pulled;
pub mod stale;
pub mod template;
pub mod thaw;
pub mod tries;
