// SPDX-License-Identifier: GPL-2.0-or-later
//! Why what was asked for will not be done, known before anything is done.

use crate::facts::device::{Device, GaveUp, Lookup};
use crate::facts::file_system::Alike;
use crate::facts::{Facts, Root};
use crate::keys;
use crate::value::device;
use crate::value::diagnostics::{Issue, escape};
use std::fmt;

/// File systems that can hold an upper, and can be looked at without writing: trusted xattrs,
/// d_type and rename with whiteout (kernel: filesystems/overlayfs.rst).
pub const UPPER_FILE_SYSTEMS: [&str; 6] = ["ext4", "xfs", "btrfs", "f2fs", "ext3", "ext2"];

/// A reason known before the first step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable word for scripts.
    pub code: &'static str,
    /// One line for a person.
    pub text: String,
    /// Another party makes the root an overlay: leave everything alone, whatever the fallback.
    pub stand_aside: bool,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

pub(crate) fn refuse<T>(code: &'static str, text: String) -> Result<T, Refusal> {
    let stand_aside = false;
    Err(Refusal { code, text, stand_aside })
}

/// Mistakes in the configuration, under a policy that takes none.
pub fn mistakes(issues: &[Issue]) -> Refusal {
    let first = issues.first().map(ToString::to_string).unwrap_or_default();
    let more = match issues.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    Refusal { code: "mistakes", text: format!("the configuration has mistakes: {first}{more}"), stand_aside: false }
}

/// A crypt upper was asked for.
pub fn crypt(spec: &str) -> Refusal {
    let spec = escape(spec);
    let key = keys::CRYPT.name;
    Refusal {
        code: "crypt",
        text: format!("an encrypted upper ('{spec}', {key} or overlayroot=crypt:) is not supported in this version"),
        stand_aside: false,
    }
}

/// Rivals, and a kernel without overlayfs.
pub fn machine(facts: &Facts) -> Result<(), Refusal> {
    if let Some(rival) = facts.rivals.first() {
        return Err(Refusal {
            code: "rival",
            text: format!("{} already makes the root an overlay ({}), left alone", rival.name, rival.evidence),
            stand_aside: true,
        });
    }
    if !facts.kernel.overlay {
        let text = format!("kernel {} has no overlayfs: its module is not in the initramfs", facts.kernel.release);
        return refuse("no-overlayfs", text);
    }
    Ok(())
}

/// A root that no overlay can have as its lower.
pub fn lower(facts: &Facts, root: &Root) -> Result<(), Refusal> {
    folds(root.casefold, facts, &format!("the root ({})", root.source))
}

/// A layer whose file system can fold the case of names, if it does, where the kernel takes none.
pub fn folds(casefold: bool, facts: &Facts, what: &str) -> Result<(), Refusal> {
    unreadable(casefold, facts, what)?;
    if casefold && !facts.kernel.takes_casefold() {
        let release = &facts.kernel.release;
        let text =
            format!("{what} has the feature casefold: overlayfs refuses it before Linux 6.17, this is {release}");
        return refuse("casefold", text);
    }
    Ok(())
}

/// The same for any file system: some kernels can't even mount it.
fn unreadable(casefold: bool, facts: &Facts, what: &str) -> Result<(), Refusal> {
    if casefold && facts.kernel.no_unicode {
        let text = format!("{what} has the feature casefold: this kernel, without CONFIG_UNICODE, does not mount it");
        return refuse("casefold", text);
    }
    Ok(())
}

/// The device, if it is there and can be used.
pub fn device<'a>(asked: &device::Device, facts: &'a Facts, readonly: bool) -> Result<&'a Device, Refusal> {
    let device = found(asked, facts.device.as_ref(), facts)?;
    if device.read_only && !readonly {
        let (asked, hint) = (escape(&asked.to_string()), keys::READONLY.name);
        return refuse("device-read-only", format!("{asked} ({}) is read-only; {hint} allows it", device.path));
    }
    Ok(device)
}

/// The same for one that is to be a layer itself, and not to hold a file that is.
pub fn layer<'a>(asked: &device::Device, facts: &'a Facts, readonly: bool) -> Result<&'a Device, Refusal> {
    let device = device(asked, facts, readonly)?;
    folds(device.casefold, facts, &format!("{} ({})", escape(&asked.to_string()), device.path))?;
    Ok(device)
}

