// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the boot loader is in step with what is asked for: the next boot's arguments against this boot's, one
//! kernel's against another's, and what is configured against what was made of it.

use crate::doctor::{Finding, Grade, Host, finding};
use crate::loader::boot_loader::Copier;
use crate::loader::entry::Entry;
use crate::loader::state::State;
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::parse::cmdline::{Source, lex};
use overlayroot_core::upper::Upper;
use overlayroot_core::value::field::Origin;

/// What the host tells of it.
#[derive(Debug, Clone)]
pub struct Loader {
    /// The boot loader's files, or why they are not known.
    pub state: Result<State, String>,
    /// Our arguments on the running kernel's own command line.
    pub running: Vec<String>,
    /// Every initramfs of this host gets the module.
    pub module: bool,
    /// A hook of raspi-firmware is here that runs in the overlay, too.
    pub hook_in_overlay: bool,
}

impl Loader {
    /// What copies an image to where it reads.
    pub fn copier(&self) -> Option<Copier> {
        self.state.as_ref().ok().and_then(|state| state.kind.loader().copier())
    }
}

const CHECK: &str = "loader";

/// A root that no boot finds.
pub(crate) fn root(host: &Host, found: &mut Vec<Finding>) {
    if let Some(root) = &host.lost_root {
        let text =
            format!("{root} is the overlay, no device: the next boot finds no root and ends in the emergency shell");
        found.push(finding("root-argument", Grade::Problem, text, "put the real root there: lsblk -o NAME,LABEL,UUID"));
    }
}

/// One finding where all is well.
pub(crate) fn examine(inputs: &Inputs, config: &Config, loader: &Loader, found: &mut Vec<Finding>) {
    // The files of the configuration are heard at every boot, whatever the boot loader says.
    let files = Config::read(&Inputs { conf: inputs.conf.clone(), ubuntu: inputs.ubuntu.clone(), cmdline: Vec::new() });
    let in_files = !matches!(files.upper.value, Upper::Off) && files.upper.origin != Origin::Default;
    if far_root(&inputs.cmdline).is_some() {
        let text = "the root comes over the network, or is an image: its boot loader's files are not on this system";
        return found.push(finding(CHECK, Grade::Note, text, ""));
    }
    let state = match &loader.state {
        Ok(state) if !state.entries.is_empty() => state,
        Ok(state) => {
            let text = format!("{}: no kernel entry found", state.kind.says());
            return found.push(finding(CHECK, Grade::Note, text, ""));
        }
        Err(why) if asked(config) && !in_files => {
            let text = "unsupported boot loader; cannot check the next boot";
            let todo = if why.is_empty() { "" } else { "see overlayctl enable --dry-run" };
            return found.push(finding(CHECK, Grade::Note, text, todo));
        }
        Err(_) => return,
    };
    let before = found.len();
    not_made(state, found);
    some_only(state, found);
    next_boot(state, loader, in_files, found);
    if asked(config) && loader.hook_in_overlay {
        let also = if state.kind.loader().writes_running_root() { " and root=LiveOS_rootfs" } else { "" };
        let text = format!(
            "raspi-firmware's hook, run in the overlay, gives the next boot a kernel whose modules the lower lacks{also}: \
             it fails"
        );
        found.push(finding(CHECK, Grade::Warning, text, enable(&chosen(state).ours())));
    }
    if found.len() == before {
        let has = words(&chosen(state).ours());
        let text = format!("{} of {}: {has}", entries(state.entries.len()), state.kind.says());
        found.push(finding(CHECK, Grade::Ok, text, ""));
    }
}

/// A root that was given by a server, or an image: what lies in its /boot is what it was made from. The argument that
/// says so.
pub fn far_root(cmdline: &[Source]) -> Option<String> {
    const FAR: [&[u8]; 6] = [b"live:", b"nfs", b"nbd", b"iscsi", b"dhcp", b"/dev/nfs"];
    let args = lex(cmdline);
    let root = args.iter().rfind(|arg| arg.key == b"root")?;
    let far = root.value.as_deref().is_some_and(|root| FAR.iter().any(|far| root.starts_with(far)));
    far.then(|| overlayroot_core::value::redact::told_in(&root.text()))
}

