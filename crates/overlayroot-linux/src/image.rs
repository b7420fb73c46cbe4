// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads the image that dmsquash-live mounted, for its checksum.

use anyhow::{Context, Result};
use overlayroot_core::image::Image;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// What it was made of: the fetched file, or the medium (dracut: dmsquash-live-root.sh).
const LINK: &str = "/run/initramfs/livedev";

/// The image, read to its end.
pub fn look() -> Image {
    let path = std::fs::canonicalize(LINK).unwrap_or_else(|_| Path::new(LINK).to_path_buf());
    let image = Image { path: path.to_string_lossy().into_owned(), ..Image::default() };
    match read(&path) {
        Ok((bytes, sha256)) => Image { bytes, sha256, ..image },
        Err(error) => Image { unseen: format!("{error:#}"), ..image },
    }
}

fn read(path: &Path) -> Result<(u64, String)> {
    const PIECE: usize = 1 << 20;
    const SAY: u64 = 256 << 20;
    let mut file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    tracing::info!("checking the image {}", path.display());
    let (mut hash, mut piece, mut bytes) = (Sha256::new(), vec![0; PIECE], 0_u64);
    loop {
        let count = file.read(&mut piece).with_context(|| format!("reading {}", path.display()))?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            break;
        };
        hash.update(read);
        let before = bytes / SAY;
        bytes += u64::try_from(count)?;
        if bytes / SAY > before {
            tracing::info!("{} M of it are checked", bytes >> 20);
        }
    }
    Ok((bytes, hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_has_its_sum() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"abc").unwrap();
        let sum = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(read(file.path()).unwrap(), (3, sum.to_owned()));
        assert!(format!("{:#}", read(Path::new("/no/such")).unwrap_err()).contains("/no/such"));
    }
}
