// SPDX-License-Identifier: GPL-2.0-or-later
//! What of the running system meets the overlay: kernels that are installed in it, cloud-init.

use crate::doctor::{Finding, Grade, Host, finding};
use overlayroot_core::config::{Config, Inputs};
use overlayroot_core::layout::Names;
use overlayroot_core::upper::Upper;

/// Where kernels and images go that are made now. `far`: the root is a server's.
pub(crate) fn boot(config: &Config, host: &Host, far: bool, found: &mut Vec<Finding>) {
    let todo = if far { "update the root on its server" } else { "update kernels in a boot with rd.overlay=0" };
    if let Some(place) = &host.boot_apart {
        let upper = &config.upper.value;
        let lost = match *upper == Upper::Off {
            true => "the next boot, of the plain root, lacks them",
            false if upper.is_in_ram() || config.readonly.value => "they will be lost at reboot",
            false => "a boot without it lacks them",
        };
        let text = format!(
            "{place} is outside the overlay: a kernel installed now boots next, but its modules go to the upper, and \
             {lost}"
        );
        found.push(finding("boot", Grade::Warning, text, todo));
    } else if host.boot_in_overlay {
        let text =
            "/boot is in the overlay: kernels and images made now go to the upper; the boot loader would not see them";
        found.push(finding("boot", Grade::Note, text, todo));
    }
}

/// cloud-init enlarges the file system of `/` at every boot, and looks for its device (cloudinit/config/cc_resizefs.py).
/// Only one source it knows to have none: `overlayroot`, Ubuntu's.
pub(crate) fn cloud_init(inputs: &Inputs, config: &Config, host: &Host, found: &mut Vec<Finding>) {
    let said = |what: &str| inputs.cmdline.iter().any(|line| String::from_utf8_lossy(&line.text).contains(what));
    if !host.cloud_resizes || matches!(config.names, Names::Ubuntu { .. }) {
        return;
    }
    // Both are read by cloud-init itself, and what they say in whole is its own matter.
    if said("cloud-init=disabled") || said("resize_rootfs") {
        return;
    }
    let text = "cloud-init will warn at every boot and end 'degraded': its module resizefs needs the device of /, \
                and an overlay has none";
    let todo = "resize_rootfs: false in /etc/cloud/cloud.cfg.d/99-overlay.cfg, once the root has its size";
    found.push(finding("cloud-init", Grade::Warning, text, todo).in_root());
}

/// Whether cloud-init's module resizefs is to run, by its configuration files in the order in which they count.
pub fn cloud_resizes(files: &[String]) -> bool {
    let lines = || files.iter().flat_map(|text| text.lines());
    let bare = |text: &str| text.trim_matches([' ', '\t', '[', ']', '"', '\'', ',']).to_owned();
    let lists = |line: &str| {
        let item = line.trim_start().strip_prefix('-').unwrap_or_default();
        bare(item.split(['#', ',']).next().unwrap_or_default()) == "resizefs"
    };
    let value = lines().filter_map(|line| line.strip_prefix("resize_rootfs:")).next_back();
    let value = value.map(|value| bare(value.split('#').next().unwrap_or_default()).to_lowercase());
    // what cloud-init takes for yes (cloudinit/util.py, translate_bool)
    let yes = value.is_none_or(|value| ["true", "1", "on", "yes", "noblock"].contains(&value.as_str()));
    yes && lines().any(lists)
}

#[cfg(test)]
mod tests;