fn asked(config: &Config) -> bool {
    !matches!(config.upper.value, Upper::Off)
}

fn entries(count: usize) -> String {
    if count == 1 { "the entry".to_owned() } else { format!("{count} entries") }
}

/// The entry that boots if nobody chooses, or else the last, which by its name is the newest.
fn chosen(state: &State) -> Entry {
    let at = state.default.unwrap_or(state.entries.len().saturating_sub(1));
    state.entries.get(at).cloned().unwrap_or_default()
}

fn words(args: &[String]) -> String {
    if args.is_empty() { "no rd.overlay argument".to_owned() } else { args.join(" ") }
}

/// A command for the shell.
fn enable(args: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:=,@+-%".contains(c);
    let word = |arg: &String| match (arg.chars().all(plain), arg.split_once('=')) {
        (true, _) => arg.clone(),
        (false, Some((key, value))) if value.contains(' ') => format!("'{key}=\"{value}\"'"),
        (false, _) => format!("'{arg}'"),
    };
    match args.is_empty() {
        true => "overlayctl enable".to_owned(),
        false => format!("overlayctl enable {}", args.iter().map(word).collect::<Vec<_>>().join(" ")),
    }
}

/// Configured, but not in what the boot loader reads; or for the kernels to come only.
fn not_made(state: &State, found: &mut Vec<Finding>) {
    let Some((file, configured)) = &state.source else {
        return;
    };
    let now = chosen(state).ours();
    if now == *configured {
        return;
    }
    let loader = state.kind.loader();
    let text = loader.differs(file, &words(configured), &words(&now));
    let kept = if now.is_empty() { configured } else { &now };
    let todo = loader.remakes().map_or_else(|| enable(kept), str::to_owned);
    found.push(finding(CHECK, Grade::Warning, text, todo));
}

/// Some kernels have the arguments, others boot without or with others. Of several entries of one kernel (recovery
/// mode) the first counts.
fn some_only(state: &State, found: &mut Vec<Finding>) {
    let mut kernels: Vec<&Entry> = Vec::new();
    for entry in &state.entries {
        if kernels.iter().all(|seen| seen.name != entry.name) {
            kernels.push(entry);
        }
    }
    let want = chosen(state).ours();
    let want = match want.is_empty() {
        false => want,
        true => kernels.iter().map(|entry| entry.ours()).find(|ours| !ours.is_empty()).unwrap_or_default(),
    };
    let differ: Vec<&&Entry> = kernels.iter().filter(|entry| entry.ours() != want).collect();
    if differ.is_empty() {
        return;
    }
    let told: Vec<String> = differ.iter().map(|entry| format!("{}: {}", entry.name, words(&entry.ours()))).collect();
    let text = format!("not every kernel boots with {} ({})", words(&want), told.join("; "));
    found.push(finding(CHECK, Grade::Warning, text, enable(&want)));
}

/// This boot against the next.
fn next_boot(state: &State, loader: &Loader, in_files: bool, found: &mut Vec<Finding>) {
    let next = chosen(state);
    let (now, then) = (&loader.running, next.ours());
    if *now == then {
        if then.is_empty() && loader.module && !in_files {
            let text = "the module goes into every initramfs, and nothing asks for an overlay: the root stays plain";
            found.push(finding(CHECK, Grade::Note, text, enable(&[])));
        }
        return;
    }
    let text = format!("this boot has {}, the next one ({}) gets {}", words(now), next.name, words(&then));
    match then.is_empty() && !in_files {
        // Asked for now, and gone after the next reboot: an argument given by hand in the menu.
        true => found.push(finding(CHECK, Grade::Warning, text, format!("to keep it: {}", enable(now)))),
        false => found.push(finding(CHECK, Grade::Note, text, "")),
    }
}

#[cfg(test)]
mod tests;
