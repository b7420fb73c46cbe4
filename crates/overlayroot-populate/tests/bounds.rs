// SPDX-License-Identifier: GPL-2.0-or-later
//! Archives that are small and would cost much: each is refused, before it costs the memory or the time of a boot.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
use overlayroot_populate::decompress::open;
use overlayroot_populate::fault::Fault;
use overlayroot_populate::reader::Archive;
use overlayroot_populate::unpack::Unpack;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

/// An entry with its body.
fn entry(kind: u8, name: &str, device: (u32, u32), body: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644");
    put(124, format!("{:011o}", body.len()).as_bytes());
    put(156, &[kind]);
    put(257, b"ustar\x0000");
    put(329, format!("{:07o}", device.0).as_bytes());
    put(337, format!("{:07o}", device.1).as_bytes());
    put(148, b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block.extend(body);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let body = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let length = (1..8).map(|digits| body.len() + digits).find(|all| all.to_string().len() + body.len() == *all);
    [length.unwrap().to_string().as_bytes(), &body].concat()
}

fn end() -> Vec<u8> {
    vec![0; 1024]
}

/// Reads all of it, and keeps nothing.
fn read(from: impl Read) -> Result<u64, Fault> {
    let mut archive = Archive::new(from);
    let mut count = 0;
    while archive.entry()?.is_some() {
        count += 1;
    }
    Ok(count)
}

fn refused(from: impl Read, want: &str) {
    let began = Instant::now();
    let fault = read(from).unwrap_err();
    assert!(fault.word == "archive" && fault.text.contains(want), "{fault}");
    assert!(began.elapsed() < Duration::from_secs(5), "{want}: {:?}", began.elapsed());
}

#[test]
fn names_have_a_length_and_a_depth() {
    let deep = "a/".repeat(400_000);
    refused(
        &*[entry(b'x', "x", (0, 0), &record("path", deep.as_bytes())), entry(b'5', "a", (0, 0), b"")].concat(),
        "bytes",
    );
    refused(&*[entry(b'L', "x", (0, 0), deep.as_bytes()), entry(b'5', "a", (0, 0), b"")].concat(), "bytes");
    let deep = "a/".repeat(300);
    refused(
        &*[entry(b'x', "x", (0, 0), &record("path", deep.as_bytes())), entry(b'5', "a", (0, 0), b"")].concat(),
        "300 parts",
    );
    let deep = "a/".repeat(250);
    let fine =
        [entry(b'x', "x", (0, 0), &record("path", deep.as_bytes())), entry(b'5', "a", (0, 0), b""), end()].concat();
    assert_eq!(read(&*fine).unwrap(), 1);
}

#[test]
fn headers_before_one_entry_are_counted() {
    // Attributes of one entry, in so many headers that they fill the memory: one GiB, of 300 KB.
    let body: Vec<u8> = (0..15).flat_map(|n| record(&format!("SCHILY.xattr.user.{n}"), &[b'x'; 65_000])).collect();
    let one = entry(b'x', "x", (0, 0), &body);
    refused(std::io::repeat(0).take(0).chain(Repeated::new(one, 1000)), "headers before one entry");
    let labels = Repeated::new(entry(b'V', "label", (0, 0), b""), u64::MAX);
    refused(labels, "headers before one entry");
    let globals = Repeated::new(entry(b'g', "g", (0, 0), &record("comment", b"x")), u64::MAX);
    refused(globals, "headers before one entry");
    let many: Vec<u8> = (0..300).flat_map(|n| record(&format!("SCHILY.xattr.user.{n}"), b"x")).collect();
    refused(&*entry(b'x', "x", (0, 0), &many), "257 attributes");
    // A header for each entry is what tar makes.
    let usual = [entry(b'x', "x", (0, 0), &record("mtime", b"1.5")), entry(b'5', "a", (0, 0), b"")].concat();
    assert_eq!(read(Repeated::new(usual, 100).chain(&*end())).unwrap(), 100);
}

#[test]
fn headers_of_a_whole_archive_are_counted() {
    let body = record("comment", &[b'x'; 1_000_000]);
    let one = [entry(b'x', "x", (0, 0), &body), entry(b'5', "a", (0, 0), b"")].concat();
    let fault = read(Repeated::new(one, u64::MAX)).unwrap_err();
    assert!(fault.text.contains("1 GiB"), "{fault}");
}

#[test]
fn nothing_but_zeros_is_behind_the_end() {
    let whole = [entry(b'5', "a", (0, 0), b""), end()].concat();
    assert_eq!(read(whole.chain(std::io::repeat(0).take(1 << 20))).unwrap(), 1);
    refused(whole.chain(&b"x"[..]), "behind its end");
    refused([whole.clone(), vec![0; 4096], entry(b'0', "etc/x", (0, 0), b"")].concat().as_slice(), "behind its end");
    refused(whole.chain(std::io::repeat(0)), "behind its end");
}

#[test]
fn devices_that_mknod_would_cut_to_a_whiteout() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["upper", "lower"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
    }
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    for (major, minor) in [(0, 0), (4096, 0), (0, 1 << 20), (4096, 1 << 20), (1 << 20, 0), (8192, 1 << 20), (4097, 3)] {
        for kind in [b'3', b'4'] {
            let bytes = [entry(kind, "etc", (major, minor), b""), end()].concat();
            let mut unpack = Unpack::new(&at("upper"), &at("lower"), true).unwrap();
            let fault = unpack.all(&mut Archive::new(&*bytes)).unwrap_err();
            assert!(fault.word == "archive" && fault.text.contains("is a device"), "{major}:{minor}: {fault}");
        }
    }
    assert_eq!(std::fs::read_dir(at("upper")).unwrap().count(), 0);
}

/// A zstd frame of blocks that each stand for 128 KiB of one byte: 4 bytes of the file for each.
#[test]
fn what_is_compressed_is_bound_as_well() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]).unwrap();
    for block in 0..1000_u32 {
        let head = u32::from(block == 999) | (1 << 1) | ((128 << 10) << 3);
        file.write_all(&head.to_le_bytes()[..3]).unwrap();
        file.write_all(&[0]).unwrap();
    }
    let began = Instant::now();
    assert!(open(&file).and_then(read).is_err());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// The same bytes again and again.
struct Repeated {
    bytes: Vec<u8>,
    at: usize,
    left: u64,
}

impl Repeated {
    fn new(bytes: Vec<u8>, times: u64) -> Self {
        Self { bytes, at: 0, left: times }
    }
}

impl Read for Repeated {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        let much = into.len().min(self.bytes.len() - self.at);
        into[..much].copy_from_slice(&self.bytes[self.at..self.at + much]);
        self.at += much;
        if self.at == self.bytes.len() {
            (self.at, self.left) = (0, self.left - 1);
        }
        Ok(much)
    }
}
