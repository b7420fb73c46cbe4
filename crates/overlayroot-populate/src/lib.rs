// SPDX-License-Identifier: GPL-2.0-or-later
//! Fetches an archive and unpacks it into a new upper, whole or not at all; fetches the image of `root=live:URL`,
//! checks and keeps it ([`image`]). A program of its own, so that only images which ask for it carry it.
//!
//! What an archive may hold is in overlayroot-rs(7). Everything is unpacked beside the upper, in the work directory,
//! and takes the upper's place in one rename.

pub mod decompress;
pub mod fault;
pub mod fetch;
pub mod header;
pub mod image;
pub mod make;
pub mod pax;
pub mod reader;
pub mod run;
pub mod tree;
pub mod unpack;
