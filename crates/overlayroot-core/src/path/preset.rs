// SPDX-License-Identifier: GPL-2.0-or-later
//! Names that stand for paths which people want to keep.

use crate::path::Form;
use crate::value::diagnostics::{Problem, escape, suggest};

/// A name, and what it stands for.
#[derive(Debug, PartialEq, Eq)]
pub struct Preset {
    /// Its name in the grammar.
    pub name: &'static str,
    /// Paths in the root.
    pub paths: &'static [&'static str],
    /// What they are.
    pub form: Form,
    /// Volatile where there is no place to keep them: better than an overlay, on which their users can't work.
    pub either: bool,
    /// Paths that the root does not have are passed over; else they are made.
    pub if_there: bool,
}

/// Every preset.
pub static PRESETS: [Preset; 8] = [
    Preset {
        name: "ssh-host-keys",
        paths: &["/etc/ssh/ssh_host_*"],
        form: Form::Files,
        either: false,
        if_there: false,
    },
    Preset { name: "machine-id", paths: &[MACHINE_ID], form: Form::Files, either: false, if_there: false },
    Preset { name: "journal", paths: &["/var/log/journal"], form: Form::Directory, either: false, if_there: false },
    Preset {
        name: "containers",
        paths: &["/var/lib/containers"],
        form: Form::Directory,
        either: true,
        if_there: false,
    },
    Preset {
        name: "docker",
        paths: &["/var/lib/docker", "/var/lib/containerd", "/var/lib/rancher"],
        form: Form::Directory,
        either: true,
        if_there: false,
    },
    Preset {
        name: "network-connections",
        paths: &["/etc/NetworkManager/system-connections"],
        form: Form::Directory,
        either: false,
        if_there: true,
    },
    Preset {
        name: "dhcp-leases",
        paths: &["/var/lib/NetworkManager", "/var/lib/dhclient", "/var/lib/dhcp", "/var/lib/dhcpcd"],
        form: Form::Directory,
        either: false,
        if_there: true,
    },
    Preset { name: "home", paths: &["/home"], form: Form::Directory, either: false, if_there: false },
];

/// The file that is made where nobody has one.
pub const MACHINE_ID: &str = "/etc/machine-id";

/// The preset of that name.
///
/// # Errors
/// Where there is none, with the nearest.
pub fn find(name: &str) -> Result<&'static Preset, Problem> {
    PRESETS.iter().find(|preset| preset.name == name).ok_or_else(|| {
        let near = suggest(name, PRESETS.iter().map(|preset| preset.name));
        Problem::new(format!("'{}' is neither an absolute path nor a preset", escape(name)), near)
    })
}

/// Whether a text is the identity of a machine: 32 hexadecimal digits, not all of them 0 (machine-id(5)).
pub fn is_machine_id(text: &str) -> bool {
    let id = text.trim_end_matches('\n');
    let hex = id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    hex && id.bytes().any(|byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities() {
        let good = "0123456789abcdef0123456789abcdef";
        assert!(is_machine_id(good) && is_machine_id(&format!("{good}\n")));
        for bad in ["", "uninitialized\n", "0123456789ABCDEF0123456789abcdef", &"0".repeat(32), &good[1..]] {
            assert!(!is_machine_id(bad), "{bad}");
        }
    }
}
