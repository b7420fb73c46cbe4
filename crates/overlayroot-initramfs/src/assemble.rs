// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-assemble`: the whole boot.

use crate::args::Args;
use crate::{DONE, FAILED};
use anyhow::Result;
use overlayroot_core::config::Config;
use overlayroot_core::feature::image_cache;
use overlayroot_core::feature::populate::Asked;
use overlayroot_core::plan;
use overlayroot_core::value::diagnostics::plain;
use overlayroot_linux::boot::assemble::{Verdict, assemble, read_machine, stand_down};
use overlayroot_linux::boot::{live_root, shutdown};
use overlayroot_linux::probe::backing::Journal;
use overlayroot_linux::probe::{beneath, device};
use overlayroot_linux::source;

/// Assembles, or prints what would be done.
pub fn run(args: &Args) -> Result<u8> {
    if args.stand_down {
        stand_down()?;
        return Ok(DONE);
    }
    if args.prepare_live {
        live_root::prepare()?;
        return Ok(DONE);
    }
    if args.mount_live {
        live_root::mount()?;
        return Ok(DONE);
    }
    if args.take_apart {
        shutdown::take_apart()?;
        return Ok(DONE);
    }
    if args.file_systems {
        let mut kinds = device::upper_file_systems();
        // One that is made at the next boot is on no device yet.
        kinds.extend(Config::read(&source::read(None)).upper.value.needs(None).file_system);
        kinds.extend(beneath::modules());
        println!("{}", kinds.join(" "));
        return Ok(DONE);
    }
    if args.running {
        return Ok(if beneath::is_overlay() { DONE } else { FAILED });
    }
    if args.programs {
        println!("{}", programs(&Config::read(&source::read(None))));
        return Ok(DONE);
    }
    if args.dry_run {
        let (config, facts) = read_machine(Journal::Leave)?;
        for issue in &config.issues {
            println!("issue: {}", plain(&issue.to_string()));
        }
        print!("{}", plain(&plan::decide(&config, &facts).to_string()));
        return Ok(DONE);
    }
    Ok(match assemble(&args.by)? {
        Verdict::Boot | Verdict::NotYet => DONE,
        Verdict::Halt => FAILED,
    })
}

/// Programs to make an upper with, where the configuration asks for one that may have to be made, those for an
/// archive that it begins with, and what keeps or checks an image.
fn programs(config: &Config) -> String {
    let mut all = config.upper.value.needs(None).programs;
    let image =
        (config.image_cache.value.is_some() || config.image_sha256.value.is_some()).then_some(image_cache::PROGRAM);
    let others = config.populate.value.iter().flat_map(Asked::programs).chain(image);
    all.extend(others.map(str::to_owned));
    all.join(" ")
}