/// The device of a search, if there is one and it has a file system that can be used and is not the root's.
///
/// # Errors
/// Why not.
pub fn found<'a>(asked: &device::Device, lookup: Option<&'a Lookup>, facts: &Facts) -> Result<&'a Device, Refusal> {
    let asked = escape(&asked.to_string());
    let device = match lookup {
        Some(Lookup::Found(device)) => device,
        Some(Lookup::Ambiguous(paths)) => {
            return refuse("device-ambiguous", format!("{asked} is on several devices: {}", paths.join(", ")));
        }
        Some(Lookup::NotBlock(path)) => {
            return refuse("not-a-block-device", format!("{asked}: {path} is not a block device"));
        }
        Some(Lookup::Incomplete { nodes, of, waited_ms }) => {
            let (is, within) = (if nodes.len() == 1 { "is" } else { "are" }, seconds(*waited_ms));
            let (here, nodes) = (nodes.len(), nodes.join(", "));
            let text =
                format!("{asked} is a btrfs of {of} devices, of which {here} {is} found after {within}: {nodes}");
            return refuse("device-incomplete", text);
        }
        Some(Lookup::Missing { waited_ms, closed }) => {
            return refuse("device-missing", missing(&asked, *waited_ms, closed));
        }
        Some(Lookup::Locked { by, .. }) => return refuse("luks-locked", locked(&asked, by)),
        None => return refuse("device-missing", missing(&asked, 0, &[])),
    };
    usable(&asked, device, facts)?;
    Ok(device)
}

fn missing(asked: &str, waited_ms: u64, closed: &[String]) -> String {
    // The host looks once, and so does a boot without a timeout.
    let missing = match waited_ms / 100 {
        0 => format!("{asked} not found"),
        _ => format!("{asked} not found (waited {})", seconds(waited_ms)),
    };
    match closed {
        [] => missing,
        [one] => format!("{missing}; {one} is an encrypted volume that is not open, it may be in there"),
        [..] => format!("{missing}; it may be in an encrypted volume that is not open: {}", closed.join(", ")),
    }
}

fn locked(asked: &str, by: &GaveUp) -> String {
    match by {
        GaveUp::Unit(unit) => format!(
            "{asked} is locked: {unit} failed, so nothing opens it in this boot. See journalctl -b -u '{unit}'; \
             correct its key file in the initramfs, or reboot to be asked again"
        ),
        GaveUp::Dracut => format!(
            "{asked} is locked: dracut could not open it with the key or passphrase it got, and asks once a boot. \
             Correct the key file in the initramfs, or reboot to be asked again"
        ),
    }
}

fn seconds(ms: u64) -> String {
    format!("{}.{} s", ms / 1000, ms % 1000 / 100)
}

/// Who has the device.
fn taken(device: &Device, root: Option<&Root>) -> Option<String> {
    let alike = root.and_then(|root| root.file_system().alike(&device.file_system()));
    let at = device.mounted_at.join(", ");
    match (alike, at.is_empty()) {
        (Some(Alike::Same), true) => return Some("is the root's own".to_owned()),
        (Some(Alike::Same), false) => return Some(format!("is already mounted on {at}: it is the root's own")),
        (Some(Alike::Uuid) | None, false) => return Some(format!("is already mounted on {at}")),
        (Some(Alike::Uuid) | None, true) => {}
    }
    if !device.held_by.is_empty() {
        return Some(format!("is in use by {}", device.held_by.join(", ")));
    }
    let twin = match (device.twin_at.is_empty(), alike) {
        (false, _) => format!("what is mounted on {}", device.twin_at.join(", ")),
        (true, Some(Alike::Uuid)) => "the root".to_owned(),
        (true, Some(Alike::Same) | None) => return None,
    };
    Some(format!("has the UUID of {twin}: the same file system, or a copy of it"))
}

fn usable(asked: &str, device: &Device, facts: &Facts) -> Result<(), Refusal> {
    let name = format!("{asked} ({})", device.path);
    if let Some(by) = taken(device, facts.root.as_ref()) {
        return refuse("device-in-use", format!("{name} {by}"));
    }
    match device.fstype.as_str() {
        "" => refuse("no-file-system", format!("{name} has no known file system")),
        fstype if UPPER_FILE_SYSTEMS.contains(&fstype) => unreadable(device.casefold, facts, &name),
        fstype => refuse(
            "foreign-file-system",
            format!("{name} holds {fstype}, which can't hold an upper ({})", UPPER_FILE_SYSTEMS.join(", ")),
        ),
    }
}
