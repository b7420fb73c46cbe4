// SPDX-License-Identifier: GPL-2.0-or-later
//! How large a file system says it is: libblkid tells that from util-linux 2.38 on only.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// A number in a superblock: where in the file, and in how many bytes.
type Field = (u64, usize);

/// Bytes that the file system in `file` takes: ext2 to ext4, xfs and btrfs, others are not known.
/// (kernel: fs/ext4/ext4.h, fs/xfs/libxfs/xfs_format.h, include/uapi/linux/btrfs_tree.h)
pub fn of(file: &File) -> Option<u64> {
    let little = |(at, bytes): Field| read(file, at, bytes, false);
    let big = |(at, bytes): Field| read(file, at, bytes, true);
    if little((0x438, 2)) == Some(0xef53) {
        // s_blocks_count_lo, of 2^(10 + s_log_block_size) bytes; the upper half with INCOMPAT_64BIT only
        let wide = little((0x460, 4))? & 0x80 != 0;
        let blocks = little((0x404, 4))? | if wide { little((0x550, 4))? << 32 } else { 0 };
        let shift = u32::try_from(little((0x418, 4))?).ok()?.checked_add(10)?;
        return blocks.checked_mul(1_u64.checked_shl(shift)?);
    }
    if big((0, 4)) == Some(0x5846_5342) {
        // sb_dblocks of sb_blocksize
        return big((8, 8))?.checked_mul(big((4, 4))?);
    }
    // magic "_BHRfS_M"; dev_item.total_bytes, for a file system of one device
    (little((0x10040, 8)) == Some(0x4d5f_5366_5248_425f)).then(|| little((0x100d1, 8)))?
}

fn read(file: &File, at: u64, bytes: usize, big: bool) -> Option<u64> {
    let mut field = [0; 8];
    let field = field.get_mut(..bytes)?;
    file.read_exact_at(field, at).ok()?;
    if !big {
        field.reverse();
    }
    Some(field.iter().fold(0, |all, byte| all << 8 | u64::from(*byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with these bytes at these places.
    fn file(pieces: &[(u64, &[u8])]) -> Option<u64> {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        for (at, bytes) in pieces {
            file.write_all_at(bytes, *at).unwrap();
        }
        of(&file)
    }

    #[test]
    fn what_is_not_one_has_no_size() {
        assert_eq!(file(&[]), None);
        assert_eq!(of(&tempfile::tempfile().unwrap()), None);
        let ext: &[(u64, &[u8])] = &[(0x438, &[0x53, 0xef]), (0x404, &[3, 0, 0, 0])];
        assert_eq!(file(ext), Some(3 << 10));
        assert_eq!(file(&[ext, &[(0x418, &[0xff; 4])]].concat()), None);
        assert_eq!(file(&[ext, &[(0x418, &[2]), (0x550, &[1])]].concat()), Some(3 << 12));
        assert_eq!(file(&[ext, &[(0x460, &[0x80]), (0x550, &[1])]].concat()), Some((1 << 42) + (3 << 10)));
    }
}
