// SPDX-License-Identifier: GPL-2.0-or-later
//! What single paths on a tmpfs of their own may take of the RAM.

use crate::doctor::{Finding, Grade, Host, finding};
use overlayroot_core::plan::Decision;
use overlayroot_core::step::path_state::PathState;
use overlayroot_core::value::size::bytes_of;
use overlayroot_core::value::size::mebi;

/// Judges their limits together; no word where nothing is volatile, or the RAM is not known.
pub(crate) fn memory(decision: &Decision, host: &Host, found: &mut Vec<Finding>) {
    let plan = match decision {
        Decision::Do(plan) | Decision::Instead(_, plan) => plan,
        Decision::Off | Decision::NotYet => return,
    };
    let limits = plan.effective.paths.iter().filter_map(|state| limit(state, host.ram));
    let sizes: Vec<u64> = limits.collect();
    if host.ram == 0 || sizes.is_empty() {
        return;
    }
    let all = sizes.iter().fold(0_u64, |all, size| all.saturating_add(*size));
    let ram = mebi(host.ram);
    if sizes.contains(&0) {
        let text = format!("a volatile path has no limit: it can use all of the {ram}");
        return found.push(finding("memory", Grade::Warning, text, "set a size="));
    }
    if all > host.ram.saturating_add(host.swap) / 4 * 3 {
        let text = format!("volatile paths may use {} of {ram} RAM together", mebi(all));
        found.push(finding("memory", Grade::Warning, text, "set smaller size="));
    }
}

/// Bytes that a path on a tmpfs may take; 0 for no limit.
fn limit(state: &PathState, ram: u64) -> Option<u64> {
    let size = state.options.split(',').find_map(|option| option.strip_prefix("size="))?;
    match size.strip_suffix('%') {
        Some(percent) => {
            let bytes = u128::from(ram) * percent.parse::<u128>().ok()? / 100;
            u64::try_from(bytes).ok()
        }
        None => bytes_of(size),
    }
}
