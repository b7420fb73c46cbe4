// SPDX-License-Identifier: GPL-2.0-or-later
//! Leaves out the lines of paths that the boot would refuse: its own planner is asked.

use super::{Line, Migrated, PATH, Sources};
use overlayroot_core::config::Config;
use overlayroot_core::facts::device::{Device, Lookup};
use overlayroot_core::facts::{Facts, Kernel, Root};
use overlayroot_core::parse::fstab::covers;
use overlayroot_core::path;
use overlayroot_core::plan::{Decision, decide};
use overlayroot_core::step::path_state::PathOutcome;
use overlayroot_core::upper::Upper;
use overlayroot_core::upper::tmpfs::Tmpfs;
use std::collections::BTreeMap;

/// Links that every system has (file-hierarchy(7)).
const LINKS: [(&str, &str); 2] = [("/var/run", "/run"), ("/var/lock", "/run/lock")];

/// Where a path leads.
pub(super) fn real(links: &BTreeMap<String, String>, path: String) -> String {
    if let Some(real) = links.get(&path) {
        return real.clone();
    }
    let known = LINKS.iter().find(|(link, _)| covers(link, &path));
    known.map_or(path.clone(), |(link, real)| format!("{real}{}", path.strip_prefix(link).unwrap_or_default()))
}

/// Makes a comment of each line that is refused. One that is left out can be what another was refused for.
pub(super) fn settle(sources: &Sources, out: &mut Migrated) {
    for _ in 0..out.lines.len() {
        let mut config = out.config();
        // Where nothing is switched on the lines stand for the day when it is.
        if config.upper.value == Upper::Off {
            config.upper.value = Upper::Tmpfs(Tmpfs::default());
        }
        let plan = match decide(&config, &facts(sources, &config)) {
            Decision::Do(plan) | Decision::Instead(_, plan) => plan,
            Decision::Off | Decision::NotYet => return,
        };
        let mut failed = plan.effective.paths.into_iter().filter(|state| state.outcome == PathOutcome::Failed);
        let Some(state) = failed.next() else { return };
        let why = state.why.unwrap_or_default();
        for line in &mut out.lines {
            let Line::Setting(key, value) = line else { continue };
            let asked = path::parse(value).unwrap_or_default();
            if key == PATH && asked.iter().any(|asked| asked.path == state.path) {
                *line = Line::Comment(format!("not imported: {key} = {value}: {why}"));
            }
        }
    }
}

/// The root as far as it is known: every device is there, and the kernel can do it.
fn facts(sources: &Sources, config: &Config) -> Facts {
    let found = |path: String| Lookup::Found(Device { path, fstype: "ext4".to_owned(), ..Device::default() });
    let upper = config.upper.value.device().map(ToString::to_string);
    let stores = config.paths.iter().filter_map(|asked| asked.value.params.dev.as_ref());
    let stores = stores.chain(config.path_dev.value.as_ref()).map(ToString::to_string);
    let root = Root {
        source: "/dev/root".to_owned(),
        fstype: "ext4".to_owned(),
        fstab: sources.fstab.clone(),
        ..Root::default()
    };
    Facts {
        root: Some(root),
        kernel: Kernel { overlay: true, ..Kernel::default() },
        device: upper.map(found),
        stores: stores.map(|name| (name.clone(), found(name))).collect(),
        paths: sources.places.clone(),
        ..Facts::default()
    }
}
