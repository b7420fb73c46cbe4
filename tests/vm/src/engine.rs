// SPDX-License-Identifier: GPL-2.0-or-later
//! What runs a guest, and what its devices are called there.

use std::fmt;

use clap::ValueEnum;
use serde::Deserialize;

use crate::machine::Attach;

/// What runs a guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// User-mode Linux: the newest kernel, as a process of this machine. No firmware, no PCI, one kernel for all.
    #[default]
    Uml,
    /// QEMU, with the suite's own kernel: emulated, or by KVM where that works.
    Qemu,
}

impl Engine {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Uml, Self::Qemu];
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Uml => "uml",
            Self::Qemu => "qemu",
        })
    }
}

/// The place of the disk with the lines of `holds`: the last that user-mode Linux has.
pub(crate) const HOLDS: usize = 15;

/// The name of a disk in user-mode Linux by its place.
pub(crate) fn disk_name(index: usize) -> String {
    format!("ubd{}", letter(index))
}

fn letter(index: usize) -> char {
    u8::try_from(index).ok().and_then(|index| b'a'.checked_add(index)).map_or('?', char::from)
}

/// Cases name disks as QEMU does: /dev/vdb, or by the serial number that only its disks have. Here with the names
/// that the engine's kernel gives them.
#[must_use]
pub fn names(engine: Engine, text: &str, disks: &[Attach]) -> String {
    if engine == Engine::Qemu {
        return text.to_owned();
    }
    let mut text = text.to_owned();
    for (index, disk) in disks.iter().enumerate() {
        let serial = format!("/dev/disk/by-id/virtio-{}", disk.serial);
        text = replace(&text, &serial, &format!("/dev/{}", disk_name(index)));
    }
    for index in 0..8 {
        text = replace(&text, &format!("vd{}", letter(index)), &disk_name(index));
    }
    text
}

/// Replaces a name where it stands alone, or with the number of a partition behind it.
fn replace(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once(from) {
        let inside = before.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_')
            || behind.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-' || c == '_');
        out.push_str(before);
        out.push_str(if inside { from } else { to });
        rest = behind;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_have_the_names_of_their_engine() {
        let disk = |serial: &str| Attach { serial: serial.to_owned(), ..Attach::default() };
        let disks = [disk("root"), disk("upper"), disk("upper-2")];
        let uml = |text: &str| names(Engine::Uml, text, &disks);
        assert_eq!(uml("rd.overlay=/dev/vdb x"), "rd.overlay=/dev/ubdb x");
        assert_eq!(uml("'^/dev/vdb ' (vda /dev/vda2, vdb1"), "'^/dev/ubdb ' (ubda /dev/ubda2, ubdb1");
        assert_eq!(uml("mount /dev/disk/by-id/virtio-upper /x"), "mount /dev/ubdb /x");
        assert_eq!(uml("mount /dev/disk/by-id/virtio-upper-2 /x"), "mount /dev/ubdc /x");
        assert_eq!(uml("lvda xvda vdat vda_ MPUJ9vda7"), "lvda xvda vdat vda_ MPUJ9vda7");
        assert_eq!(names(Engine::Qemu, "/dev/vdb", &disks), "/dev/vdb");
    }
}
