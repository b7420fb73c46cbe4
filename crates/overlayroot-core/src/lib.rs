// SPDX-License-Identifier: GPL-2.0-or-later
//! Decides how a machine's root becomes an overlay.
//!
//! Text in, decision out: the kernel command line and the configuration files become a
//! [`config::Config`], what the machine looks like is a [`facts::Facts`], and [`plan::plan`]
//! turns both into an ordered, printable [`plan::Plan`] or a [`plan::Refusal`].
//! Nothing in this crate opens a file or makes a system call; `overlayroot-linux` does.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod cmdline;
pub mod conf;
pub mod config;
pub mod crypt;
pub mod disk;
pub mod facts;
pub mod fetched;
pub mod filesystem;
pub mod fstab;
mod furnish;
pub mod git;
pub mod gpt;
pub mod grammar;
mod ground;
pub mod host;
pub mod hostname;
pub mod image;
pub mod issue;
pub mod layout;
pub mod left;
pub mod live;
pub mod loopsize;
mod loopspec;
pub mod made;
pub mod marker;
pub mod mountinfo;
pub mod nfs;
pub mod node;
pub mod ondisk;
pub mod overlay_step;
pub mod part;
pub mod part_step;
mod path_params;
pub mod path_plan;
pub mod path_preset;
pub mod path_spec;
pub mod path_state;
pub mod path_step;
pub mod paths;
pub mod plan;
mod plan_finish;
mod plan_on_disk;
mod plan_part;
pub mod policy;
pub mod populate;
pub mod populated;
pub mod pulled;
pub mod record;
pub mod refusal;
pub mod rivals;
pub mod stale;
mod stays;
pub mod step;
pub mod subvol;
pub mod ubuntu;
pub mod upper;
pub mod url;
pub mod vars;
