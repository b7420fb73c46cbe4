// SPDX-License-Identifier: GPL-2.0-or-later
//! Whether a kernel and its initramfs have what the configuration needs.

use crate::doctor::loader::Loader;
use crate::doctor::{Finding, Grade, Host, KernelImage, finding};
use overlayroot_core::config::Config;
use overlayroot_core::facts::Facts;
use overlayroot_core::facts::device::Lookup;
use overlayroot_core::upper::needs::Needs;

const MAKE: &str = "rebuild it: dracut --force --kver";

/// The images that this machine may boot.
pub(crate) fn all(config: &Config, facts: &Facts, host: &Host, found: &mut Vec<Finding>) {
    if let (Some(why), None) = (&host.lacking_module, &host.next_image) {
        let text = format!("{why}: the next boot makes no overlay");
        found.push(finding("initramfs", Grade::Problem, text, "have the boot loader load the one that dracut made"));
    }
    let copier = host.loader.as_ref().and_then(Loader::copier);
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
            if let Some(copier) = copier.filter(|_| finding.todo.contains("dracut --force")) {
                finding.todo.push_str(&format!(", then {}", copier.command));
            }
        }
    }
}

/// One kernel, in one finding where all is well.
fn examine(config: &Config, facts: &Facts, kernel: &KernelImage, found: &mut Vec<Finding>) {
    let release = &kernel.release;
    let before = found.len();
    let needs = config.upper.value.needs(Some(facts));
    for module in modules(&needs, facts) {
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
    for module in modules(&needs, facts).into_iter().filter(|_| kernel.has.is_some()) {
        if !kernel.builtin.contains(&module) && !files.iter().any(|name| is_module(name, &module)) {
            let text = format!("{image} lacks the kernel module {module}");
            found.push(finding("initramfs", Grade::Problem, text, make.clone()));
        }
    }
    for program in needs.programs.iter().filter(|program| !files.contains(*program)) {
        let text = format!("{image} lacks {program}, which creates or grows the upper");
        let todo = format!("{}have rd.overlay in /etc/overlayroot-rs.conf and {make}", needs.by_hand);
        found.push(finding("initramfs", Grade::Problem, text, todo));
    }
    if found.len() == before {
        found.push(finding("initramfs", Grade::Ok, format!("{image} has everything needed"), ""));
    }
}

/// Kernel modules that the upper, and what keeps single paths, need in the initramfs.
fn modules(needs: &Needs, facts: &Facts) -> Vec<String> {
    let mut needed = vec!["overlay".to_owned()];
    let stores = facts.stores.values().filter_map(Lookup::found).map(|device| device.fstype.as_str());
    for fstype in needs.file_system.as_deref().into_iter().chain(stores) {
        // ext4 takes the older two.
        let fstype = if matches!(fstype, "ext2" | "ext3") { "ext4" } else { fstype };
        let known = matches!(fstype, "ext4" | "xfs" | "btrfs" | "f2fs");
        if known && !needed.iter().any(|module| module == fstype) {
            needed.push(fstype.to_owned());
        }
    }
    needed.extend(needs.modules.iter().cloned());
    needed
}

/// Whether a file name is that of a module, compressed or not.
pub fn is_module(file: &str, module: &str) -> bool {
    let stem = file.split_once(".ko").map(|(stem, _)| stem.replace('-', "_"));
    stem.as_deref() == Some(module)
}

#[cfg(test)]
mod tests;
