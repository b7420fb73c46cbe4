// SPDX-License-Identifier: GPL-2.0-or-later
//! The step that compares a kept upper's lower with the present one.

use crate::config::Config;
use crate::facts::Root;
use crate::feature::stale::Compare;
use crate::layout::paths;
use crate::step::Step;

/// Puts the comparison behind the step that exchanges uppers: only then it is known whose fingerprint is
/// there. A reset that follows leaves nothing to compare.
pub(crate) fn compare(steps: &mut Vec<Step>, config: &Config, root: &Root) {
    let hidden =
        steps.iter().find_map(|step| if let Step::Hide { path, .. } = step { Some(path.clone()) } else { None });
    let found = steps.iter().enumerate().find_map(|(index, step)| {
        if let Step::ResetOnce { store, readonly, resets: false } = step {
            Some((index, store.clone(), *readonly))
        } else {
            None
        }
    });
    if let Some((index, store, readonly)) = found {
        let compare = Compare {
            store,
            lower: paths::SYSROOT.to_owned(),
            now: root.fingerprint.clone(),
            policy: config.stale.value,
            readonly,
            hidden,
        };
        steps.insert(index + 1, Step::Stale(compare));
    }
}
