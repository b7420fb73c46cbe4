// SPDX-License-Identifier: GPL-2.0-or-later
//! The upper's changes moved into the lower: cut behind each system call, and compared through a real overlay.
#![allow(missing_docs)]

mod boots;
mod cuts;
mod kept;
mod stack;
mod view;
mod work;
