// SPDX-License-Identifier: GPL-2.0-or-later
//! The initramfs that the boot loader loads, found by the name that it has there.

use super::Roots;
use super::initrd::{self, Lister};
use overlayroot_host::loader::handed::Handed;
use overlayroot_host::loader::{MACHINE_ID, Tree};
use overlayroot_host::next::{Image, Module};
use overlayroot_linux::tool::bootfile;
use std::fs;
use std::path::Path;

/// What the next boot's initramfs is, and what is in it. Where it is not known what the boot loader loads, those of
/// the kernels that are installed tell, as far as they agree.
pub fn find(handed: &Result<Handed, String>, tree: &Tree, roots: &Roots, lister: &dyn Lister) -> Image {
    let sets = match handed {
        Ok(handed) => handed.images.iter().map(|set| named(set, roots)).collect::<Result<Vec<_>, _>>(),
        Err(_) => installed(tree, roots),
    };
    let not_known = |why: String| Image { path: None, module: Module::NotKnown(why), own: None, others: Vec::new() };
    let sets = match sets {
        Ok(sets) => sets,
        Err(why) => return not_known(why),
    };
    let mut found: Option<Image> = None;
    for set in &sets {
        let image = look(set, lister);
        let differs = found.as_ref().is_some_and(|other| (&other.module, &other.own) != (&image.module, &image.own));
        match (&found, differs) {
            (Some(other), true) if !same(other, &image) => {
                let names = [&other.path, &image.path].map(|path| path.clone().unwrap_or_default());
                return not_known(format!("{} and {} differ", names[0], names[1]));
            }
            (Some(_), _) => {}
            (None, _) => found = Some(image),
        }
    }
    found.unwrap_or_else(|| not_known("no initramfs was found".to_owned()))
}

/// Whether two images do the same; that they lack the module is the same, whatever the words.
fn same(a: &Image, b: &Image) -> bool {
    match (&a.module, &b.module) {
        (Module::Missing(_), Module::Missing(_)) => a.others == b.others,
        (Module::There, Module::There) => a.own == b.own,
        (Module::There | Module::Missing(_) | Module::NotKnown(_), _) => false,
    }
}

/// Images of which one boot loads all.
fn look(set: &[String], lister: &dyn Lister) -> Image {
    let Some(path) = set.last().cloned() else {
        let why = "the boot loader loads no initramfs".to_owned();
        return Image { path: None, module: Module::Missing(why), own: None, others: Vec::new() };
    };
    let mut others = Vec::new();
    let mut unread = Vec::new();
    let mut made_by = String::new();
    for image in set {
        match initrd::look(image, lister) {
            Ok(inside) if inside.module => {
                let own = Some(inside.own());
                return Image { path: Some(image.clone()), module: Module::There, own, others: inside.others };
            }
            Ok(inside) => {
                others.extend(inside.others);
                made_by = inside.made_by;
            }
            Err(why) => unread.push(format!("{image} can't be listed ({why})")),
        }
    }
    let module = match unread.is_empty() {
        true if made_by.is_empty() => Module::Missing(format!("{path} lacks the dracut module overlayroot-rs")),
        true => Module::Missing(format!("{path}, made by {made_by}, lacks the dracut module overlayroot-rs")),
        false => Module::NotKnown(unread.join("; ")),
    };
    Image { path: Some(path), module, own: None, others }
}

/// Files of a boot loader's names; those with microcode alone don't count.
fn named(set: &[String], roots: &Roots) -> Result<Vec<String>, String> {
    let counts = set.iter().filter(|name| !name.contains("ucode"));
    let mut found = Vec::new();
    for name in counts {
        match name.strip_suffix(overlayroot_host::loader::AUTO_INITRAMFS) {
            Some(directory) => found.push(of_a_pi(directory, roots)?),
            None => found.push(file(name, roots).ok_or_else(|| format!("{name} not found"))?),
        }
    }
    Ok(found)
}

/// A boot loader names a file as it lies on its partition, GRUB with the device before it.
fn file(name: &str, roots: &Roots) -> Option<String> {
    let name = name.rsplit_once(')').map_or(name, |(_, name)| name);
    let base = name.rsplit('/').next()?;
    let whole = if name.starts_with('/') { name.to_owned() } else { format!("/boot/extlinux/{name}") };
    let mut places: Vec<String> = ["", "/boot", "/efi", "/boot/efi"].map(|at| format!("{at}{whole}")).into();
    // a subvolume's name may stand before it
    places.push(format!("/boot/{base}"));
    places.iter().find_map(|place| there(place, roots))
}

/// A regular file of the system, its links followed.
fn there(place: &str, roots: &Roots) -> Option<String> {
    let path = bootfile::real(roots.below(place), place).ok()?;
    fs::metadata(&path).is_ok_and(|of| of.is_file()).then(|| path.to_str().map(str::to_owned)).flatten()
}

/// The one initramfs beside a Pi's kernels; of several the model takes one.
fn of_a_pi(directory: &str, roots: &Roots) -> Result<String, String> {
    let names = bootfile::list(roots.below(directory), directory, "").unwrap_or_default();
    let mut names = names.into_iter().filter(|name| name.starts_with("initramfs"));
    match (names.next(), names.next()) {
        (Some(name), None) => {
            there(&format!("{directory}{name}"), roots).ok_or_else(|| format!("{name} is not a file"))
        }
        (Some(_), Some(_)) => Err(format!("auto_initramfs=1: of the initramfs* in {directory} the model takes one")),
        (None, _) => Err(format!("auto_initramfs=1: there is no initramfs* in {directory}")),
    }
}

/// Those of the running kernel, or of another system's kernels, where dracut, kernel-install and the distributions
/// put them.
fn installed(tree: &Tree, roots: &Roots) -> Result<Vec<Vec<String>>, String> {
    let running = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let releases = match tree.live {
        true => vec![running],
        false => kernels(roots.below("/usr/lib/modules")),
    };
    let machine = tree.files.get(MACHINE_ID).map(|id| String::from_utf8_lossy(id).trim().to_owned());
    let found = releases.iter().filter_map(|release| {
        of_release(release, machine.as_deref().unwrap_or_default()).iter().find_map(|place| there(place, roots))
    });
    let found: Vec<Vec<String>> = found.map(|path| vec![path]).collect();
    match found.is_empty() {
        true => Err(format!(
            "no initramfs{} was found",
            releases.first().map(|of| format!(" of kernel {of}")).unwrap_or_default()
        )),
        false => Ok(found),
    }
}

fn kernels(root: &str) -> Vec<String> {
    let bases = ["usr/lib/modules", "lib/modules"].map(|at| Path::new(root).join(at));
    let base = bases.into_iter().find(|base| base.is_dir());
    let entries = base.and_then(|base| fs::read_dir(base).ok()).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    found.sort_unstable();
    found
}

/// Where the initramfs of a kernel may lie.
pub fn of_release(release: &str, machine: &str) -> Vec<String> {
    let mut places = vec![
        format!("/boot/initramfs-{release}.img"),
        format!("/boot/initrd.img-{release}"),
        format!("/boot/initrd-{release}"),
        format!("/usr/lib/modules/{release}/initrd"),
    ];
    if !machine.is_empty() {
        places.extend(["/efi", "/boot", "/boot/efi"].map(|at| format!("{at}/{machine}/{release}/initrd")));
    }
    places
}
