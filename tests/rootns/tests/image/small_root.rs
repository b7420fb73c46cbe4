// SPDX-License-Identifier: GPL-2.0-or-later
//! A root in small, and all that an image has to keep of it.

use overlayroot_rootns::run;
use rustix::fs::{XattrFlags, getxattr, listxattr, setxattr};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, chown, lchown, symlink};
use std::path::Path;

pub(crate) const EPOCH: i64 = 1_700_000_000;
pub(crate) const OLD: i64 = 1_000_000_000;
pub(crate) const ODD: &str = "odd [x]*(y) ä";

/// A root in small, made in one order or the other.
pub(crate) fn plant(top: &str, backwards: bool) {
    let at = |name: &str| format!("{top}/{name}");
    for dir in ["proc", "usr", "etc", "tmp", ODD] {
        fs::create_dir_all(at(dir)).unwrap();
    }
    let mut names: Vec<String> = (0..40).map(|number| format!("usr/file{number}")).collect();
    names.extend(["etc/passwd".to_owned(), format!("{ODD}/in it"), "usr/.hidden".to_owned()]);
    if backwards {
        names.reverse();
    }
    for name in &names {
        fs::write(at(name), name.repeat(100)).unwrap();
    }
    fs::File::create(at("usr/sparse")).unwrap().set_len(3 << 20).unwrap();
    let (first, second) = if backwards { ("etc/b", "etc/a") } else { ("etc/a", "etc/b") };
    fs::write(at(first), "linked").unwrap();
    fs::hard_link(at(first), at(second)).unwrap();
    symlink("/etc/passwd", at("usr/link")).unwrap();
    lchown(at("usr/link"), Some(7), Some(8)).unwrap();
    chown(at("etc/passwd"), Some(100_000), Some(12)).unwrap();
    run("chmod", &["4751", &at("usr/file1")]);
    run("mkfifo", &[&at("etc/fifo")]);
    run("mknod", &[&at("etc/null"), "c", "1", "3"]);
    run("mknod", &[&at("etc/disk"), "b", "259", "70000"]);
    for (name, value) in [("user.u", "one"), ("trusted.t", "two"), ("security.s", "three")] {
        setxattr(at("usr/file2"), name, value.as_bytes(), XattrFlags::empty()).unwrap();
        setxattr(at("usr"), name, value.as_bytes(), XattrFlags::empty()).unwrap();
    }
    run("touch", &["-d", &format!("@{OLD}"), &at("usr/file3"), &at("etc")]);
}

/// Each path with all that an image has to keep.
pub(crate) fn tree(top: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut links: HashMap<(u64, u64), String> = HashMap::new();
    let list = run("find", &[top, "-mindepth", "1", "-printf", "%P\\n"]);
    let mut paths: Vec<&str> = list.lines().collect();
    paths.sort_unstable();
    for path in paths {
        let at = Path::new(top).join(path);
        let is = fs::symlink_metadata(&at).unwrap();
        let mut text = format!("{:o} {}:{} {}", is.mode(), is.uid(), is.gid(), is.mtime());
        if is.is_file() {
            let first = links.entry((is.dev(), is.ino())).or_insert_with(|| path.to_owned());
            text += &format!(
                " {} {first} {:?}",
                is.nlink(),
                fs::read(&at).map(|bytes| (bytes.len(), crc(&bytes))).unwrap()
            );
        } else if is.is_symlink() {
            text += &format!(" {}", fs::read_link(&at).unwrap().display());
        } else if is.file_type().is_char_device() || is.file_type().is_block_device() {
            text += &format!(" {}", is.rdev());
        }
        if is.is_file() || is.is_dir() {
            let (mut names, mut value) = ([0; 1000], [0; 1000]);
            let length = listxattr(&at, &mut names).unwrap();
            let mut names: Vec<&[u8]> =
                names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()).collect();
            names.sort_unstable();
            for name in names {
                let length = getxattr(&at, name, &mut value).unwrap();
                text += &format!(" {}={:?}", String::from_utf8_lossy(name), &value[..length]);
            }
        }
        found.insert(path.to_owned(), text);
    }
    found
}

fn crc(bytes: &[u8]) -> u64 {
    bytes.iter().fold(7, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
}

pub(crate) fn same(got: &BTreeMap<String, String>, want: &BTreeMap<String, String>) {
    for path in got.keys().chain(want.keys()) {
        assert_eq!(got.get(path), want.get(path), "{path}");
    }
}

/// Times as an image with the epoch has them.
pub(crate) fn clamped(tree: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let clamp = |text: String| {
        let mut words: Vec<&str> = text.split(' ').collect();
        let time = words[2].parse::<i64>().unwrap().min(EPOCH).to_string();
        words[2] = &time;
        words.join(" ")
    };
    tree.into_iter().map(|(path, text)| (path, clamp(text))).collect()
}
