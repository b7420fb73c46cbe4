// SPDX-License-Identifier: GPL-2.0-or-later
//! What only the programs of the booted host and the tools do by hand.

pub mod bootfile;
pub mod loopcheck;
pub mod loophand;
pub mod servicing;
pub mod stores;
pub mod upperfill;
