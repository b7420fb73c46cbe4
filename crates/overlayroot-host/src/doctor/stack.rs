// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether the initramfs opens what the upper lies on. The running system has every logical volume and every encrypted
//! one open; the initramfs opens those that its command line names, and where it names none, all that it can.

use crate::doctor::{Finding, Grade, Host, finding};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::facts::Facts;
use overlayroot_core::facts::device::{Device, Lookup};
use overlayroot_core::keys;
use overlayroot_core::parse::cmdline::{Arg, Source, lex};
use overlayroot_core::value::diagnostics::escape;

/// What a block device can be, that somebody must open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layer {
    /// A logical volume of LVM.
    Volume {
        /// Its volume group.
        group: String,
        /// Its name there.
        name: String,
    },
    /// A LUKS volume.
    Luks {
        /// Its UUID, without hyphens.
        uuid: String,
        /// The name of its mapping.
        name: String,
    },
}

impl Layer {
    /// By what device mapper says of it (`dm/uuid` and `dm/name` in sysfs).
    pub fn of(uuid: &str, name: &str) -> Option<Self> {
        // What LVM makes for itself has something behind the two UUIDs.
        if uuid.strip_prefix("LVM-").is_some_and(|ids| ids.len() == 64 && !ids.contains('-')) {
            let (group, name) = volume(name)?;
            return Some(Self::Volume { group, name });
        }
        let luks = ["CRYPT-LUKS1-", "CRYPT-LUKS2-"].iter().find_map(|kind| uuid.strip_prefix(kind))?;
        let uuid = luks.get(..32)?.to_ascii_lowercase();
        Some(Self::Luks { uuid, name: name.to_owned() })
    }

    fn says(&self) -> String {
        match self {
            Self::Volume { group, name } => format!("the logical volume {}", escape(&format!("{group}/{name}"))),
            Self::Luks { name, .. } => format!("the encrypted volume {}", escape(name)),
        }
    }
}

/// A hyphen in a name is two, between the names it is one.
fn volume(name: &str) -> Option<(String, String)> {
    let mut group = String::new();
    let mut rest = name;
    loop {
        let (before, after) = rest.split_once('-')?;
        group.push_str(before);
        match after.strip_prefix('-') {
            Some(after) => {
                group.push('-');
                rest = after;
            }
            None => return Some((group, after.replace("--", "-"))),
        }
    }
}

/// Judges the upper's device, and those that keep single paths.
pub(crate) fn examine(inputs: &Inputs, config: &Config, facts: &Facts, host: &Host, found: &mut Vec<Finding>) {
    let line = lex(&inputs.cmdline);
    // systemd looks at no other line, dracut's module lvm at those in the image, too.
    let kernels: Vec<Source> = inputs.cmdline.iter().filter(|source| source.kernels).cloned().collect();
    let kernels = lex(&kernels);
    let root = facts.root.as_ref().map(|root| layers(host, &root.devno, &root.devices)).unwrap_or_default();
    let what = config.upper.value.device().map(|asked| escape(&asked.to_string())).unwrap_or_default();
    let upper = facts.device.as_ref().and_then(Lookup::found).map(|device| (what, device));
    let stores = facts.stores.iter().filter_map(|(words, store)| Some((escape(words), store.found()?)));
    let mut all: Vec<(String, &Device)> = Vec::new();
    for (what, device) in upper.into_iter().chain(stores) {
        if !all.iter().any(|(_, other)| other.devno == device.devno) {
            all.push((what, device));
        }
    }
    for (what, device) in all {
        // What the root lies on is opened anyway.
        let layers = layers(host, &device.devno, &device.devices);
        for layer in layers.into_iter().filter(|layer| !root.contains(layer)) {
            let line = if matches!(layer, Layer::Luks { .. }) { &kernels } else { &line };
            closed(&what, layer, line, found);
            lacking(&what, layer, host, found);
        }
    }
}

