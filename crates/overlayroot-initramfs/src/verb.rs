// SPDX-License-Identifier: GPL-2.0-or-later
//! What `overlay-loop` is asked to do, and with which file.

use anyhow::{Result, anyhow, bail};
use overlayroot_core::upper::loop_file::{LoopFile, parse_loop_by_hand};

/// What to do with the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Make it.
    Create,
    /// Look at it.
    Check,
    /// Enlarge it.
    Grow,
    /// Make a loop device of it.
    Attach,
    /// Give that back.
    Detach,
}

/// The two words of the command line.
pub fn understand(words: &[String]) -> Result<(Verb, LoopFile)> {
    let [verb, file] = words else {
        bail!("overlay-loop needs a command and a file (see overlay-loop --help)");
    };
    let verb = match verb.as_str() {
        "create" => Verb::Create,
        "check" => Verb::Check,
        "grow" => Verb::Grow,
        "attach" => Verb::Attach,
        "detach" => Verb::Detach,
        other => bail!("overlay-loop does create, check, grow, attach and detach, not '{other}'"),
    };
    let file = parse_loop_by_hand(file).map_err(|problem| anyhow!("{problem}"))?;
    if verb == Verb::Grow && file.size.is_none() {
        bail!("overlay-loop grow {}: how large? (,size=8G)", file.path);
    }
    Ok((verb, file))
}
