// SPDX-License-Identifier: GPL-2.0-or-later
//! Texts of others, read as data: the kernel command line, fstab, mountinfo, a partition table.

pub mod cmdline;
pub mod fstab;
pub mod gpt;
pub mod json;
pub mod meminfo;
pub mod mountinfo;
