// SPDX-License-Identifier: GPL-2.0-or-later
//! What of the system will not work on an overlay as it does on a disk: storage of containers, swap files, lines
//! of fstab, labels.

use crate::doctor::labels;
use crate::doctor::{Finding, Grade, Host, finding};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::{Facts, Root};
use overlayroot_core::keys;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::fstab::{self, Entry, covers};
use overlayroot_core::step::path::Kind;
use overlayroot_core::value::diagnostics::escape;

/// Directory, who has it, and the preset that keeps it.
pub const STORES: [(&str, &str, &str); 4] = [
    ("/var/lib/containers", "podman", "containers"),
    ("/var/lib/docker", "docker", "docker"),
    ("/var/lib/containerd", "containerd", "docker"),
    ("/var/lib/rancher", "k3s", "docker"),
];

/// Everything here is of an overlay that is asked for.
pub(crate) fn examine(inputs: &Inputs, config: &Config, facts: &Facts, host: &Host, found: &mut Vec<Finding>) {
    let entries = facts.root.as_ref().map(|root| fstab::parse(&root.fstab)).unwrap_or_default();
    containers(config, &entries, host, found);
    swap(config, &entries, host, found);
    if let Some(root) = &facts.root {
        table(config, root, host, &entries, found);
    }
    labels::examine(inputs, facts, host, found);
}

fn containers(config: &Config, entries: &[Entry], host: &Host, found: &mut Vec<Finding>) {
    for (path, who, preset) in STORES {
        let here = host.stores.iter().any(|(store, mounted)| store == path && !mounted);
        if !here || apart(config, entries, path) {
            continue;
        }
        let in_ram = config.upper.value.is_in_ram() || config.readonly.value;
        let gone = if in_ram { ", in RAM, and is lost at every boot" } else { "" };
        let seen = if host.marked.iter().any(|store| store == path) { SEEN } else { "" };
        let text = format!(
            "{who}'s storage {path} will be in the overlay{gone}: the kernel refuses the driver overlay there \
             (its upper may not be on overlayfs), so {}{seen}",
            instead(who)
        );
        let todo = format!("{}={preset}, or a file system of its own on {path}", keys::PATH.name);
        found.push(finding("containers", Grade::Warning, text, todo));
    }
    for path in host.marked.iter().filter(|path| !STORES.iter().any(|(store, ..)| store == path)) {
        if !apart(config, entries, path) {
            let text = format!("the container storage {} will be in the overlay{SEEN}", escape(path));
            let todo = format!("{}=persist:{}/, or a file system of its own", keys::PATH.name, escape(path));
            found.push(finding("containers", Grade::Warning, text, todo));
        }
    }
}

/// What becomes of a store that was filled on a plain root.
const SEEN: &str = "; its image layers have whiteouts, which the overlay hides: containers see files that their image \
                    removed";

/// Whether a path is on a file system of its own, or has a policy that leaves or copies what it holds.
fn apart(config: &Config, entries: &[Entry], path: &str) -> bool {
    let own = entries.iter().any(|entry| entry.not_overlaid() && covers(&entry.at, path));
    own || config.paths.iter().any(|asked| asked.value.kind != Kind::Readonly && covers(&asked.value.path, path))
}

/// What each of them does without the kernel's overlay.
fn instead(who: &str) -> &'static str {
    match who {
        "podman" => "it takes fuse-overlayfs where that is installed, or else vfs, which copies every layer",
        "docker" => "it takes vfs, which copies every layer, or does not start",
        _ => "its snapshotter overlayfs fails; fuse-overlayfs or native must be configured",
    }
}

fn swap(config: &Config, entries: &[Entry], host: &Host, found: &mut Vec<Finding>) {
    let table = entries.iter().filter(|entry| entry.swap_file() && !entry.has("noauto"));
    let mut files: Vec<&str> = table.map(|entry| entry.what.as_str()).collect();
    let running = host.swap_files.iter().map(String::as_str);
    files.extend(running.filter(|file| !entries.iter().any(|entry| entry.what == *file)));
    // The same rule as the boot's.
    let direct = config.paths.iter().filter(|asked| asked.value.kind.keeps());
    let apart: Vec<String> = direct.map(|asked| asked.value.path.clone()).collect();
    for file in files.into_iter().filter(|file| fstab::on_root(entries, &apart, file)) {
        let text = format!("the swap file {} will be in the overlay, where swapon fails: it stays off", escape(file));
        let todo = "a swap partition or zram; and remove its line from /etc/fstab";
        found.push(finding("swap", Grade::Warning, text, todo).in_root());
    }
}

/// Lines of fstab that mean the disk and meet the overlay.
fn table(config: &Config, root: &Root, host: &Host, entries: &[Entry], found: &mut Vec<Finding>) {
    const QUOTAS: [&str; 6] = ["usrquota", "grpquota", "prjquota", "quota", "usrjquota", "grpjquota"];
    let slash = entries.iter().find(|entry| entry.at == "/");
    for entry in entries.iter().filter(|entry| hides(&entry.at) && entry.comes_by_itself()) {
        let text = format!("fstab mounts {} on {}, where overlayroot-rs mounts its own", escape(&entry.what), entry.at);
        found.push(finding("fstab", Grade::Warning, text, "remove the line").in_root());
    }
    let own = root.file_system();
    let same = |entry: &&Entry| host.names(&entry.what, &own) || slash.is_some_and(|slash| slash.what == entry.what);
    let writes = |entry: &&Entry| !entry.has("ro") && entry.comes_by_itself() && !entry.has("bind") && entry.at != "/";
    // Subvolumes share their file system by design.
    for entry in entries.iter().filter(|_| root.fstype != "btrfs").filter(|entry| entry.not_overlaid()) {
        if same(&entry) && writes(&entry) {
            let how = match config.upper.value.is_on_root() {
                true => "it is writable there, below the overlay",
                false => "the lower holds it read-only, and that mount fails",
            };
            let text = format!("fstab mounts the root's own device on {}, too: {how}", entry.at);
            found.push(finding("fstab", Grade::Warning, text, "remove the line, or add ro to it").in_root());
        }
    }
    let quota = |option: &str| QUOTAS.contains(&option.split('=').next().unwrap_or(option));
    if slash.is_some_and(|entry| entry.options.split(',').any(quota)) {
        let text = "fstab asks for quotas on /: an overlay has none, quotaon fails";
        let todo = "remove the option; rd.overlay=dir:PATH,size=SIZE limits the whole upper";
        found.push(finding("fstab", Grade::Warning, text, todo).in_root());
    }
}

/// Whether a mount there would hide the lower or the upper.
fn hides(at: &str) -> bool {
    let ours = [paths::LOWER, paths::TMPFS, paths::BACKING, paths::PRIVATE, paths::STATE_DIR];
    at == "/run" || ours.iter().any(|place| covers(at, place))
}

#[cfg(test)]
mod tests;
