// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-upper`: the device's part of the plan alone, for the emergency shell.

use crate::args::Args;
use anyhow::{Context, Result, anyhow};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::{Facts, Kernel, Root};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::{Source, lex};
use overlayroot_core::plan::{self, Decision};
use overlayroot_core::step::Step;
use overlayroot_core::value::diagnostics::plain;
use overlayroot_linux::probe::backing::Journal;
use overlayroot_linux::step::{execute, report};
use overlayroot_linux::{probe, source};
use std::process::ExitCode;

/// Finds and mounts the upper's device.
pub fn run(args: &Args) -> Result<ExitCode> {
    let mut inputs = source::read(None);
    if let Some(device) = &args.device {
        inputs = asked_by_hand(device);
    }
    let mut config = Config::read(&inputs);
    // The device alone: what goes into the upper is the whole boot's.
    (config.populate.value, config.hostname.value) = (None, None);
    let probed = probe::initramfs(&config, &lex(&inputs.cmdline), Journal::Leave)?;
    // In the emergency shell the root may not be there; the upper's part does not need it.
    let facts = Facts {
        root: Some(Root::default()),
        kernel: Kernel { overlay: true, ..Kernel::default() },
        disk: probed.disk,
        device: probed.device.or_else(|| probe::device_of(&config, true)),
        ..Facts::default()
    };
    let plan = match plan::decide(&config, &facts) {
        Decision::Do(plan) => plan,
        Decision::Instead(refusal, _) => return Err(anyhow!("{refusal}")),
        other @ (Decision::Off | Decision::NotYet) => {
            return Err(anyhow!("no device upper is asked for ({})", other.to_string().trim()));
        }
    };
    let about_device = |step: &Step| {
        if let Step::Bind { to, .. } = step { !to.starts_with(paths::SYSROOT) } else { is_about_device(step) }
    };
    let steps: Vec<Step> = plan.steps.into_iter().filter(about_device).collect();
    if steps.is_empty() {
        return Err(anyhow!("{} has no device", plan.effective));
    }
    for step in &steps {
        println!("{}", plain(&step.to_string()));
    }
    if !args.dry_run {
        let mut report = report::Report::default();
        execute::run(&steps, &mut report).map_err(|reason| anyhow!("{}", reason.text)).context("mounting the upper")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a step, if it is no bind, mounts the device or comes before that.
fn is_about_device(step: &Step) -> bool {
    matches!(step, Step::Look { .. } | Step::Check { .. } | Step::MountDevice { .. } | Step::Close { .. })
}

/// As if the device had been given on the command line, and nothing else.
fn asked_by_hand(device: &str) -> Inputs {
    Inputs { cmdline: vec![Source::new("the arguments", format!("rd.overlay=\"{device}\""))], ..Inputs::default() }
}
