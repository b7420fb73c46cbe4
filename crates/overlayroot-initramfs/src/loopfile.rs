// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-loop`: the upper's loop file alone, for the emergency shell and the host.

use crate::args::Args;
use anyhow::{Context, Result, anyhow, bail};
use overlayroot_core::upper::loop_file::{LoopFile, parse_loop_by_hand};
use overlayroot_core::value::diagnostics::plain;
use overlayroot_linux::loopcheck;
use overlayroot_linux::loopfile::untold;
use overlayroot_linux::loophand::{self, Hand};
use std::process::ExitCode;

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

/// Does it, or says what it would do.
pub fn run(args: &Args) -> Result<ExitCode> {
    let (verb, file) = args.file.as_ref().context("reading the arguments")?;
    let aloud = args.dry_run || args.verbose;
    let say = |step: &str| {
        if aloud {
            println!("{}", plain(step));
        }
    };
    let mut hand = Hand { dry_run: args.dry_run, say: &say, tell: &mut untold };
    match verb {
        Verb::Create => loophand::create(file, &mut hand).map(drop)?,
        Verb::Grow => loophand::grow(file, &mut hand).map(drop)?,
        Verb::Detach => loophand::detach(&file.path, &hand)?,
        Verb::Attach => {
            if let Some(node) = loophand::attach(file, &hand)? {
                println!("{node}");
            }
        }
        Verb::Check => {
            let report = loopcheck::check(&file.path)?;
            print!("{}", plain(&report.to_string()));
            return Ok(if report.sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    }
    Ok(ExitCode::SUCCESS)
}
