// SPDX-License-Identifier: GPL-2.0-or-later
//! What SELinux makes of an overlay root: rules that the policy lacks, labels that are not the policy's.

use crate::doctor::{Finding, Grade, Host, finding};
use overlayroot_core::config::Inputs;
use overlayroot_core::facts::Facts;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::lex;
use overlayroot_core::plan::host_units::block_device;
use overlayroot_core::value::diagnostics::escape;

/// SELinux as it is configured.
#[derive(Debug, Clone, Default)]
pub struct Selinux {
    /// Whether `/etc/selinux/config` says enforcing, and a policy is there.
    pub enforcing: bool,
    /// Whether restorecon(8) is there, by which what the initramfs makes gets its labels.
    pub restorecon: bool,
    /// Labels of the root that runs, where that is an overlay and a policy is loaded.
    pub root: Option<RootLabel>,
    /// The context that a root overlay's mounter has in the loaded policy.
    pub mounter: String,
    /// Contexts of processes that may not use what the mounter opened.
    pub denied: Vec<String>,
    /// Whether systemd-gpt-auto-generator may not read the link that names the root's device.
    pub link_denied: bool,
}

/// What the policy thinks of the label of `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootLabel {
    /// It has this type for it.
    Fits,
    /// It has another one: what restorecon would do.
    Differs(String),
}

/// The findings for an overlay that is asked for.
pub(crate) fn examine(inputs: &Inputs, facts: &Facts, host: &Host, found: &mut Vec<Finding>) {
    let Some(selinux) = &host.selinux else {
        return;
    };
    rules(selinux, facts, found);
    if !selinux.enforcing {
        return;
    }
    let line = lex(&inputs.cmdline);
    let off = |key: &str| {
        line.iter().rfind(|arg| arg.key == key.as_bytes()).is_some_and(|arg| arg.value.as_deref() == Some(b"0"))
    };
    if off("selinux") || off("enforcing") {
        let text = "SELinux is configured to enforce, and the command line overrides that";
        return found.push(finding("selinux", Grade::Note, text, ""));
    }
    found.push(labels(selinux));
}

/// Rules of [`paths::SELINUX_RULE`] that the loaded policy lacks.
fn rules(selinux: &Selinux, facts: &Facts, found: &mut Vec<Finding>) {
    let (grade, when) = match selinux.enforcing {
        true => (Grade::Warning, ""),
        false => (Grade::Note, ", once it enforces"),
    };
    let mut lacks = |text: String| {
        let todo = format!("semodule -i {}", paths::SELINUX_RULE);
        found.push(finding("selinux-rule", grade, text, todo).in_root());
    };
    // Whether SELinux asks a domain that maps a file of an overlay for what the mounter opened: Linux 6.1 does, 6.12
    // does not (measured; none between).
    if let Some(domain) = selinux.denied.first().filter(|_| facts.kernel.before(6, 12)) {
        lacks(format!(
            "the SELinux policy keeps {} domains ({domain} is one) from using what {} opened: with this kernel \
             they can't load a library from an overlay{when}",
            selinux.denied.len(),
            selinux.mounter
        ));
    }
    if selinux.link_denied && facts.root.as_ref().and_then(block_device).is_some() {
        lacks(format!(
            "the SELinux policy keeps systemd-gpt-auto-generator from reading the link {}: it fails, and mounts \
             neither ESP nor swap, /home or others by their partition types{when}",
            paths::VOLATILE_ROOT
        ));
    }
}

fn labels(selinux: &Selinux) -> Finding {
    if !selinux.restorecon {
        let text = "SELinux is to enforce (/etc/selinux/config), and restorecon is not installed: what the initramfs \
                    makes stays without its label, and services will be denied";
        return finding("selinux", Grade::Warning, text, "install policycoreutils");
    }
    let (grade, text, todo) = match &selinux.root {
        Some(RootLabel::Fits) => (Grade::Ok, "SELinux enforces, and / has the label of the policy".to_owned(), ""),
        None => (
            Grade::Ok,
            "SELinux is to enforce: overlayroot-rs-label.service labels what the initramfs makes".to_owned(),
            "",
        ),
        Some(RootLabel::Differs(said)) => (
            Grade::Warning,
            format!(
                "SELinux is to enforce, and / has another label than the policy has: services will be denied ({})",
                escape(said)
            ),
            "restorecon -F /; for an upper in RAM: systemctl status overlayroot-rs-label.service",
        ),
    };
    finding("selinux", grade, text, todo)
}

#[cfg(test)]
mod tests;
