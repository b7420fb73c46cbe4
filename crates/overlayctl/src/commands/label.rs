// SPDX-License-Identifier: GPL-2.0-or-later
//! `overlayctl label`: SELinux labels for what the initramfs made, when no policy was loaded.
//!
//! The record lists what has no label, or another than the policy has for its path, whatever the upper is. Besides, a
//! tmpfs takes its labels from the policy (`fs_use_trans`): what was in it before the policy was loaded gets the type
//! of the tmpfs itself, whatever xattr it had been given; of an upper in RAM that is all that is in it, and with it the
//! merged `/`. Later files are labelled as on any file system. So the list is labelled once, by the host's own
//! restorecon(8), which asks its policy.

use crate::output::exit::Exit;
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo;
use overlayroot_core::record::Record;
use overlayroot_core::step::effective::RootKind;
use overlayroot_core::step::made::Made;
use overlayroot_linux::source::recordfile;
use overlayroot_linux::sys::{mounts, selinux};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{fs, thread};

/// Labels, and says how many paths it looked at.
pub fn run() -> Result<Exit> {
    let record = recordfile::read(paths::RECORD)?.filter(|record| record.effective.root == RootKind::Overlay);
    let Some(record) = record.filter(|_| selinux::is_loaded()) else {
        return Ok(Exit::Good);
    };
    let upper = if forgets(&record) { Some(upper()?) } else { None };
    let made: Vec<Made> = record.made.into_iter().filter(|made| !made.whole || is_apart(&made.path)).collect();
    let list = list(upper.as_deref(), &made, Path::new("/"))?;
    if !list.is_empty() {
        restore(&list)?;
        println!("labelled {} paths that the initramfs made", list.len());
    }
    Ok(Exit::Good)
}

/// Whether the root's upper loses labels when a policy is loaded.
fn forgets(record: &Record) -> bool {
    record.effective.upper.is_in_ram()
}

/// The upper of `/`. dracut-ng's names for it are links, Ubuntu's are not.
fn upper() -> Result<PathBuf> {
    let mounts = mounts::read()?;
    let named = mountinfo::at(&mounts, "/").and_then(|root| root.super_option("upperdir"));
    let named = named.unwrap_or_else(|| paths::UPPER_LINK.to_owned());
    fs::canonicalize(&named).with_context(|| format!("looking for {named}"))
}

/// Whether a path is on another file system than `/`: a tmpfs that is gone shows what the root has there.
fn is_apart(path: &str) -> bool {
    let device = |path: &str| fs::symlink_metadata(path).map(|found| found.dev());
    matches!((device(path), device("/")), (Ok(here), Ok(root)) if here != root)
}

/// Paths below `root`, the merged one, as seen from there; each before what is below it.
fn list(upper: Option<&Path>, made: &[Made], root: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut all = BTreeSet::new();
    if let Some(upper) = upper {
        // Whiteouts show nothing there.
        let shown = |path: &PathBuf| fs::symlink_metadata(inside(root, path)).is_ok();
        all.extend(tree(upper, Path::new("/"))?.into_iter().filter(shown));
    }
    for made in made.iter().filter(|made| is_plain(root, Path::new(&made.path))) {
        match made.whole {
            true => all.extend(tree(root, Path::new(&made.path))?),
            false => all.extend([PathBuf::from(&made.path)]),
        }
    }
    Ok(all)
}

fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Whether it is there, and no link on the way: that one could lead anywhere since.
fn is_plain(root: &Path, path: &Path) -> bool {
    let link = |way: &Path| fs::symlink_metadata(inside(root, way)).is_ok_and(|found| found.is_symlink());
    fs::symlink_metadata(inside(root, path)).is_ok() && !path.ancestors().skip(1).any(link)
}

/// A path below `root`, with all that is below it on the same file system.
fn tree(root: &Path, top: &Path) -> Result<Vec<PathBuf>> {
    let look = |path: &Path| fs::symlink_metadata(inside(root, path)).with_context(|| path.display().to_string());
    let device = look(top)?.dev();
    let (mut found, mut next) = (vec![top.to_owned()], 0);
    while let Some(here) = found.get(next).cloned() {
        next += 1;
        if !look(&here)?.is_dir() {
            continue;
        }
        for entry in fs::read_dir(inside(root, &here)).with_context(|| here.display().to_string())? {
            let path = here.join(entry?.file_name());
            // What is mounted there is another entry of the list, or not ours.
            if look(&path).is_ok_and(|found| found.dev() == device) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

fn restore(list: &BTreeSet<PathBuf>) -> Result<()> {
    let mut restorecon = Command::new("restorecon");
    restorecon.args(["-F", "-0", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = restorecon.spawn().context("restorecon can't be run: what the initramfs made is not labelled")?;
    let names: Vec<&OsStr> = list.iter().map(|path| path.as_os_str()).collect();
    let text = names.iter().flat_map(|name| [name.as_bytes(), &[0]]).collect::<Vec<_>>().concat();
    let Some(mut input) = child.stdin.take() else { bail!("restorecon has no input") };
    // it may complain before it has read everything
    let writer = thread::spawn(move || input.write_all(&text));
    let output = child.wait_with_output()?;
    let written = writer.join().ok().context("the writer panicked")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "restorecon: {}: {}", output.status, said.trim());
    written.context("telling restorecon the paths")
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::os::unix::fs::symlink;

    fn paths(all: &[&str]) -> BTreeSet<PathBuf> {
        all.iter().map(PathBuf::from).collect()
    }

    fn made(path: &str, whole: bool) -> Made {
        Made { path: path.to_owned(), whole }
    }

    #[test]
    fn an_upper_in_ram_counts_as_a_whole_but_for_what_it_hides() {
        let (upper, root) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir_all(upper.path().join("etc/nowhere-to-be-seen")).unwrap();
        fs::write(upper.path().join("etc/passwd"), "").unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), "").unwrap();
        fs::write(root.path().join("etc/lowers"), "").unwrap();
        let found = list(Some(upper.path()), &[made("/etc/passwd", false)], root.path()).unwrap();
        assert_eq!(found, paths(&["/", "/etc", "/etc/passwd"]));
    }

    #[test]
    fn of_an_upper_on_a_disk_the_list_counts_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for path in ["etc", "var/scratch/deep", "srv/kept/inside"] {
            fs::create_dir_all(at(path)).unwrap();
        }
        fs::write(at("etc/hostname"), "").unwrap();
        fs::write(at("var/scratch/deep/file"), "").unwrap();
        symlink("/etc", at("var/scratch/link")).unwrap();
        symlink("scratch", at("var/elsewhere")).unwrap();
        let all = [
            made("/etc/hostname", false),
            made("/gone", false),
            made("/srv/kept", false),
            made("/var/elsewhere/deep", true),
            made("/var/scratch", true),
        ];
        let found = list(None, &all, dir.path()).unwrap();
        let below = ["/var/scratch", "/var/scratch/deep", "/var/scratch/deep/file", "/var/scratch/link"];
        assert_eq!(found, paths(&[&["/etc/hostname", "/srv/kept"], &below[..]].concat()));
        assert_eq!(list(None, &[], dir.path()).unwrap(), paths(&[]));
    }
}
