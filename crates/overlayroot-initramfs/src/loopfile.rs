// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-loop`: the upper's loop file alone, for the emergency shell and the host.

use crate::args::Args;
use crate::verb::Verb;
use crate::{DONE, FAILED};
use anyhow::{Context, Result};
use overlayroot_core::value::diagnostics::plain;
use overlayroot_linux::step::loopfile::untold;
use overlayroot_linux::tool::loopcheck;
use overlayroot_linux::tool::loophand::{self, Hand};

/// Does it, or says what it would do.
pub fn run(args: &Args) -> Result<u8> {
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
            return Ok(if report.sound() { DONE } else { FAILED });
        }
    }
    Ok(DONE)
}
