// SPDX-License-Identifier: GPL-2.0-or-later
//! What an overlay's upper changes of its lowers, read from the layers themselves: nothing is mounted, and nothing of
//! the lowers is looked at that the upper does not touch. docs/guide/changes.md says what counts as a change.
//!
//! ```no_run
//! use overlayroot_diff::{Change, Layers, Options, Visitor};
//! use std::ops::ControlFlow;
//!
//! struct Print;
//! impl Visitor for Print {
//!     fn change(&mut self, change: &Change<'_>) -> ControlFlow<()> {
//!         println!("{} {}", change.kind.letter(), overlayroot_diff::shown(change.path));
//!         ControlFlow::Continue(())
//!     }
//!     fn problem(&mut self, path: &[u8], error: std::io::Error) {
//!         eprintln!("{}: {error}", overlayroot_diff::shown(path));
//!     }
//! }
//!
//! let layers = Layers::open("/run/overlayfs", ["/run/rootfsbase"], false)?;
//! overlayroot_diff::walk(&layers, b"/etc", &Options::default(), &mut Print)?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! `judge` decides and makes no system call; the others look.

mod ahead;
mod ask;
mod content;
mod judge;
mod layers;
mod names;
mod shown;
mod stat;
pub mod usage;
mod walk;
mod way;
mod xattr;

pub use judge::{Kind, What};
pub use layers::Layers;
pub use shown::shown;
pub use stat::{Stat, Type};
pub use walk::{Change, Options, Visitor, walk};
