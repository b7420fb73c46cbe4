// SPDX-License-Identifier: GPL-2.0-or-later
//! What `overlayctl doctor` looks at of the kernels that may boot next, and of the initramfs of each.

use crate::state::next::initrd::{Lister, Tools};
use crate::state::next::listing::Listed;
use crate::state::next::{Next, of_release};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::Source;
use overlayroot_host::doctor::image::is_module;
use overlayroot_host::doctor::{KernelImage, MODULES};
use overlayroot_linux::source;
use overlayroot_linux::sys::files::text;
use std::fs;
use std::path::Path;
use std::time::SystemTime;

/// That of the image which the next boot loads, the running one, and the one whose image is the newest.
pub fn kernels(base: &str, next: &Next) -> Vec<KernelImage> {
    let running = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned();
    let entries = fs::read_dir("/lib/modules").into_iter().flatten().flatten();
    let releases: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let made = |release: &String| image(base, release).and_then(|path| modified(&path));
    let newest = releases.iter().filter(|release| made(release).is_some()).max_by_key(|release| made(release));
    let mut found = vec![kernel(base, &running, true)];
    if let Some(newest) = newest.filter(|newest| **newest != running) {
        found.push(kernel(base, newest, false));
    }
    if let Some(path) = &next.boot.image.path {
        match found.iter_mut().find(|kernel| kernel.image.as_ref() == Some(path)) {
            Some(kernel) => kernel.newer = others(next, path),
            None => {
                // kernel-install has the release in the directory's name; of 6.1-v8 and 6.1-v8-16k it is the longer one
                let of = releases.iter().filter(|release| path.contains(release.as_str()));
                let of = of.max_by_key(|release| release.len()).unwrap_or(&running);
                let files = files(path);
                let image = Some(path.clone());
                let newer = others(next, path);
                found.insert(0, KernelImage { files, newer, image, ..kernel(base, of, *of == running) });
            }
        }
    }
    found
}

/// Configuration files of which the image has another copy; where that can't be told, those that are newer.
fn others(next: &Next, image: &str) -> Vec<String> {
    let Some(own) = &next.boot.image.own else { return newer(modified(image)) };
    let host = source::conf();
    let is_in =
        |file: &Source, all: &[Source]| all.iter().any(|other| other.name == file.name && other.text == file.text);
    let changed = host.iter().filter(|file| !is_in(file, &own.conf));
    let gone = own.conf.iter().filter(|file| host.iter().all(|other| other.name != file.name));
    changed.chain(gone).map(|file| file.name.clone()).collect()
}

fn kernel(base: &str, release: &str, running: bool) -> KernelImage {
    let list = |name: &str| Some(text(format!("/lib/modules/{release}/{name}"))).filter(|text| !text.is_empty());
    let known = |text: &str| -> Vec<String> {
        let names: Vec<&str> = text.lines().filter_map(|line| line.split(':').next()?.rsplit('/').next()).collect();
        let has = |module: &&str| names.iter().any(|name| is_module(name, module));
        MODULES.into_iter().filter(has).map(str::to_owned).collect()
    };
    let mut builtin = list("modules.builtin").map(|text| known(&text)).unwrap_or_default();
    let loadable = list("modules.dep").map(|text| known(&text));
    if running {
        let loaded = fs::read_to_string("/proc/modules").unwrap_or_default();
        let loads = |module: &str| loaded.lines().any(|line| line.split(' ').next() == Some(module));
        let here = |module: &&str| Path::new("/sys/module").join(module).exists() && !loads(module);
        builtin.extend(MODULES.into_iter().filter(here).map(str::to_owned));
    }
    let has = loadable.map(|loadable| loadable.into_iter().chain(builtin.iter().cloned()).collect());
    let path = image(base, release);
    let files = path.as_deref().map_or_else(|| Err(String::new()), files);
    let made = path.as_deref().and_then(modified);
    KernelImage { release: release.to_owned(), has, builtin, files, newer: newer(made), image: path }
}

/// The initramfs of a kernel, where dracut, kernel-install and the distributions put it.
fn image(base: &str, release: &str) -> Option<String> {
    let places = of_release(release, text("/etc/machine-id").trim());
    places.into_iter().map(|place| format!("{base}{place}")).find(|place| Path::new(place).is_file())
}

fn modified(path: &str) -> Option<SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// Names of the files in an image, without directories.
fn files(path: &str) -> Result<Vec<String>, String> {
    let name = |file: &Listed| file.name.rsplit('/').next().unwrap_or_default().to_owned();
    Tools.list(path).map(|all| all.iter().map(name).collect())
}

/// Whether an image has a program; `None` where that can't be told.
pub fn lists(path: &str, program: &str) -> Option<bool> {
    files(path).ok().map(|names| names.iter().any(|name| name == program))
}

/// Configuration files that the image has an older copy of, or none.
fn newer(made: Option<SystemTime>) -> Vec<String> {
    let Some(made) = made else {
        return Vec::new();
    };
    let drop_ins = fs::read_dir(format!("{}.d", paths::CONF)).into_iter().flatten().flatten();
    let drop_ins = drop_ins.filter_map(|entry| entry.path().to_str().map(str::to_owned));
    let files = std::iter::once(paths::CONF.to_owned()).chain(drop_ins.filter(|path| path.ends_with(".conf")));
    let mut newer: Vec<String> = files.filter(|path| modified(path).is_some_and(|changed| changed > made)).collect();
    newer.sort_unstable();
    newer
}
