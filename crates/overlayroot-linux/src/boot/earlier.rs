// SPDX-License-Identifier: GPL-2.0-or-later
//! What the programs that only some images have, and that run before `overlay-assemble`, have left to be recorded; and
//! what waits for them where they did not run.

use crate::sys::files;
use overlayroot_core::config::Config;
use overlayroot_core::feature::{thaw, tries};
use overlayroot_core::layout::{Names, paths};
use overlayroot_core::record::Reason;
use overlayroot_core::step::Step;
use overlayroot_core::step::effective::Effective;
use overlayroot_core::step::plan::Plan;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Why this boot is another than they were asked for.
pub(super) fn reasons() -> Vec<Reason> {
    let left = [(paths::RETURNED, tries::RETURNED), (paths::NOT_THAWED, thaw::CODE)];
    left.into_iter().filter_map(|(path, code)| Some(reason(code, text(path)?))).collect()
}

/// What waits for one that did not run, beside a plan that was carried out.
pub(super) fn passed_over(config: &Config, plan: &Plan) -> Option<Reason> {
    other_upper(config, plan).or_else(|| still_frozen(&plan.effective))
}

fn text(path: &str) -> Option<String> {
    Some(String::from_utf8_lossy(&files::read_small(path).ok()?).trim().to_owned())
}

fn reason(code: &str, text: String) -> Reason {
    Reason { code: code.to_owned(), text, kernel: Vec::new() }
}

/// Why the default upper is used where another one is wanted, and nobody has looked at that. Who names an upper gets it.
fn other_upper(config: &Config, plan: &Plan) -> Option<Reason> {
    let told = Path::new(paths::COUNTED).exists() || Path::new(paths::RETURNED).exists();
    if told || config.name.value.is_some() || config.names != Names::Dracut {
        return None;
    }
    // Also of an upper that is a read-only layer.
    let store =
        plan.steps.iter().find_map(|step| if let Step::ResetOnce { store, .. } = step { Some(store) } else { None })?;
    let text = match files::read_small(&store.boots()) {
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        // Nobody knows what it says.
        text => text.unwrap_or_default(),
    };
    let text = (!text.starts_with(tries::WANTS_DEFAULT)).then(|| {
        format!(
            "{} may name another upper: overlay-tries is not in this initramfs, or could not read it",
            store.boots()
        )
    })?;
    Some(reason(tries::RETURNED, text))
}

/// Why a boot that was to be thawed has an overlay, where nobody has looked at that.
fn still_frozen(effective: &Effective) -> Option<Reason> {
    let request = format!("{}{}/{}", effective.lowers.last()?, thaw::DIR, thaw::REQUEST);
    let waits = fs::symlink_metadata(&request).is_ok() && !Path::new(paths::NOT_THAWED).exists();
    let text = || format!("{request} waits: {} is not in this initramfs", thaw::PROGRAM);
    waits.then(|| reason(thaw::CODE, text()))
}
