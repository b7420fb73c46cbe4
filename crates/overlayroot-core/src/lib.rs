// SPDX-License-Identifier: GPL-2.0-or-later
//! Decides how a machine's root becomes an overlay.
//!
//! Text in, decision out: the kernel command line and the configuration files become a [`config::Config`], what the
//! machine looks like is a [`facts::Facts`], and [`plan::decide`] turns both into an ordered, printable
//! [`step::plan::Plan`] or a [`step::refusal::Refusal`]. Nothing in this crate opens a file or makes a system call;
//! `overlayroot-linux` does. Each room uses only those before it (docs/internals/architecture.md, `tests/rooms.rs`).
#![forbid(unsafe_code)]

pub mod config;
pub mod facts;
pub mod feature;
pub mod keys;
pub mod layout;
pub mod parse;
pub mod path;
pub mod plan;
pub mod record;
pub mod step;
pub mod upper;
pub mod value;
