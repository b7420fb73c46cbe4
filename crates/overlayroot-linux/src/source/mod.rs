// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads what the user wrote: the command line's sources in dracut's order, and the
//! configuration files. Interprets nothing.

pub mod recordfile;
pub mod thawfile;

use crate::sys::{files, inroot};
use anyhow::{Context, Result, ensure};
use overlayroot_core::config::Inputs;
use overlayroot_core::layout::paths;
use overlayroot_core::parse::cmdline::Source;
use overlayroot_core::value::order::sorted;
use rustix::fs::OFlags;
use std::fs::File;

/// Most bytes read of any one file: far more than a command line has, and an end to /dev/zero.
const MOST: u64 = 1 << 20;

/// Everything the initramfs or the host sees. `root` is where the lower can be read, for Ubuntu's files.
pub fn read(root: Option<&str>) -> Inputs {
    Inputs { conf: conf(), cmdline: cmdline(), ubuntu: root.map(ubuntu).unwrap_or_default() }
}

/// dracut's sources of the command line, lowest first (dracut-lib.sh, getcmdline).
pub fn cmdline() -> Vec<Source> {
    let mut sources = directory("/etc/cmdline.d");
    sources.extend(file("/etc/cmdline"));
    sources.extend(file("/proc/cmdline"));
    sources.extend(directory("/run/initramfs/cmdline.d"));
    sources
}

/// The native configuration file and its drop-ins, lowest first.
pub fn conf() -> Vec<Source> {
    let mut sources: Vec<Source> = file(paths::CONF).into_iter().collect();
    sources.extend(directory(&format!("{}.d", paths::CONF)));
    sources
}

fn ubuntu(root: &str) -> Vec<Source> {
    ["/etc/overlayroot.conf", "/etc/overlayroot.local.conf"]
        .into_iter()
        .filter_map(|name| Some(Source::new(name, read_in_root(root, name).ok()?)))
        .collect()
}

fn file(name: &str) -> Option<Source> {
    Some(Source::new(name, files::read_linked(name, MOST).ok()?))
}

/// `*.conf` of a directory, sorted by name.
fn directory(name: &str) -> Vec<Source> {
    let Ok(entries) = std::fs::read_dir(name) else {
        return Vec::new();
    };
    let paths = entries.filter_map(|entry| entry.ok()?.path().to_str().map(str::to_owned));
    let paths = sorted(paths.filter(|path| path.ends_with(".conf")).collect());
    paths.iter().filter_map(|path| file(path)).collect()
}

/// Reads a file of another root, with that root's own links: `/etc/os-release` may be an absolute
/// link, which must not be followed into the initramfs.
pub fn read_in_root(root: &str, name: &str) -> Result<Vec<u8>> {
    let file = open_in_root(root, name)?;
    let context = || format!("reading {name} below {root}");
    ensure!(file.metadata().with_context(context)?.is_file(), "{name} below {root} is not a plain file");
    files::bytes(file, MOST).with_context(context)
}

/// The same as text.
pub(crate) fn text_in_root(root: &str, name: &str) -> Result<String> {
    read_in_root(root, name).map(|text| String::from_utf8_lossy(&text).into_owned())
}

/// Opens a file of another root to read, with that root's own links.
pub fn open_in_root(root: &str, name: &str) -> Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = inroot::open_below(root, name, flags).with_context(|| format!("opening {name} below {root}"))?;
    Ok(File::from(fd))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_another_root_stay_in_it() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("etc")).unwrap();
        std::fs::write(root.path().join("target"), "inside").unwrap();
        std::os::unix::fs::symlink("/target", root.path().join("etc/os-release")).unwrap();
        std::os::unix::fs::symlink("../../../../../etc/passwd", root.path().join("etc/climb")).unwrap();
        let root = root.path().to_str().unwrap();
        assert_eq!(read_in_root(root, "/etc/os-release").unwrap(), b"inside");
        assert!(read_in_root(root, "/etc/climb").is_err());
    }

    #[test]
    fn drop_ins_come_in_order_and_only_conf_files() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["20-b.conf", "10-a.conf", "notes.txt"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let got = directory(dir.path().to_str().unwrap());
        let texts: Vec<_> = got.iter().map(|s| String::from_utf8_lossy(&s.text).into_owned()).collect();
        assert_eq!(texts, ["10-a.conf", "20-b.conf"]);
    }
}
