// SPDX-License-Identifier: GPL-2.0-or-later
//! What only the host can tell `overlayctl doctor`: RAM, images of the initramfs, others that are installed.

use crate::state::asked::lacking;
use crate::state::next::Next;
use crate::state::{hostinside, hostkernels, hoststack, kept};
use overlayroot_core::config::Config;
use overlayroot_core::facts::Facts;
use overlayroot_core::facts::file_system::FileSystem;
use overlayroot_core::facts::place::PlaceKind;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::fstab;
use overlayroot_core::parse::mountinfo::{self, Mount};
use overlayroot_host::doctor::labels::{RootLabel, Selinux};
use overlayroot_host::doctor::loader::Loader;
use overlayroot_host::doctor::{Host, STORES};
use overlayroot_host::loader::line;
use overlayroot_host::next::Module;
use overlayroot_linux::probe::place;
use overlayroot_linux::step::stale::{Stored, stored};
use overlayroot_linux::sys::files::{SMALL, read_linked};
use overlayroot_linux::sys::selinux::{denied_domains, generator_may_read, is_loaded};
use overlayroot_linux::sys::{filesystem, memory, mounts};
use overlayroot_linux::tool::stores;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Others, by a file that only they have.
const OTHERS: [(&str, &str); 3] = [
    ("/usr/share/initramfs-tools/scripts/init-bottom/overlayroot", "the package overlayroot"),
    ("/etc/initramfs-tools/scripts/overlay", "raspi-config's overlay"),
    ("/usr/share/initramfs-tools/scripts/init-bottom/bilibop", "bilibop-lockfs"),
];

/// Looks. An image is listed by lsinitrd, which takes a second or more.
pub fn look(next: &Next) -> Host {
    let (config, facts) = (&next.boot.config, &next.facts);
    let (boot_in_overlay, memory) = (boot_in_overlay(), memory::read());
    // The boot loader sees the lower's /boot, whatever the upper has there.
    let base = if boot_in_overlay { paths::LOWER } else { "" };
    let others = OTHERS.iter().filter(|(path, _)| Path::new(path).exists());
    Host {
        ram: memory.ram,
        swap: memory.swap,
        kernels: hostkernels::kernels(base, next),
        others: others.map(|(path, who)| format!("{who} is installed ({path})")).collect(),
        upper: upper(config, facts),
        boot_in_overlay,
        boot_apart: hostinside::boot_apart(&mounts::read().unwrap_or_default()),
        cloud_resizes: hostinside::cloud_resizes(),
        lacking: overlayroot_core::plan::git::asked(config)
            .ok()
            .flatten()
            .map(|asked| lacking(&asked))
            .unwrap_or_default(),
        loader: Some(loader(next)),
        request: None,
        not_known: next.boot.not_known(),
        lacking_module: match &next.boot.image.module {
            Module::Missing(why) => Some(why.clone()),
            Module::There | Module::NotKnown(_) => None,
        },
        next_image: next.boot.image.path.clone(),
        makes: next.makes.clone(),
        lost_root: next.boot.lost_root(),
        is_root: fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0),
        stores: stores(),
        marked: marked(),
        swap_files: swap_files(&fs::read_to_string("/proc/swaps").unwrap_or_default()),
        selinux: selinux(),
        sources: sources(facts),
        stacks: hoststack::stacks(facts),
    }
}

/// What the lower's fstab names, as far as it is here.
fn sources(facts: &Facts) -> BTreeMap<String, FileSystem> {
    let entries = facts.root.as_ref().map(|root| fstab::parse(&root.fstab)).unwrap_or_default();
    entries.into_iter().filter_map(|entry| Some((entry.what.clone(), filesystem::named(&entry.what)?))).collect()
}

/// What the boot loader's files say, and whether dracut's drop-in is there.
fn loader(next: &Next) -> Loader {
    let cmdline = fs::read("/proc/cmdline").unwrap_or_default();
    Loader {
        state: next.state.clone(),
        running: line::ours(cmdline.trim_ascii_end()),
        module: next.drop_in,
        hook_in_overlay: next.hook_in_overlay,
    }
}

/// Storage of containers that is there, and whether it, or what it lies in, is a file system of its own.
fn stores() -> Vec<(String, bool)> {
    let mounts = mounts::read().unwrap_or_default();
    let found = STORES.iter().filter(|(path, ..)| !waits(&mounts, path) && Path::new(path).is_dir());
    found.map(|(path, ..)| ((*path).to_owned(), own(&mounts, path))).collect()
}

/// Whether to look at a path would mount something there (autofs), which may be a server's that is away.
fn waits(mounts: &[Mount], path: &str) -> bool {
    let places = Path::new(path).ancestors().filter_map(Path::to_str);
    places.filter_map(|at| mountinfo::at(mounts, at)).any(|mount| mount.fstype == "autofs")
}

/// Whether a path, or what it lies in, is a file system of its own.
fn own(mounts: &[Mount], path: &str) -> bool {
    let places = Path::new(path).ancestors().filter_map(Path::to_str).filter(|at| *at != "/");
    places.filter_map(|at| mountinfo::at(mounts, at)).any(|mount| mount.fstype != "overlay")
}

