// SPDX-License-Identifier: GPL-2.0-or-later
//! The initramfs: what to run, and on request running it.

use crate::state::loader_files::program;
use anyhow::{Context, Result, ensure};
use overlayroot_host::loader::generator::makes;
use overlayroot_host::loader::{Kind, MODULE, Plan, Tree};
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

/// Says which images lack, or keep, the module, and who makes the next ones.
pub fn advise(root: &str, tree: &Tree, kind: Kind, ask: (bool, bool), plan: &mut Plan) {
    let (enable, rebuild) = ask;
    match makes(tree).warning() {
        Some((text, way)) if enable => {
            plan.notes.push(text);
            plan.todo.push(way.to_owned());
        }
        None if enable && !tree.has("dracut") => {
            let text = "dracut is not installed: without the module in the initramfs the arguments have no effect";
            plan.notes.push(text.to_owned());
        }
        Some(_) | None => {}
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
    if let Some(copier) = kind.loader().copier() {
        plan.todo.push(format!("{}: it copies the image to {}", copier.command, copier.to));
    }
}

/// Rebuilds every image, and puts it where the boot loader looks.
pub fn rebuild(root: &str, kind: Kind) -> Result<()> {
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
    if let Some(copier) = kind.loader().copier() {
        let (program, (name, value)) = (format!("/{}", copier.program), copier.variable);
        eprintln!("overlayctl: {program}");
        let status = Command::new(&program).env(name, value).status();
        let status = status.with_context(|| format!("running {program}"))?;
        ensure!(status.success(), "{program}: {status}; the image is in /boot, and not yet in {}", copier.to);
    }
    Ok(())
}
