// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl doctor`: says before a boot whether what is configured will work. The plan comes from the same
//! code as in the initramfs; what only the host can tell is judged here. Pure.

mod cache;
mod far;
mod generator;
mod host;
pub mod image;
pub mod labels;
pub mod loader;
mod path;
mod populate;
mod pull;
pub mod running;
mod settings;
pub mod stack;
mod storage;

pub use host::{Host, KernelImage, MODULES};
pub use storage::STORES;

use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::Facts;
use overlayroot_core::facts::device::Lookup;
use overlayroot_core::facts::file_system::FileSystem;
use overlayroot_core::feature::stale;
use overlayroot_core::keys;
use overlayroot_core::parse::fstab;
use overlayroot_core::plan::Decision;
use overlayroot_core::step::effective::RootKind;
use overlayroot_core::upper::Upper;
use overlayroot_core::value::redact;
use serde::Serialize;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Ok,
    /// Good to know, or not to be told from here.
    Note,
    /// Works, but perhaps not as meant.
    Warning,
    /// The next boot will not do what is asked for.
    Problem,
}

/// One thing looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable word for scripts.
    pub check: &'static str,
    /// How bad it is.
    pub grade: Grade,
    /// One line for a person.
    pub text: String,
    /// What to do about it; empty where nothing is to be done.
    pub todo: String,
    /// That is done to files of the root.
    #[serde(skip)]
    pub(crate) in_root: bool,
}

impl Finding {
    /// What to do about it is done to files of the root.
    pub(crate) fn in_root(self) -> Self {
        Self { in_root: true, ..self }
    }
}

/// Looks at everything, in the order to read it.
pub fn examine(inputs: &Inputs, config: &Config, facts: &Facts, decision: &Decision, host: &Host) -> Vec<Finding> {
    let mut found = Vec::new();
    if !host.is_root {
        let todo = "run it as root";
        found.push(finding("root", Grade::Warning, "not root: devices and images can't be read", todo));
    }
    crate::doctor::settings::configuration(inputs, config, &mut found);
    let far = far::server(facts);
    not_known(host, far.is_some(), &mut found);
    plan(config, decision, host.not_known.is_empty(), &mut found);
    crate::doctor::loader::root(host, &mut found);
    let asked = !matches!(config.upper.value, Upper::Off);
    if asked {
        match far {
            Some(root) => far::image(root, &mut found),
            None => {
                crate::doctor::image::all(config, facts, host, &mut found);
                crate::doctor::generator::examine(inputs, host, &mut found);
            }
        }
        crate::doctor::populate::way(inputs, config, facts, &mut found);
        room(config, facts, host, &mut found);
        crate::doctor::path::memory(decision, host, &mut found);
        crate::doctor::stack::examine(inputs, config, facts, host, &mut found);
        table(config, facts, host, &mut found);
        fingerprint(config, host, &mut found);
        crate::doctor::storage::examine(inputs, config, facts, host, &mut found);
        request(host, &mut found);
        running::cloud_init(inputs, config, host, &mut found);
        others(host, &mut found);
    }
    crate::doctor::cache::examine(inputs, config, host, &mut found);
    crate::doctor::pull::examine(config, asked, host, &mut found);
    if let Some(loader) = host.loader.as_ref().filter(|_| far.is_none()) {
        crate::doctor::loader::examine(inputs, config, loader, &mut found);
    }
    running::boot(config, host, far.is_some(), &mut found);
    if let Some(root) = far {
        far::on_server(root, &mut found);
    }
    found
}

/// The worst of all.
pub fn worst(findings: &[Finding]) -> Grade {
    findings.iter().map(|finding| finding.grade).max().unwrap_or(Grade::Ok)
}

pub(crate) fn finding(check: &'static str, grade: Grade, text: impl Into<String>, todo: impl Into<String>) -> Finding {
    // Arguments of others are told as they stand in a boot loader's file.
    Finding { check, grade, text: redact::told_in(&text.into()), todo: redact::told_in(&todo.into()), in_root: false }
}

/// Whether there is room for the upper: its kind knows.
fn room(config: &Config, facts: &Facts, host: &Host, found: &mut Vec<Finding>) {
    let said = config.upper.value.diagnosed(facts, host.ram, host.swap);
    found.extend(said.map(|said| {
        let grade = if said.todo.is_empty() { Grade::Ok } else { Grade::Warning };
        finding(said.check, grade, said.text, said.todo)
    }));
}

/// What the next boot is asked to do with the upper's changes.
fn request(host: &Host, found: &mut Vec<Finding>) {
    let Some((words, why)) = &host.request else { return };
    found.push(match why {
        None => finding("request", Grade::Ok, format!("the next boot will {words}"), ""),
        Some(why) => {
            let todo = "overlayctl commit --cancel, or remove the cause: until then each boot is degraded";
            finding("request", Grade::Problem, format!("the next boot is asked to {words}, and can't: {why}"), todo)
        }
    });
}

/// Nothing is well where it is not known.
fn not_known(host: &Host, far: bool, found: &mut Vec<Finding>) {
    for text in &host.not_known {
        let todo = match text.contains("command line") {
            true => "check one by hand: overlayctl doctor --cmdline \"$(cat /proc/cmdline)\"",
            false if far => "check by hand, on the boot server: lsinitrd lists an image",
            false => "check by hand: lsinitrd lists an image",
        };
        found.push(finding("next-boot", Grade::Warning, format!("not known: {text}"), todo));
    }
}

