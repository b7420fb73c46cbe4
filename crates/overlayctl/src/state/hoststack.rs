// SPDX-License-Identifier: GPL-2.0-or-later
//! What of LVM and LUKS lies under the devices that a boot needs, by sysfs.

use overlayroot_core::facts::Facts;
use overlayroot_core::facts::device::Lookup;
use overlayroot_host::doctor::stack::Layer;
use overlayroot_linux::sys::files as read;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Devices stacked upon each other; more is a loop in what sysfs says.
const DEEPEST: usize = 16;

/// Those of the root, of the upper and of what keeps single paths, by their number.
pub fn stacks(facts: &Facts) -> BTreeMap<String, Vec<Layer>> {
    let root = facts.root.iter().flat_map(|root| root.devices.iter().chain([&root.devno]));
    let found = facts.device.iter().chain(facts.stores.values()).filter_map(Lookup::found);
    let found = found.flat_map(|device| device.devices.iter().chain([&device.devno]));
    let all = root.chain(found).map(|number| (number.clone(), of(Path::new("/sys/dev/block"), number)));
    all.filter(|(_, layers)| !layers.is_empty()).collect()
}

fn of(block: &Path, number: &str) -> Vec<Layer> {
    let mut found = Vec::new();
    below(&block.join(number), DEEPEST, &mut found);
    found
}

fn below(device: &Path, deepest: usize, found: &mut Vec<Layer>) {
    let text = |file: &str| read::text(device.join(file)).trim().to_owned();
    let layer = Layer::of(&text("dm/uuid"), &text("dm/name"));
    found.extend(layer.filter(|layer| !found.contains(layer)));
    let slaves = fs::read_dir(device.join("slaves")).into_iter().flatten().flatten();
    for slave in slaves {
        if let Some(deeper) = deepest.checked_sub(1) {
            below(&slave.path(), deeper, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_volume_in_an_encrypted_one() {
        let sys = tempfile::tempdir().unwrap();
        let device = |number: &str, uuid: &str, name: &str, on: Option<&str>| {
            let at = sys.path().join(number);
            fs::create_dir_all(at.join("dm")).unwrap();
            fs::create_dir_all(at.join("slaves")).unwrap();
            fs::write(at.join("dm/uuid"), format!("{uuid}\n")).unwrap();
            fs::write(at.join("dm/name"), format!("{name}\n")).unwrap();
            if let Some(on) = on {
                symlink(sys.path().join(on), at.join("slaves").join(on)).unwrap();
            }
        };
        device("253:0", "CRYPT-LUKS2-0123456789abcdef0123456789abcdef-x", "x", None);
        let lvm = format!("LVM-{}", "a".repeat(64));
        device("253:1", &lvm, "vg-up", Some("253:0"));
        // one that is made of itself ends
        symlink(sys.path().join("253:0"), sys.path().join("253:0/slaves/253:0")).unwrap();
        let found = of(sys.path(), "253:1");
        assert_eq!(found.len(), 2);
        assert!(matches!(&found[0], Layer::Volume { name, .. } if name == "up"), "{found:?}");
        assert!(matches!(&found[1], Layer::Luks { name, .. } if name == "x"), "{found:?}");
        assert_eq!(of(sys.path(), "8:1"), []);
    }
}
