// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-assemble`: the whole boot.

use crate::args::Args;
use anyhow::Result;
use overlayroot_core::plan;
use overlayroot_linux::assemble::{Verdict, assemble, read_machine};
use std::process::ExitCode;

/// Assembles, or prints what would be done.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.dry_run {
        let (config, facts) = read_machine()?;
        for issue in &config.issues {
            println!("issue: {issue}");
        }
        print!("{}", plan::decide(&config, &facts));
        return Ok(ExitCode::SUCCESS);
    }
    Ok(match assemble(&args.by)? {
        Verdict::Boot | Verdict::NotYet => ExitCode::SUCCESS,
        Verdict::Halt => ExitCode::FAILURE,
    })
}
