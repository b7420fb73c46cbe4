// SPDX-License-Identifier: GPL-2.0-or-later
//! What the booted host does.
#![allow(missing_docs)]

mod diff;
mod enable;
mod pull;
mod pull_hostile;
mod pull_network;
mod pull_values;
mod raspi_firmware;
mod servicing;
mod thaw;
mod watch;
