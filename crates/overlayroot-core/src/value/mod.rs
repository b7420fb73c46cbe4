// SPDX-License-Identifier: GPL-2.0-or-later
//! Values as people write them, and what is wrong with them. Nothing here knows a key.

pub mod amount;
pub mod device;
pub mod diagnostics;
pub mod field;
pub mod file_system;
pub mod glob;
pub mod order;
pub mod params;
pub mod path;
pub mod redact;
pub mod size;
pub mod why;
