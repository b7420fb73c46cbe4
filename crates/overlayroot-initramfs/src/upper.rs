// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlay-upper`: the device's part of the plan alone, for the emergency shell.

use crate::DONE;
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
use overlayroot_linux::sys::mounts;
use overlayroot_linux::{probe, source};

/// Finds and mounts the upper's device.
pub fn run(args: &Args) -> Result<u8> {
    let mut inputs = source::read(None);
    if let Some(device) = &args.device {
        inputs = asked_by_hand(device);
    }
    let mut config = Config::read(&inputs);
    // The device alone: what goes into the upper is the whole boot's.
    (config.populate.value, config.hostname.value) = (None, None);
    let probed = probe::initramfs(&config, &lex(&inputs.cmdline), &mounts::read()?, Journal::Leave);
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
    let steps: Vec<Step> = plan.steps.into_iter().filter(is_about_device).collect();
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
    Ok(DONE)
}

/// Whether a step mounts the device, comes before that, or shows it elsewhere than in the root.
fn is_about_device(step: &Step) -> bool {
    match step {
        Step::Look { .. } | Step::Check { .. } | Step::MountDevice { .. } | Step::Close { .. } => true,
        Step::Bind { to, .. } => !to.starts_with(paths::SYSROOT),
        Step::StandDown { .. }
        | Step::Uncover { .. }
        | Step::Clear { .. }
        | Step::MountTmpfs { .. }
        | Step::MountTop { .. }
        | Step::MakeSubvolume { .. }
        | Step::Writable { .. }
        | Step::LookInside { .. }
        | Step::MakeLoopFile { .. }
        | Step::GrowLoopFile { .. }
        | Step::Attach { .. }
        | Step::Part(_)
        | Step::GrowFs { .. }
        | Step::Hide { .. }
        | Step::Reset { .. }
        | Step::ResetOnce { .. }
        | Step::Stale(_)
        | Step::Commit(_)
        | Step::MakeUpper { .. }
        | Step::Quota(_)
        | Step::Remember { .. }
        | Step::Link { .. }
        | Step::BindLower { .. }
        | Step::LowerReadOnly { .. }
        | Step::LowerFsReadOnly { .. }
        | Step::Park { .. }
        | Step::UnmountRoot { .. }
        | Step::MountOverlay(_)
        | Step::Verify(_)
        | Step::Unpark { .. }
        | Step::Populate(_)
        | Step::Hostname { .. }
        | Step::Path(_)
        | Step::RootReadOnly { .. }
        | Step::WriteRun { .. }
        | Step::LinkRun { .. } => false,
    }
}

/// As if the device had been given on the command line, and nothing else.
fn asked_by_hand(device: &str) -> Inputs {
    Inputs { cmdline: vec![Source::new("the arguments", format!("rd.overlay=\"{device}\""))], ..Inputs::default() }
}
