// SPDX-License-Identifier: GPL-2.0-or-later
//! One block of 512 bytes that stands before each entry (POSIX.1, pax, "ustar Interchange Format"; GNU tar's manual,
//! "Basic Tar Format").

use crate::fault::{Result, archive};

/// Bytes of a block.
pub const BLOCK: usize = 512;

/// A header as it stands.
pub struct Header<'a> {
    block: &'a [u8; BLOCK],
}

impl<'a> Header<'a> {
    /// A block that is a header.
    ///
    /// # Errors
    /// Where its checksum is wrong.
    pub fn read(block: &'a [u8; BLOCK]) -> Result<Self> {
        let header = Self { block };
        let said = header.number(148, 8)?;
        let sum = |signed: bool| -> i64 {
            block
                .iter()
                .enumerate()
                .map(|(at, byte)| match (148..156).contains(&at) {
                    true => i64::from(b' '),
                    false if signed => i64::from(i8::from_ne_bytes([*byte])),
                    false => i64::from(*byte),
                })
                .sum()
        };
        // Old programs summed up signed bytes.
        match said == sum(false) || said == sum(true) {
            true => Ok(header),
            false => archive("a header's checksum is wrong: it is not a tar archive, or damaged"),
        }
    }

    fn field(&self, at: usize, len: usize) -> &'a [u8] {
        self.block.get(at..at + len).unwrap_or_default()
    }

    fn text(&self, at: usize, len: usize) -> &'a [u8] {
        let field = self.field(at, len);
        field.split(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Octal digits between blanks, or GNU's binary form where the first bit is set.
    fn number(&self, at: usize, len: usize) -> Result<i64> {
        let field = self.field(at, len);
        let wrong = || archive("a number in a header can't be read");
        if let Some((first, rest)) = field.split_first().filter(|(first, _)| **first & 0x80 != 0) {
            let negative = first & 0x40 != 0;
            let start = if negative { i64::from(*first) | !0x7f } else { i64::from(first & 0x3f) };
            let mut value = start;
            for byte in rest {
                value = match value.checked_mul(256) {
                    Some(value) => value | i64::from(*byte),
                    None => return wrong(),
                };
            }
            return Ok(value);
        }
        let blank = |byte: &u8| *byte == b' ' || *byte == 0;
        let digits: Vec<u8> = field.iter().copied().skip_while(blank).take_while(|byte| !blank(byte)).collect();
        let text = String::from_utf8_lossy(&digits);
        if text.is_empty() {
            return Ok(0);
        }
        i64::from_str_radix(&text, 8).ok().filter(|value| *value >= 0).map_or_else(wrong, Ok)
    }

    /// What kind of entry it is.
    pub fn kind(&self) -> u8 {
        self.field(156, 1).first().copied().unwrap_or_default()
    }

    /// The name; POSIX keeps the beginning of a long one apart, where GNU has something else.
    pub fn name(&self) -> Vec<u8> {
        let (name, prefix) = (self.text(0, 100), self.text(345, 155));
        let posix = self.field(257, 8) == b"ustar\x0000";
        match posix && !prefix.is_empty() {
            true => [prefix, b"/", name].concat(),
            false => name.to_vec(),
        }
    }

    /// What a link points at.
    pub fn link(&self) -> Vec<u8> {
        self.text(157, 100).to_vec()
    }

    /// Permissions.
    pub fn mode(&self) -> Result<i64> {
        self.number(100, 8)
    }

    /// Number of the user.
    pub fn uid(&self) -> Result<i64> {
        self.number(108, 8)
    }

    /// Number of the group.
    pub fn gid(&self) -> Result<i64> {
        self.number(116, 8)
    }

    /// Bytes that follow.
    pub fn size(&self) -> Result<i64> {
        self.number(124, 12)
    }

    /// When it was changed, seconds since 1970.
    pub fn mtime(&self) -> Result<i64> {
        self.number(136, 12)
    }

    /// Major and minor number of a device.
    pub fn device(&self) -> Result<(i64, i64)> {
        Ok((self.number(329, 8)?, self.number(337, 8)?))
    }
}