fn layers<'a>(host: &'a Host, devno: &str, devices: &[String]) -> Vec<&'a Layer> {
    let all = devices.iter().map(String::as_str).chain([devno]).filter_map(|number| host.stacks.get(number));
    all.flatten().collect()
}

/// The arguments that limit what is opened (dracut.cmdline(7), systemd-cryptsetup-generator(8)).
fn closed(what: &str, layer: &Layer, line: &[Arg], found: &mut Vec<Finding>) {
    let (switches, names): (&[&str], &[&str]) = match layer {
        Layer::Volume { .. } => (&["rd.lvm"], &["rd.lvm.lv", "rd.lvm.vg"]),
        Layer::Luks { .. } => (&["rd.luks", "luks"], &["rd.luks.uuid", "luks.uuid", "rd.luks.name", "luks.name"]),
    };
    let given = |keys: &[&str]| -> Vec<String> {
        line.iter().filter(|arg| keys.iter().any(|key| key.as_bytes() == arg.key)).map(Arg::text).collect()
    };
    let off: Vec<String> = given(switches).pop().into_iter().filter(|arg| !is_on(arg)).collect();
    let named = given(names);
    if off.is_empty() && (named.is_empty() || named.iter().any(|arg| names_it(arg, layer))) {
        return;
    }
    let todo = match layer {
        Layer::Volume { group, name } => format!("rd.lvm.lv={group}/{name}"),
        Layer::Luks { uuid, .. } => format!("rd.luks.uuid={}", hyphened(uuid)),
    };
    let limits = if off.is_empty() { named } else { off };
    let text = format!(
        "{what} lies on {}, and the command line has {}, so the initramfs opens no other: it will not be found",
        layer.says(),
        escape(&limits.join(" "))
    );
    found.push(finding("device", Grade::Problem, text, format!("add {todo} to the kernel command line")));
}

fn is_on(arg: &str) -> bool {
    keys::parse_bool(arg.split_once('=').map(|(_, value)| value))
}

/// Whether an argument is for this volume. A UUID may be given in part.
fn names_it(arg: &str, layer: &Layer) -> bool {
    let (key, value) = arg.split_once('=').unwrap_or((arg, ""));
    match layer {
        Layer::Volume { group, name } if key == "rd.lvm.lv" => value == format!("{group}/{name}"),
        Layer::Volume { group, .. } => value == group,
        Layer::Luks { uuid, .. } => {
            let id = value.split('=').next().unwrap_or_default();
            let id = id.trim_start_matches("luks-").replace('-', "").to_ascii_lowercase();
            !id.is_empty() && uuid.starts_with(&id)
        }
    }
}

/// A UUID as it is written.
fn hyphened(uuid: &str) -> String {
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| uuid.get(part).unwrap_or_default().to_owned());
    parts.join("-")
}

/// The programs that open it, of which dracut takes along what the root needs.
fn lacking(what: &str, layer: &Layer, host: &Host, found: &mut Vec<Finding>) {
    let programs: &[&str] = match layer {
        Layer::Volume { .. } => &["lvm"],
        Layer::Luks { .. } => &["systemd-cryptsetup", "cryptsetup"],
    };
    let image = host.kernels.iter().find(|kernel| kernel.image.is_some() && kernel.image == host.next_image);
    let Some((image, Ok(files))) = image.map(|kernel| (kernel.image.clone().unwrap_or_default(), &kernel.files)) else {
        return;
    };
    if !programs.iter().any(|program| files.iter().any(|file| file == program)) {
        let (program, device) = (programs.first().unwrap_or(&""), escape(what));
        let who = layer.says();
        let text = format!("{what} lies on {who}, and {image} lacks {program}, which opens it: it will not be found");
        let todo = format!("with it attached: dracut --force --add-device {device}");
        found.push(finding("device", Grade::Problem, text, todo));
    }
}

#[cfg(test)]
mod tests;
