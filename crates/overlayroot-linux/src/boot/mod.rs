// SPDX-License-Identifier: GPL-2.0-or-later
//! The programs of the initramfs from their beginning to their end: [`assemble`], the root that the image is, the
//! shutdown.

pub mod assemble;
mod earlier;
pub mod live_root;
pub mod shutdown;
