// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl trash empty`: gives the room of discarded uppers back.

use crate::output::exit::Exit;
use crate::state::kept::{self, Found};
use anyhow::Result;
use clap::Subcommand;
use overlayroot_linux::sys::remove_tree;

/// The verbs of `overlayctl trash`.
#[derive(Debug, Subcommand)]
pub enum OfTrash {
    /// Delete discarded uppers for good
    ///
    /// Run after each boot by overlayroot-rs-trash.service.
    Empty,
}

/// Empties the trash of this boot's upper. Interrupted, it goes on where it is called again.
pub fn empty() -> Result<Exit> {
    let Found::Upper(_, store) = kept::find()? else {
        return Ok(Exit::Good);
    };
    let mut whole = empty_one(&store.trash)?;
    // In a subvolume of its own it is another directory.
    if store.aside() != store.trash {
        whole &= empty_one(&store.aside())?;
    }
    Ok(if whole { Exit::Good } else { Exit::No })
}

/// False where something is left.
fn empty_one(trash: &str) -> Result<bool> {
    if !std::fs::exists(trash)? {
        return Ok(true);
    }
    let mut removed = 0;
    loop {
        let swept = remove_tree::empty(trash, &mut || false)?;
        removed += swept.removed;
        // Something may have been thrown away meanwhile.
        if swept.removed > 0 {
            continue;
        }
        if removed > 0 {
            println!("{removed} files and directories removed from {trash}");
        }
        if swept.left > 0 {
            eprintln!("overlayctl: {} entries of {trash} can't be removed", swept.left);
        }
        return Ok(swept.left == 0);
    }
}
