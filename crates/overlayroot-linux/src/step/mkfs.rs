// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes file systems, on new partitions and in loop files: by their own programs.

use crate::sys::{files, program};
use anyhow::{Result, bail};
use overlayroot_core::value::file_system::MadeFs;

/// Makes a file system; the mounter of an overlay can't use blocks reserved for root, hence `-m 0`.
///
/// # Errors
/// Where the program is not there, or fails: with the last line that it wrote to `log`.
pub fn make(device: &str, kind: MadeFs, label: Option<&str>, log: &str) -> Result<()> {
    let program = format!("mkfs.{}", kind.word());
    let args: &[&str] = match kind {
        MadeFs::Ext4 => &["-q", "-F", "-m", "0", "-E", "nodiscard"],
        MadeFs::Xfs | MadeFs::Btrfs => &["-q", "-f", "-K"],
    };
    let label: Vec<&str> = label.into_iter().flat_map(|label| ["-L", label]).collect();
    match program::run(&program, &[args, &label, &[device]].concat(), log)? {
        0 => Ok(()),
        127 => bail!("{program} not found"),
        code => {
            let said = files::tail(log);
            bail!("{program} ended with {code}: {}", program::last_line(&said))
        }
    }
}
