// SPDX-License-Identifier: GPL-2.0-or-later
//! How full the upper in use is, who made it so, and how others are told.

pub mod growth;
pub mod journald;
pub mod levels;
pub mod prometheus;
