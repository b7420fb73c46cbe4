// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a kernel and its initramfs have what the configuration needs.

use crate::doctor::loader::Loader;
use crate::doctor::{Finding, Grade, Host, KernelImage, finding};
use crate::loader::raspi;
use overlayroot_core::config::Config;
use overlayroot_core::facts::Facts;
use overlayroot_core::facts::device::Lookup;
use overlayroot_core::facts::place::PlaceKind;
use overlayroot_core::upper::Upper;

const MAKE: &str = "rebuild it: dracut --force --kver";

/// The images that this machine may boot.
pub(crate) fn all(config: &Config, facts: &Facts, host: &Host, found: &mut Vec<Finding>) {
    if let (Some(why), None) = (&host.lacking_module, &host.next_image) {
        let text = format!("{why}: the next boot makes no overlay");
        found.push(finding("initramfs", Grade::Problem, text, "have the boot loader load the one that dracut made"));
    }
    let raspi = host.loader.as_ref().is_some_and(Loader::is_raspi_firmware);
    for kernel in &host.kernels {
        let before = found.len();
        examine(config, facts, kernel, found);
        crate::doctor::populate::image(config, kernel, found);
        let other = host.next_image.is_some() && kernel.image != host.next_image;
        for finding in found.iter_mut().skip(before) {
            // What another kernel's image lacks does not stop the next boot.
            if other && finding.grade == Grade::Problem {
                finding.grade = Grade::Warning;
            }
            // dracut writes it to /boot, which this boot loader does not read.
            if raspi && finding.todo.contains("dracut --force") {
                finding.todo.push_str(&format!(", then {}", raspi::RUN));
            }
        }
    }
}

/// One kernel, in one finding where all is well.
fn examine(config: &Config, facts: &Facts, kernel: &KernelImage, found: &mut Vec<Finding>) {
    let release = &kernel.release;
    let before = found.len();
    for module in modules(config, facts) {
        if kernel.has.as_ref().is_some_and(|has| !has.contains(&module)) {
            let text = format!("kernel {release} has no module {module}");
            found.push(finding("kernel", Grade::Problem, text, "install the rest of its modules"));
        }
    }
    let make = format!("{MAKE} {release}");
    let Some(image) = &kernel.image else {
        let text = format!("no initramfs of kernel {release} found");
        return found.push(finding("initramfs", Grade::Note, text, ""));
    };
    if !kernel.newer.is_empty() {
        let text = format!("{image} is older than {}", kernel.newer.join(", "));
        found.push(finding("initramfs", Grade::Warning, text, make.clone()));
    }
    let files = match &kernel.files {
        Err(why) => {
            let text = format!("{image} can't be listed ({why}): cannot check whether it has the module");
            return found.push(finding("initramfs", Grade::Note, text, ""));
        }
        Ok(files) => files,
    };
    if !files.iter().any(|name| name == "overlay-assemble") {
        let text = format!("{image} lacks the dracut module overlayroot-rs: the next boot makes no overlay");
        let todo = format!(
            "dracut --force --add overlayroot-rs --kver {release}; for every kernel: overlayctl enable --rebuild"
        );
        return found.push(finding("initramfs", Grade::Problem, text, todo));
    }
    // Where its modules can't be listed, nobody knows what is built in.
    for module in modules(config, facts).into_iter().filter(|_| kernel.has.is_some()) {
        if !kernel.builtin.contains(&module) && !files.iter().any(|name| is_module(name, &module)) {
            let text = format!("{image} lacks the kernel module {module}");
            found.push(finding("initramfs", Grade::Problem, text, make.clone()));
        }
    }
    for program in programs(config, facts).into_iter().filter(|program| !files.contains(program)) {
        let text = format!("{image} lacks {program}, which creates or grows the upper");
        let by_hand = if matches!(config.upper.value, Upper::Loop(_)) { "overlayctl loop create, or " } else { "" };
        let todo = format!("{by_hand}have rd.overlay in /etc/overlayroot-rs.conf and {make}");
        found.push(finding("initramfs", Grade::Problem, text, todo));
    }
    if found.len() == before {
        found.push(finding("initramfs", Grade::Ok, format!("{image} has everything needed"), ""));
    }
}

/// Kernel modules that the upper, and what keeps single paths, need in the initramfs.
fn modules(config: &Config, facts: &Facts) -> Vec<String> {
    let mut needed = vec!["overlay".to_owned()];
    let fstype = match (&config.upper.value, &facts.device, &facts.place) {
        (Upper::Device(_), Some(Lookup::Found(device)), _) => device.fstype.as_str(),
        (Upper::Loop(_), _, Some(place)) if place.kind == PlaceKind::File => place.fstype.as_str(),
        (Upper::Loop(file), ..) => file.fs.word(),
        (Upper::Part(part), ..) => part.fs.word(),
        _ => "",
    };
    let stores = facts.stores.values().filter_map(|store| match store {
        Lookup::Found(device) => Some(device.fstype.as_str()),
        Lookup::Missing { .. }
        | Lookup::Locked { .. }
        | Lookup::Ambiguous(_)
        | Lookup::NotBlock(_)
        | Lookup::Incomplete { .. } => None,
    });
    for fstype in std::iter::once(fstype).chain(stores) {
        // ext4 takes the older two.
        let fstype = if matches!(fstype, "ext2" | "ext3") { "ext4" } else { fstype };
        let known = matches!(fstype, "ext4" | "xfs" | "btrfs" | "f2fs");
        if known && !needed.iter().any(|module| module == fstype) {
            needed.push(fstype.to_owned());
        }
    }
    let root = facts.root.as_ref().map_or("", |root| root.fstype.as_str());
    match &config.upper.value {
        Upper::Loop(_) => needed.push("loop".to_owned()),
        Upper::Dir(dir) if dir.size.is_some() && root == "ext4" => needed.push("quota_v2".to_owned()),
        Upper::Off
        | Upper::Tmpfs(_)
        | Upper::Device(_)
        | Upper::Dir(_)
        | Upper::Part(_)
        | Upper::Subvol(_)
        | Upper::Crypt(_) => {}
    }
    needed
}

/// The programs that make or enlarge the upper.
fn programs(config: &Config, facts: &Facts) -> Vec<String> {
    match (&config.upper.value, &facts.place, &facts.disk) {
        (Upper::Loop(file), Some(place), _) if place.kind == PlaceKind::Missing => {
            vec![format!("mkfs.{}", file.fs.word())]
        }
        (Upper::Part(part), _, Some(disk)) => {
            let made = !disk.named(&part.label).is_empty();
            let table = (!made || part.grow).then(|| "sfdisk".to_owned());
            table.into_iter().chain((!made).then(|| format!("mkfs.{}", part.fs.word()))).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether a file name is that of a module, compressed or not.
pub fn is_module(file: &str, module: &str) -> bool {
    let stem = file.split_once(".ko").map(|(stem, _)| stem.replace('-', "_"));
    stem.as_deref() == Some(module)
}

#[cfg(test)]
mod tests;
