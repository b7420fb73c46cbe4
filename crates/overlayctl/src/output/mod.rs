// SPDX-License-Identifier: GPL-2.0-or-later
//! How it is said, and how it ends: escaped, folded, paged, with progress; the exit statuses.

#[macro_use]
pub mod out;
pub mod exit;
pub mod format;
pub mod manual;
pub mod motd;
pub mod pager;
pub mod progress;
