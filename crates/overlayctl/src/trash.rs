// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl trash empty`: gives the room of discarded uppers back.

use crate::kept;
use anyhow::Result;
use overlayroot_linux::sweep;
use std::process::ExitCode;

/// Empties the trash of this boot's upper. Interrupted, it goes on where it is called again.
pub fn empty() -> Result<ExitCode> {
    let Ok((_, store)) = kept::find()? else {
        return Ok(ExitCode::SUCCESS);
    };
    if !std::fs::exists(&store.trash)? {
        return Ok(ExitCode::SUCCESS);
    }
    let mut removed = 0;
    loop {
        let swept = sweep::empty(&store.trash, &mut || false)?;
        removed += swept.removed;
        // Something may have been thrown away meanwhile.
        if swept.removed > 0 {
            continue;
        }
        if removed > 0 {
            println!("{removed} files and directories removed from {}", store.trash);
        }
        if swept.left > 0 {
            eprintln!("overlayctl: {} entries of {} can't be removed", swept.left, store.trash);
            return Ok(ExitCode::FAILURE);
        }
        return Ok(ExitCode::SUCCESS);
    }
}
