// SPDX-License-Identifier: GPL-2.0-or-later
//! Archives of arbitrary and of nearly right bytes: the reader ends, with an error or the end, and what it gives
//! out never leads anywhere.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
use overlayroot_populate::decompress::open;
use overlayroot_populate::header::Header;
use overlayroot_populate::pax::{self, Extended};
use overlayroot_populate::reader::Archive;
use proptest::prelude::*;
use std::io::{Read, Write};

/// A header with these bytes in its fields, and a checksum that fits.
fn block(name: &[u8], kind: u8, size: &[u8], magic: bool) -> Vec<u8> {
    let mut block = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &name[..name.len().min(100)]);
    put(124, &size[..size.len().min(12)]);
    put(156, &[kind]);
    if magic {
        put(257, b"ustar\x0000");
    }
    put(148, b"        ");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let name = prop_oneof!["[a-z./]{0,40}".prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..100)];
    let kind =
        prop_oneof![Just(b'0'), Just(b'5'), Just(b'x'), Just(b'g'), Just(b'L'), Just(b'K'), Just(b'1'), any::<u8>()];
    let size = prop_oneof![
        "[0-7]{0,11}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 12),
        Just(b"00000000012".to_vec())
    ];
    let header =
        (name, kind, size, any::<bool>()).prop_map(|(name, kind, size, magic)| block(&name, kind, &size, magic));
    let records = "([0-9]{1,3} (path|size|uid|SCHILY.xattr.user.x)=[a-z0-9/.]{0,8}\n){0,3}";
    let records = records.prop_map(|text| {
        let mut text = text.into_bytes();
        text.resize(512, 0);
        text
    });
    prop_oneof![6 => header, 2 => records, 1 => prop::collection::vec(any::<u8>(), 0..600), 1 => Just(vec![0; 512])]
}

fn walk(bytes: &[u8]) {
    let mut archive = Archive::new(bytes);
    let mut count = 0;
    while let Ok(Some(entry)) = archive.entry() {
        count += 1;
        assert!(count <= bytes.len(), "it does not end");
        for part in &entry.path {
            assert!(!part.is_empty() && part != b".." && part != b"." && !part.contains(&b'/') && !part.contains(&0));
        }
        let mut body = Vec::new();
        let whole = archive.by_ref().take(entry.size.min(1 << 20)).read_to_end(&mut body);
        assert!(whole.is_err() || body.len() as u64 <= entry.size);
    }
}

proptest! {
    #[test]
    fn nearly_right_archives(pieces in prop::collection::vec(piece(), 0..12)) {
        walk(&pieces.concat());
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        walk(&bytes);
        let _ = pax::read(&bytes, &mut Extended::default());
        if let Some(block) = bytes.first_chunk() {
            let _ = Header::read(block);
        }
        for magic in [&[][..], &[0x1f, 0x8b, 8, 0], &[0x28, 0xb5, 0x2f, 0xfd], &[0x50, 0x2a, 0x4d, 0x18]] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(magic).unwrap();
            file.write_all(&bytes).unwrap();
            if let Ok(from) = open(&file) {
                let _ = std::io::copy(&mut from.take(1 << 20), &mut std::io::sink());
            }
        }
    }
}
