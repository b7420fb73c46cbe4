// SPDX-License-Identifier: GPL-2.0-or-later
//! Does what `overlayroot-core` decides; takes no decision that the plan has not taken. Each room may use those before
//! it: `log`, `sys`, `source`, `probe`, `step`, `commit`, `boot`, `tool`.

pub mod boot;
pub mod commit;
pub mod log;
pub mod probe;
pub mod source;
pub mod step;
pub mod sys;
#[cfg(test)]
mod testing;
pub mod tool;
