// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether there is room for the upper: in RAM, and on the root's own file system.

use crate::doctor::{Finding, Grade, Host, finding};
use overlayroot_core::config::Config;
use overlayroot_core::facts::Facts;
use overlayroot_core::upper::Upper;
use overlayroot_core::upper::tmpfs::Tmpfs;
use overlayroot_core::value::size::bytes_of;
use overlayroot_core::value::size::mebi;

pub(crate) fn memory(config: &Config, host: &Host, found: &mut Vec<Finding>) {
    let Upper::Tmpfs(asked) = &config.upper.value else {
        return;
    };
    let (ram, swap) = (mebi(host.ram), mebi(host.swap));
    let size = match tmpfs_bytes(asked, host.ram) {
        _ if host.ram == 0 => return,
        Some(0) => {
            let text = format!("the upper in RAM has no limit: it can use all of the {ram}");
            return found.push(finding("memory", Grade::Warning, text, "set a size="));
        }
        None => return,
        Some(bytes) => bytes,
    };
    let text = format!("the upper may use {} of {ram} RAM, with {swap} swap", mebi(size));
    // A quarter is little for the system itself.
    let fits = size <= host.ram.saturating_add(host.swap) / 4 * 3;
    let (grade, todo) =
        if fits { (Grade::Ok, "") } else { (Grade::Warning, "set a smaller size=, or use an upper on disk") };
    found.push(finding("memory", grade, text, todo));
}

/// Bytes of the limit; 0 for none, nothing where it can't be told.
fn tmpfs_bytes(asked: &Tmpfs, ram: u64) -> Option<u64> {
    const PAGE: u64 = 4096;
    let size = |text: &str| match text.strip_suffix('%') {
        Some(percent) => u64::try_from(u128::from(ram) * percent.parse::<u128>().ok()? / 100).ok(),
        None => bytes_of(text),
    };
    match (&asked.nr_blocks, &asked.size) {
        (Some(pages), None) => Some(bytes_of(pages)?.saturating_mul(PAGE)),
        (_, given) => size(given.as_deref().unwrap_or(Tmpfs::DEFAULT_SIZE)),
    }
}

pub(crate) fn space(config: &Config, facts: &Facts, found: &mut Vec<Finding>) {
    const LEAST: u64 = 256 << 20;
    let Some(root) = facts.root.as_ref().filter(|_| config.upper.value.is_on_root()) else {
        return;
    };
    let (free, all, source, fstype) = (mebi(root.free), mebi(root.bytes), &root.source, &root.fstype);
    let text = format!("{free} of {all} free on the root's file system {source} ({fstype})");
    let little = !config.upper.value.has_its_space(facts) && root.free < LEAST.min(root.bytes / 10);
    let (grade, todo) = if little { (Grade::Warning, "free space before the upper fills it") } else { (Grade::Ok, "") };
    found.push(finding("space", grade, text, todo));
}
