// SPDX-License-Identifier: GPL-2.0-or-later
//! An encrypted volume that holds the upper: who opens it, and what it is called. Opening it is the initramfs's own
//! work (systemd-cryptsetup, dracut's module `crypt`). Pure.

use crate::parse::fstab::escaped;
use crate::value::device::Device;

/// The name of the mapping that a device's path stands for, as device mapper has it; nothing where the path does not
/// say it, and for names that device mapper, udev or systemd spell differently.
pub fn mapping(asked: &Device) -> Option<&str> {
    let Device::Path(path) = asked else { return None };
    let begins = ["/dev/mapper/", "/dev/disk/by-id/dm-name-"];
    let name = begins.iter().find_map(|begin| path.strip_prefix(begin))?;
    // What libdevmapper leaves as it is, without what udev does not.
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-.:=@_".contains(c);
    (!name.is_empty() && name != "control" && name.chars().all(plain)).then_some(name)
}

/// The unit that opens it, where systemd does.
pub fn unit(mapping: &str) -> String {
    format!("systemd-cryptsetup@{}.service", escaped(mapping))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_paths_name_a_mapping() {
        let of = |path: &str| mapping(&Device::Path(path.into())).map(str::to_owned);
        for (path, name) in [
            ("/dev/mapper/secret", "secret"),
            ("/dev/mapper/luks-0a1b-2c", "luks-0a1b-2c"),
            ("/dev/disk/by-id/dm-name-secret", "secret"),
        ] {
            assert_eq!(of(path).as_deref(), Some(name));
        }
        for path in
            ["/dev/vdb", "/dev/mapper/", "/dev/mapper/control", "/dev/mapper/a/b", "/dev/mapper/a b", "/dev/dm-0"]
        {
            assert_eq!(of(path), None, "{path}");
        }
        assert_eq!(mapping(&Device::Label("secret".into())), None);
    }

    #[test]
    fn units_are_escaped_as_systemd_does() {
        // systemd-escape --template systemd-cryptsetup@.service NAME
        for (name, escaped) in [
            ("secret", "secret"),
            ("luks-0a1b", r"luks\x2d0a1b"),
            (".a.b", r"\x2ea.b"),
            ("a+b=c@d:e_f", r"a\x2bb\x3dc\x40d:e_f"),
        ] {
            assert_eq!(unit(name), format!("systemd-cryptsetup@{escaped}.service"));
        }
    }
}
