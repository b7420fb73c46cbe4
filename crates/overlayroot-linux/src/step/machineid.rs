// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine's identity (machine-id(5)), the same from the first boot on.

use crate::step::{keepfiles, layers};
use crate::sys::files;
use crate::sys::inroot::{self, Links};
use anyhow::{Context, Result, ensure};
use overlayroot_core::path::parts;
use overlayroot_core::path::preset::is_machine_id;
use rustix::fs::OFlags;
use std::fs::{self, File};
use std::io::Read;

/// Takes the upper's, the store's, the lower's or else a new one, and has it in the store and in the merged root.
/// True where it is new.
///
/// # Errors
/// Those of the file systems.
pub fn settle(store: &str, path: &str, layers: &[String]) -> Result<bool> {
    let upper = layers.first().cloned().unwrap_or_default();
    let shown = layers::find(layers, path).map(|(found, _)| found);
    let own = read(&upper, path);
    let stored = read(store, path);
    let merged = shown.as_deref().and_then(|shown| id(files::open(shown).ok()?));
    let old = own.or_else(|| stored.clone()).or_else(|| merged.clone());
    let (id, new) = match old {
        Some(id) => (id, false),
        None => (make()?, true),
    };
    let like = shown.as_deref().filter(|shown| fs::symlink_metadata(shown).is_ok_and(|at| at.is_file()));
    // First where it stays: a power cut in between must not give it another one.
    if stored.is_none() {
        ensure!(layers::parents(&[store.to_owned()], None, path)?, "something is in the way of {store}{path}");
        keepfiles::write(store, path, &id, 0o444, like)?;
    }
    if merged.as_ref() != Some(&id) {
        ensure!(layers::parents(layers, None, path)?, "something is in the way of {path}");
        keepfiles::write(&upper, path, &id, 0o444, like)?;
    }
    Ok(new)
}

/// Of a plain file only, with no link on the way: it may lead anywhere.
fn read(base: &str, path: &str) -> Option<String> {
    let (parent, name) = parts(path);
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = inroot::open(base, parent, flags, Links::No).ok()?;
    id(files::open_at(&directory, name).ok()?)
}

fn id(file: File) -> Option<String> {
    String::from_utf8(files::bytes(file, 64).ok()?).ok().filter(|text| is_machine_id(text))
}

/// A random UUID, as systemd-machine-id-setup(1) makes it.
fn make() -> Result<String> {
    let mut bytes = [0_u8; 16];
    let read = File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.context("making a machine-id")?;
    let mut id = u128::from_be_bytes(bytes);
    // Version 4, variant of RFC 4122.
    id = id & !(0xf << 76) | (0x4 << 76);
    id = id & !(0x3 << 62) | (0x2 << 62);
    Ok(format!("{id:032x}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_then_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path).to_str().unwrap().to_owned();
        for made in ["store", "one", "two", "low/etc"] {
            fs::create_dir_all(at(made)).unwrap();
        }
        const PATH: &str = "/etc/machine-id";
        fs::write(at("low/etc/machine-id"), "uninitialized\n").unwrap();
        assert!(settle(&at("store"), PATH, &[at("one"), at("low")]).unwrap());
        let first = fs::read_to_string(at("one/etc/machine-id")).unwrap();
        assert!(is_machine_id(&first) && first.as_bytes()[12] == b'4', "{first}");
        assert!(!settle(&at("store"), PATH, &[at("two"), at("low")]).unwrap());
        assert_eq!(fs::read_to_string(at("two/etc/machine-id")).unwrap(), first);
        // What the upper has is newer than what is kept; a lower's own is not.
        let other = "0123456789abcdef0123456789abcdef\n";
        fs::remove_file(at("two/etc/machine-id")).unwrap();
        fs::write(at("low/etc/machine-id"), other).unwrap();
        settle(&at("store"), PATH, &[at("two"), at("low")]).unwrap();
        assert_eq!(fs::read_to_string(at("two/etc/machine-id")).unwrap(), first);
        fs::create_dir(at("store2")).unwrap();
        fs::create_dir(at("three")).unwrap();
        assert!(!settle(&at("store2"), PATH, &[at("three"), at("low")]).unwrap());
        assert_eq!(fs::read_to_string(at("store2/etc/machine-id")).unwrap(), other);
        assert!(!std::path::Path::new(&at("three/etc")).exists(), "the lower shows it already");
    }

    #[test]
    fn no_two_are_alike() {
        assert_ne!(make().unwrap(), make().unwrap());
    }
}
