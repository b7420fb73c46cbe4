// SPDX-License-Identifier: GPL-2.0-or-later
//! What things cost: measured one after another.
#![allow(missing_docs)]

mod boot;
mod diff;
mod reset;
mod subvol;
mod watch;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// For as long as it is held, nothing else is measured.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}
