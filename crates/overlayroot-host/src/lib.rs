// SPDX-License-Identifier: GPL-2.0-or-later
//! Decides what only the booted host does: `overlayctl`'s doctor, boot loaders, migration, levels and servicing.
//!
//! Texts and facts in, findings, edits and plans out. Nothing in this crate opens a file or makes a system call;
//! `overlayctl` and `overlayroot-linux` do. The initramfs has none of it.
#![forbid(unsafe_code)]

pub mod doctor;
pub mod loader;
pub mod migrate;
pub mod next;
pub mod pull;
pub mod resize;
pub mod servicing;
pub mod settings;
pub mod trim;
pub mod watch;
