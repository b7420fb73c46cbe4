// SPDX-License-Identifier: GPL-2.0-or-later
//! The initramfs: what to run, and on request running it.

use super::read::program;
use anyhow::{Context, Result, ensure};
use overlayroot_core::loader::{MODULE, Plan, Tree};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Kernels whose modules are installed, by their release.
fn releases(root: &str) -> Vec<String> {
    let base = format!("{}/usr/lib/modules", root.trim_end_matches('/'));
    let base = if Path::new(&base).is_dir() { base } else { format!("{}/lib/modules", root.trim_end_matches('/')) };
    let entries = fs::read_dir(&base).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.path().join("modules.dep").is_file());
    let mut found: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    found.sort_unstable();
    found
}

/// Says which images lack, or keep, the module.
pub fn advise(root: &str, tree: &Tree, enable: bool, rebuild: bool, plan: &mut Plan) {
    if enable && !tree.has("dracut") {
        let others = if tree.has("update-initramfs") { " (it has initramfs-tools)" } else { "" };
        let text = format!(
            "dracut is not installed{others}: without the module in the initramfs the arguments have no effect"
        );
        plan.notes.push(text);
    }
    let changed = plan.edits.iter().any(|edit| edit.path == MODULE);
    // Of the running system the image itself tells whether it is to be made anew.
    if rebuild || !changed || !tree.has("dracut") || (enable && tree.live) {
        return;
    }
    if !enable {
        plan.notes.push("the module stays in the initramfs; it has no effect without arguments".to_owned());
        return;
    }
    let releases = releases(root);
    if releases.is_empty() {
        plan.todo.push("add the module to the initramfs: dracut --force".to_owned());
    }
    plan.todo.extend(releases.iter().map(|release| format!("dracut --force --kver {release}")));
}

/// Makes every image anew.
pub fn rebuild(root: &str) -> Result<()> {
    let dracut = program(root, "dracut").context("dracut is not installed")?;
    let releases = releases(root);
    ensure!(!releases.is_empty(), "no kernel with modules below /usr/lib/modules");
    for release in releases {
        eprintln!("overlayctl: dracut --force --kver {release}");
        let status = Command::new(&dracut).args(["--force", "--quiet", "--kver", &release]).status();
        let status = status.with_context(|| format!("running {dracut}"))?;
        ensure!(
            status.success(),
            "dracut --force --kver {release}: {status}; the arguments are set, the image was not rebuilt"
        );
    }
    Ok(())
}
