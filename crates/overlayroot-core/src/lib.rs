// SPDX-License-Identifier: GPL-2.0-or-later
//! Decides how a machine's root becomes an overlay.
//!
//! Text in, decision out: the kernel command line and the configuration files become a
//! [`config::Config`], what the machine looks like is a [`facts::Facts`], and [`plan::plan`]
//! turns both into an ordered, printable [`plan::Plan`] or a [`plan::Refusal`].
//! Nothing in this crate opens a file or makes a system call; `overlayroot-linux` does.
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
