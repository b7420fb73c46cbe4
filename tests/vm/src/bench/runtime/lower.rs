// SPDX-License-Identifier: GPL-2.0-or-later
//! The roots of the run-time costs: Debian, and files to be changed.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::fsimage;
use crate::host::{self, Host};

/// Directories with files to be opened for writing, one for each round: `OPEN/0`.
pub(super) const OPEN: &str = "/srv/bench/open";
/// Files to be added to, one for each round: `BIG-0`.
pub(super) const BIG: &str = "/srv/bench/big";
/// A file whose mode is changed.
pub(super) const HUGE: &str = "/srv/bench/huge";
/// A tree whose owner is changed.
pub(super) const TREE: &str = "/srv/bench/tree";

/// Bytes of a small file.
pub(super) const SMALL: usize = 4096;
/// Files in a directory of `OPEN`.
pub(super) const OPENED: usize = 1000;
/// Files in `TREE`.
pub(super) const MANY: usize = 30_000;
/// MiB of a file that is added to, and of the one whose mode is changed.
pub(super) const LARGE: [usize; 2] = [32, 400];

/// Of the image for the ext4 root, with room for an upper beside all that.
const ROOM: &str = "4G";

/// Makes both roots: each from the one that the boot tests have, to the path behind it.
///
/// # Errors
/// Those of cp, resize2fs and mount.
pub(super) fn make(host: &Host, dir: &Path, ext4: (&Path, &Path), btrfs: (&Path, &Path)) -> Result<()> {
    // below /root on the btrfs, where its subvolume of that name is
    let content = dir.join("content");
    let top = content.join("root");
    fill(&top)?;
    for ((from, to), content) in [(ext4, &top), (btrfs, &content)] {
        host::copy_sparse(from, to)?;
        if to == ext4.1 {
            // status 1: it has set the time of the check
            let lines = format!("truncate -s {ROOM} \"$IMG\"; e2fsck -fy \"$IMG\" || [ $? = 1 ]; resize2fs \"$IMG\"");
            host::shell(&lines, &[("IMG", to)])?;
        }
        fsimage::populate(host, to, content)?;
    }
    Ok(fs::remove_dir_all(content)?)
}

fn fill(top: &Path) -> Result<()> {
    let at = |path: &str| top.join(path.trim_start_matches('/'));
    let block = noise();
    let small = block.get(..SMALL).unwrap_or_default();
    for round in 0..super::ROUNDS {
        let dir = at(OPEN).join(round.to_string());
        fs::create_dir_all(&dir)?;
        for number in 0..OPENED {
            fs::write(dir.join(number.to_string()), small)?;
        }
        large(&at(&format!("{BIG}-{round}")), LARGE[0], &block)?;
    }
    large(&at(HUGE), LARGE[1], &block)?;
    for number in 0..MANY {
        let dir = at(TREE).join((number / 1000).to_string());
        if number % 1000 == 0 {
            fs::create_dir_all(&dir)?;
        }
        fs::write(dir.join(number.to_string()), small)?;
    }
    Ok(())
}

fn large(path: &Path, mebi: usize, block: &[u8]) -> Result<()> {
    let mut file = File::create(path)?;
    for _ in 0..mebi {
        file.write_all(block)?;
    }
    Ok(())
}

/// A mebibyte that no file system makes smaller, the same each time.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..(1 << 20) / 8).flat_map(|_| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_a_mebibyte_without_holes() {
        let noise = noise();
        assert_eq!(noise.len(), 1 << 20);
        assert!(noise.chunks(SMALL).all(|block| block.iter().any(|byte| *byte != 0)));
        assert_eq!(noise, super::noise());
    }
}
