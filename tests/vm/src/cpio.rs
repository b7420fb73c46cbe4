// SPDX-License-Identifier: GPL-2.0-or-later
//! A small cpio archive (newc), which the kernel unpacks after the initramfs it
//! is appended to.

use std::collections::{BTreeMap, BTreeSet};

const DIRECTORY: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

/// Packs the files with their directories. Paths are absolute.
#[must_use]
pub fn pack(files: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut dirs = BTreeSet::new();
    for path in files.keys() {
        let path = path.trim_start_matches('/');
        dirs.extend(path.match_indices('/').map(|(at, _)| path.split_at(at).0.to_owned()));
    }
    for dir in &dirs {
        entry(&mut out, dir, DIRECTORY, b"");
    }
    for (path, data) in files {
        let mode = if data.starts_with(b"\x7fELF") { PROGRAM } else { FILE };
        entry(&mut out, path.trim_start_matches('/'), mode, data);
    }
    entry(&mut out, "TRAILER!!!", 0, b"");
    out
}

/// Joins archives; the kernel wants each to begin at a multiple of four.
#[must_use]
pub fn join(first: &[u8], second: &[u8]) -> Vec<u8> {
    let mut out = first.to_vec();
    pad(&mut out);
    out.extend_from_slice(second);
    out
}

fn entry(out: &mut Vec<u8>, name: &str, mode: u32, data: &[u8]) {
    let ino = u32::try_from(out.len() + 1).unwrap_or(u32::MAX);
    let fields = [
        ino,
        mode,
        0,
        0,
        1,
        0,
        u32::try_from(data.len()).unwrap_or(u32::MAX),
        0,
        0,
        0,
        0,
        u32::try_from(name.len() + 1).unwrap_or(u32::MAX),
        0,
    ];
    out.extend_from_slice(b"070701");
    for field in fields {
        out.extend_from_slice(format!("{field:08x}").as_bytes());
    }
    out.extend_from_slice(name.as_bytes());
    out.push(0);
    pad(out);
    out.extend_from_slice(data);
    pad(out);
}

fn pad(out: &mut Vec<u8>) {
    while out.len() % 4 != 0 {
        out.push(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_padded_and_end_with_a_trailer() {
        let files = BTreeMap::from([("/etc/a.conf".to_owned(), b"x".to_vec())]);
        let archive = pack(&files);
        assert_eq!(archive.len() % 4, 0);
        let text = String::from_utf8_lossy(&archive);
        assert!(text.contains("etc\0") && text.contains("etc/a.conf\0") && text.contains("TRAILER!!!"));
        assert_eq!(join(b"12345", &archive).len(), 8 + archive.len());
    }
}
