// SPDX-License-Identifier: GPL-2.0-or-later
//! Plain, gzip or zstd: by the first bytes, not by the name.

use crate::fault::{At, Result, archive, shown};
use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};

const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
/// Others, to be named.
const OTHERS: [(&str, &[u8]); 4] =
    [("xz", b"\xfd7zXZ\0"), ("bzip2", b"BZh"), ("lz4", &[0x04, 0x22, 0x4d, 0x18]), ("zip", b"PK\x03\x04")];

/// The archive in a file, from its beginning on.
///
/// # Errors
/// Where it is neither a tar archive nor a compressed one.
pub fn open(file: &File) -> Result<Box<dyn Read + '_>> {
    let mut first = [0_u8; 512];
    let mut file = file;
    file.seek(SeekFrom::Start(0)).at(|| "reading the archive".to_owned())?;
    let mut from = BufReader::with_capacity(1 << 16, file);
    let len = {
        let seen = from.fill_buf().at(|| "reading the archive".to_owned())?;
        let len = seen.len().min(first.len());
        first.iter_mut().zip(seen).for_each(|(into, byte)| *into = *byte);
        len
    };
    let first = first.get(..len).unwrap_or_default();
    if first.starts_with(GZIP) {
        return Ok(Box::new(MultiGzDecoder::new(from)));
    }
    if first.starts_with(ZSTD) || skippable(first) {
        return Ok(Box::new(Zstd { from: Some(from), frame: None }));
    }
    if let Some((name, _)) = OTHERS.iter().find(|(_, magic)| first.starts_with(magic)) {
        return archive(format!("{name} is not supported, only tar, plain or in gzip or zstd"));
    }
    let block: Option<&[u8; 512]> = first.try_into().ok();
    let tar =
        block.is_some_and(|block| block.iter().all(|byte| *byte == 0) || crate::header::Header::read(block).is_ok());
    match tar {
        true => Ok(Box::new(from)),
        false => {
            let begins = shown(first.get(..24.min(len)).unwrap_or_default());
            archive(format!("neither tar nor gzip nor zstd; it begins with '{begins}'"))
        }
    }
}

/// A frame for others to pass over (RFC 8878, 3.1.2).
fn skippable(first: &[u8]) -> bool {
    matches!(first, [low, 0x2a, 0x4d, 0x18, ..] if low & 0xf0 == 0x50)
}

type Frame<'a> = StreamingDecoder<BufReader<&'a File>, ruzstd::decoding::FrameDecoder>;

/// zstd's frames, one after the other, each with its checksum looked at.
struct Zstd<'a> {
    from: Option<BufReader<&'a File>>,
    frame: Option<Frame<'a>>,
}

impl Zstd<'_> {
    /// Begins the next frame; false where there is none.
    fn next(&mut self) -> io::Result<bool> {
        while let Some(mut from) = self.from.take() {
            let seen = from.fill_buf()?;
            if seen.is_empty() {
                return Ok(false);
            }
            if !skippable(seen) {
                self.frame = Some(StreamingDecoder::new(from).map_err(wrong)?);
                return Ok(true);
            }
            let mut head = [0; 8];
            from.read_exact(&mut head)?;
            let [_, _, _, _, a, b, c, d] = head;
            let much = u64::from(u32::from_le_bytes([a, b, c, d]));
            if io::copy(&mut from.by_ref().take(much), &mut io::sink())? != much {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.from = Some(from);
        }
        Ok(false)
    }
}

impl Read for Zstd<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.frame.is_none() && !self.next()? {
                return Ok(0);
            }
            let Some(frame) = &mut self.frame else {
                return Ok(0);
            };
            let got = frame.read(into)?;
            if got > 0 || into.is_empty() {
                return Ok(got);
            }
            let Some(frame) = self.frame.take() else {
                return Ok(0);
            };
            let (from, decoder) = frame.into_parts();
            let sums = decoder.get_checksum_from_data().zip(decoder.get_calculated_checksum());
            if sums.is_some_and(|(said, is)| said != is) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a zstd checksum is wrong"));
            }
            self.from = Some(from);
        }
    }
}

fn wrong(error: FrameDecoderError) -> io::Error {
    if let FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::BadMagicNumber(_)) = error {
        return io::Error::new(io::ErrorKind::InvalidData, "something else follows a zstd frame");
    }
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}