/// Storage of containers with whiteouts or marks, as far as two seconds show. Looked for in the lower: through the
/// root's overlay none is seen.
fn marked() -> Vec<String> {
    let mounts = mounts::read().unwrap_or_default();
    let overlay = mountinfo::at(&mounts, "/").is_some_and(|root| root.fstype == "overlay");
    let base = if overlay && mountinfo::at(&mounts, paths::LOWER).is_some() { paths::LOWER } else { "" };
    // A file system of its own is not the root's, and its server may be away.
    let homes = (!own(&mounts, "/home")).then(|| fs::read_dir(format!("{base}/home")));
    let homes = homes.into_iter().flatten().flatten().flatten();
    let homes = homes.filter_map(|home| Some(format!("/home/{}/.local/share/containers", home.file_name().to_str()?)));
    let end = Instant::now() + Duration::from_secs(2);
    let has = |path: &String| {
        let found = stores::find(Path::new(&format!("{base}{path}")), &mut || Ok(Instant::now() >= end));
        found.is_ok_and(|found| found.is_some())
    };
    // A user can put a link there.
    let plain = |path: &String| !own(&mounts, path) && place::look(base, path).kind == PlaceKind::Directory;
    STORES.iter().map(|(path, ..)| (*path).to_owned()).chain(homes).filter(plain).filter(has).collect()
}

/// Files among what `/proc/swaps` lists; partitions and zram are none.
fn swap_files(text: &str) -> Vec<String> {
    let rows = text.lines().skip(1).map(|line| line.split_ascii_whitespace());
    let files = rows.filter_map(|mut row| Some((row.next()?, row.next()?))).filter(|(_, kind)| *kind == "file");
    files.map(|(path, _)| path.replace("\\040", " ")).collect()
}

/// What SELinux is to do, what its policy lacks, and whether the running root has its label.
fn selinux() -> Option<Selinux> {
    let text = String::from_utf8(read_linked("/etc/selinux/config", SMALL).ok()?).ok()?;
    let value = |key: &str| text.lines().rev().find_map(|line| line.trim().strip_prefix(key)?.strip_prefix('='));
    let policy = Path::new("/etc/selinux").join(value("SELINUXTYPE").unwrap_or("targeted").trim()).join("policy");
    let there = fs::read_dir(policy).is_ok_and(|mut entries| entries.next().is_some());
    let enforcing = there && value("SELINUX").is_some_and(|mode| mode.trim() == "enforcing");
    // who may not ask the policy gets no answer, as with devices that can't be read
    let (mounter, denied) = denied_domains().unwrap_or_default();
    let denied = denied.into_iter().collect();
    let link_denied = generator_may_read().ok().flatten() == Some(false);
    let overlay = mountinfo::at(&mounts::read().unwrap_or_default(), "/").is_some_and(|root| root.fstype == "overlay");
    // Without a policy restorecon says that all is well.
    let root = if overlay && is_loaded() { root_label() } else { None };
    let restorecon = ["/usr/sbin/restorecon", "/sbin/restorecon", "/usr/bin/restorecon"];
    let restorecon = restorecon.iter().any(|path| Path::new(path).exists());
    Some(Selinux { enforcing, restorecon, root, mounter, denied, link_denied })
}

/// What restorecon would make of `/`; nothing where it does not say.
fn root_label() -> Option<RootLabel> {
    let output = Command::new("restorecon").args(["-n", "-v", "/"]).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match (output.status.success(), said.is_empty()) {
        (false, _) => None,
        (true, true) => Some(RootLabel::Fits),
        (true, false) => Some(RootLabel::Differs(said)),
    }
}

fn boot_in_overlay() -> bool {
    let mounts = mounts::read().unwrap_or_default();
    let overlay = mountinfo::at(&mounts, "/").is_some_and(|root| root.fstype == "overlay");
    overlay && mountinfo::at(&mounts, "/boot").is_none() && mountinfo::at(&mounts, paths::LOWER).is_some()
}

/// The stored fingerprint and the lower's, where the upper of this boot is the one asked for.
fn upper(
    config: &Config,
    facts: &Facts,
) -> Option<(overlayroot_core::facts::Fingerprint, overlayroot_core::facts::Fingerprint)> {
    let (record, store) = kept::find().ok()?.upper()?;
    let same = record.requested.spec == config.upper.value.to_string();
    match stored(&store.fingerprint) {
        Stored::Is(was) if same => Some((was, facts.root.as_ref()?.fingerprint.clone())),
        Stored::None | Stored::Unclear(_) | Stored::Is(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looking_would_mount() {
        let before =
            "22 1 0:40 / / rw - overlay LiveOS_rootfs rw\n23 22 0:50 / /var/lib/docker rw - autofs systemd-1 rw\n";
        let waits = |text: &str, path: &str| super::waits(&mountinfo::parse(text), path);
        assert!(waits(before, "/var/lib/docker") && waits(before, "/var/lib/docker/x"));
        assert!(!waits(before, "/var/lib/containers") && !waits(before, "/var/lib"));
        let after = format!("{before}24 23 254:16 / /var/lib/docker rw - ext4 /dev/vdb rw\n");
        assert!(!waits(&after, "/var/lib/docker"), "it is mounted");
    }

    #[test]
    fn swap_that_is_a_file() {
        let text = "Filename\t\t\t\tType\t\tSize\n/swap\\040file  file  1024 0 -2\n/dev/vdb1 partition 1 0 -3\n";
        assert_eq!(swap_files(text), ["/swap file"]);
        assert_eq!(swap_files(""), Vec::<String>::new());
    }
}
