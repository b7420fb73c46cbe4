// SPDX-License-Identifier: GPL-2.0-or-later
//! Files are made and read in one place each: a name that others can have taken is handled there, and nowhere else.
#![allow(missing_docs, clippy::panic, clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::{Path, PathBuf};

/// What makes a file, or could.
const MAKES: [&str; 11] = [
    "File::create",
    "create_new(",
    ".create(true",
    "fs::write(",
    "fs::copy(",
    "OFlags::CREATE",
    "OFlags::TMPFILE",
    "O_CREAT",
    "O_TMPFILE",
    ".truncate(true",
    "OpenOptions::new().append",
];
/// What reads a whole file without a bound, waits for a pipe, or follows a link.
const READS: [&str; 3] = ["fs::read(", "fs::read_to_string(", "read_to_end("];
/// What opens by a name, follows links, and waits for a pipe.
const OPENS: [&str; 3] = ["File::open(", "OpenOptions::new()", "File::options()"];
/// What is opened so, and why that is all right.
const OPENERS: [(&str, &str); 21] = [
    ("overlayctl/src/output/pager.rs", "/dev/null"),
    ("overlayroot-linux/src/sys/blkid.rs", "a device"),
    ("overlayroot-linux/src/sys/blkpg.rs", "a disk"),
    ("overlayroot-linux/src/sys/btrfs.rs", "a directory that was looked at"),
    ("overlayroot-linux/src/sys/btrfs_members.rs", "a device"),
    ("overlayroot-linux/src/sys/casefold.rs", "a device, or a file that was looked at"),
    ("overlayroot-linux/src/probe/disk.rs", "a disk"),
    ("overlayroot-linux/src/sys/fsck.rs", "a device"),
    ("overlayroot-linux/src/sys/growfs.rs", "a mount point"),
    ("overlayroot-linux/src/probe/image.rs", "what dmsquash-live has mounted"),
    ("overlayroot-linux/src/log/kmsg.rs", "/dev/kmsg"),
    ("overlayroot-linux/src/sys/loopdev.rs", "loop devices"),
    ("overlayroot-linux/src/step/machineid.rs", "/dev/urandom"),
    ("overlayroot-linux/src/sys/process.rs", "/dev/null"),
    ("overlayroot-linux/src/step/partition.rs", "a partition"),
    ("overlayroot-linux/src/step/path.rs", "a directory that was just made"),
    ("overlayroot-linux/src/sys/program.rs", "/dev/null"),
    ("overlayroot-linux/src/probe/quota.rs", "a device"),
    ("overlayroot-linux/src/sys/selinux.rs", "below /sys/fs/selinux"),
    ("overlayroot-linux/src/sys/table.rs", "a disk"),
    ("overlayroot-linux/src/tool/upperfill.rs", "below /proc"),
];
/// The kernel's own files: nobody else can put anything in their place. What also runs in the initramfs reads them in
/// one place as well, for what it costs.
const KERNEL: [&str; 2] = ["\"/proc/", "\"/sys/"];
const INITRAMFS: [&str; 2] = ["overlayroot-linux/", "overlayroot-initramfs/"];
/// Where it is done, or why not there.
const MAKER: &str = "overlayroot-linux/src/sys/newfile.rs";
const READERS: [(&str, &str); 4] = [
    ("overlayroot-linux/src/sys/files.rs", "the one place"),
    ("overlayctl/src/commands/diff/patch.rs", "an open file, bounded"),
    ("overlayctl/src/state/next/initrd.rs", "what a program says, bounded"),
    ("overlayroot-populate/src/reader.rs", "a stream, bounded"),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

/// Lines of the product with what is in them: no tests, no comments.
fn lines(mut look: impl FnMut(&str, usize, &str)) {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    for entry in fs::read_dir(&crates).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut found);
    }
    assert!(found.len() > 150, "{} files", found.len());
    for path in found {
        let name = path.strip_prefix(&crates).unwrap().to_str().unwrap();
        if name.ends_with("tests.rs") || name.contains("/tests/") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let product = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for (number, line) in product.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            look(name, number + 1, line);
        }
    }
}

#[test]
fn nothing_else_makes_a_file() {
    let mut made = Vec::new();
    lines(|name, number, line| {
        if name != MAKER && MAKES.iter().any(|word| line.contains(word)) {
            made.push(format!("{name}:{number}: {}", line.trim()));
        }
    });
    assert!(made.is_empty(), "not by {MAKER}:\n{}", made.join("\n"));
}

#[test]
fn nothing_else_reads_a_file_without_a_bound() {
    let mut read = Vec::new();
    lines(|name, number, line| {
        let everywhere = !INITRAMFS.iter().any(|of| name.starts_with(of));
        let kernel = everywhere && KERNEL.iter().any(|place| line.contains(place));
        let allowed = READERS.iter().any(|(reader, _)| *reader == name);
        if !kernel && !allowed && READS.iter().any(|word| line.contains(word)) {
            read.push(format!("{name}:{number}: {}", line.trim()));
        }
    });
    assert!(read.is_empty(), "not by overlayroot_linux::sys::files:\n{}", read.join("\n"));
}

#[test]
fn nothing_else_opens_a_file_by_its_name() {
    let (mut opened, mut needed) = (Vec::new(), Vec::new());
    lines(|name, number, line| {
        if !OPENS.iter().any(|word| line.contains(word)) {
            return;
        }
        match OPENERS.iter().find(|(opener, _)| *opener == name) {
            Some((opener, _)) => needed.push(*opener),
            None => opened.push(format!("{name}:{number}: {}", line.trim())),
        }
    });
    assert!(opened.is_empty(), "not by overlayroot_linux::sys::files:\n{}", opened.join("\n"));
    let left: Vec<&str> = OPENERS.iter().map(|(name, _)| *name).filter(|name| !needed.contains(name)).collect();
    assert!(left.is_empty(), "they open nothing so any more: {left:?}");
}