fn plan(config: &Config, decision: &Decision, known: bool, found: &mut Vec<Finding>) {
    match decision {
        Decision::Off if config.is_thawed() => {
            let text = "the next boot is thawed: no overlay, and changes are permanent; see overlayctl thaw --status";
            found.push(finding("plan", Grade::Note, text, ""));
        }
        Decision::Off => found.push(finding("plan", Grade::Note, "no overlay is configured", "")),
        Decision::NotYet => found.push(finding("plan", Grade::Warning, "the root's file system was not found", "")),
        Decision::Do(plan) => {
            let (steps, effective) = (plan.steps.len(), &plan.effective);
            let text = format!("{steps} steps to: {effective}; {}", effective.changes());
            found.push(match known {
                true => finding("plan", Grade::Ok, text, ""),
                false => finding("plan", Grade::Note, format!("if the next boot is as this one: {text}"), ""),
            });
            let notes = plan.notes.iter();
            found.extend(notes.map(|note| finding("plan", Grade::Note, note.clone(), "")));
            let without = plan.without.iter();
            found.extend(
                without.map(|lack| finding("plan", Grade::Warning, lack.text.clone(), advice(config, lack.code))),
            );
        }
        Decision::Instead(refusal, plan) => {
            let (code, effective) = (refusal.code, &plan.effective);
            let end = if effective.root == RootKind::None { "the boot ends in the emergency shell: " } else { "" };
            let text = format!("{end}{} ({code}); instead: {effective}; {}", refusal.text, effective.changes());
            found.push(finding("plan", Grade::Problem, text, advice(config, refusal.code)));
        }
    }
}

/// What to do about a refusal whose text does not say it.
fn advice(config: &Config, code: &str) -> String {
    match code {
        "device-missing" => "attach it, or correct the name; blkid lists what is there".to_owned(),
        "device-ambiguous" => "give each a label of its own, or use UUID= or PARTUUID=".to_owned(),
        "device-incomplete" => {
            "attach the missing device; if it is lost: mount -o degraded, then btrfs device remove missing".to_owned()
        }
        "device-in-use" => "name a device that nothing else has, or dir: for the root's own".to_owned(),
        "no-file-system" => "create one: mkfs.ext4 -m 0".to_owned(),
        "no-mkfs" => {
            let needs = config.upper.value.needs(None);
            let words: Vec<&str> = needs.programs.iter().map(|name| name.trim_start_matches("mkfs.")).collect();
            let (by_hand, words) = (needs.by_hand, words.join(" "));
            format!("{by_hand}put it into the initramfs: overlayroot_mkfs=\"{words}\" in /etc/dracut.conf.d")
        }
        "no-room" => "free space, or set a smaller size=".to_owned(),
        "casefold" => "a kernel from 6.17 on with CONFIG_UNICODE, or a file system without it: tune2fs -O ^casefold, unmounted, where no \
                       directory folds"
            .to_owned(),
        "no-overlayfs" => "install the kernel's overlay module".to_owned(),
        "mistakes" => "correct them".to_owned(),
        "populate" => "see rd.overlay.populate in overlayroot-rs(7)".to_owned(),
        "path-store" => format!("name a device: {}=LABEL=NAME", keys::PATH_DEV.name),
        "path-hidden" => "remove the line from fstab, or name another path".to_owned(),
        "path-place" | "path-lower" => format!("see {} in overlayroot-rs(7)", keys::PATH.name),
        "hostname" => "correct the name; if only the initramfs knows the value, see the next boot's record".to_owned(),
        _ => format!("see rd.overlay in overlayroot-rs(7); the fallback is {}", config.fallback.value.word()),
    }
}

/// Lines of fstab that work against the overlay.
fn table(config: &Config, facts: &Facts, host: &Host, found: &mut Vec<Finding>) {
    let entries = facts.root.as_ref().map(|root| fstab::parse(&root.fstab)).unwrap_or_default();
    let upper = match &facts.device {
        Some(Lookup::Found(device)) => device.file_system(),
        _ => FileSystem::default(),
    };
    let before = found.len();
    for entry in &entries {
        let Upper::Device(asked) = &config.upper.value else { break };
        if entry.what.replace('"', "") == asked.to_string() || host.names(&entry.what, &upper) {
            let text = format!("fstab mounts the upper's own file system on {}, too", entry.at);
            found.push(
                finding("fstab", Grade::Warning, text, "remove the line: writes there change the upper in use")
                    .in_root(),
            );
        }
    }
    for entry in entries.iter().filter(|entry| entry.at == "/" && matches!(entry.fstype.as_str(), "overlay" | "aufs")) {
        let text = format!("fstab has a line that mounts {} on /", entry.fstype);
        found.push(finding("fstab", Grade::Warning, text, "remove the line; rd.overlay does this").in_root());
    }
    if found.len() == before {
        found.push(finding("fstab", Grade::Ok, "no conflicting fstab entries", ""));
    }
}

fn fingerprint(config: &Config, host: &Host, found: &mut Vec<Finding>) {
    let Some((was, now)) = &host.upper else {
        return;
    };
    let differs = stale::differences(was, now);
    if differs.is_empty() {
        return found.push(finding("stale", Grade::Ok, "the upper matches the current lower", ""));
    }
    let policy = config.stale.value;
    let grade = if policy == stale::Policy::Keep { Grade::Note } else { Grade::Warning };
    let (key, word, differs) = (keys::STALE.name, policy.word(), differs.join(", "));
    let text = format!("the upper does not match the current lower ({differs}); {key} is {word}");
    found.push(finding(
        "stale",
        grade,
        text,
        "see overlayctl stale; then overlayctl stale accept, or overlayctl reset --keep",
    ));
}

fn others(host: &Host, found: &mut Vec<Finding>) {
    for other in &host.others {
        found.push(finding("others", Grade::Warning, other.clone(), "remove one of the two").in_root());
    }
    if host.others.is_empty() {
        found.push(finding("others", Grade::Ok, "no other overlay tool found", ""));
    }
}

#[cfg(test)]
mod tests;
