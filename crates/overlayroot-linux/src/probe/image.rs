// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads the image that dmsquash-live mounted, for its checksum, and what `overlay-image` has told of it.

use crate::sys::files;
use crate::sys::newfile::write_atomic;
use anyhow::{Context, Result};
use overlayroot_core::facts::fetched::Fetched;
use overlayroot_core::facts::image::Image;
use overlayroot_core::layout::paths;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// What it was made of: the fetched file, or the medium (dracut: dmsquash-live-root.sh).
const LINK: &str = "/run/initramfs/livedev";

/// The image, read to its end unless `fetched` is about the very same.
pub fn look(fetched: Option<&Fetched>) -> Image {
    seen(Path::new(LINK), fetched)
}

fn seen(link: &Path, fetched: Option<&Fetched>) -> Image {
    let path = fs::canonicalize(link).unwrap_or_else(|_| link.to_path_buf());
    let image = Image { path: path.to_string_lossy().into_owned(), ..Image::default() };
    if let Some(told) = fetched.filter(|told| told.tells(&image.path) && same_size(&path, told.bytes)) {
        return Image { bytes: told.bytes, sha256: told.sha256.clone(), ..image };
    }
    let read = File::open(&path).with_context(|| format!("opening {}", path.display()));
    match read.and_then(|file| checksum(file, &format!("the image {}", path.display()))) {
        Ok((bytes, sha256)) => Image { bytes, sha256, ..image },
        Err(error) => Image { unseen: format!("{error:#}"), ..image },
    }
}

/// A loop device has no length of its own here.
fn same_size(path: &Path, bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() || metadata.len() == bytes)
}

/// Bytes and SHA-256 of a file, from where it stands to its end; a line for each 256 MiB.
///
/// # Errors
/// Where it can't be read.
pub fn checksum(mut file: File, name: &str) -> Result<(u64, String)> {
    const PIECE: usize = 1 << 20;
    const SAY: u64 = 256 << 20;
    crate::log::info!("checking {name}");
    let (mut hash, mut piece, mut bytes) = (Sha256::new(), vec![0; PIECE], 0_u64);
    loop {
        let count = file.read(&mut piece).with_context(|| format!("reading {name}"))?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            break;
        };
        hash.update(read);
        let before = bytes / SAY;
        bytes += u64::try_from(count)?;
        if bytes / SAY > before {
            crate::log::info!("{} M of it are checked", bytes >> 20);
        }
    }
    Ok((bytes, format!("{:x}", hash.finalize())))
}

/// What `overlay-image` has told at this boot, if it ran.
pub fn fetched() -> Option<Fetched> {
    // Where it can't be understood the image is read again, as it would be without `overlay-image`.
    Fetched::parse(&String::from_utf8_lossy(&files::read_small(paths::FETCHED).ok()?))
}

/// Tells it.
///
/// # Errors
/// Where it can't be written.
pub fn tell(fetched: &Fetched) -> Result<()> {
    fs::create_dir_all(paths::STATE_DIR).context("making the directory of the record")?;
    write_atomic(paths::FETCHED, &fetched.text())
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
        assert_eq!(checksum(file.reopen().unwrap(), "x").unwrap(), (3, sum.to_owned()));
        assert_eq!(seen(file.path(), None).sha256, sum);
        assert!(seen(Path::new("/no/such"), None).unseen.contains("/no/such"));
    }

    #[test]
    fn what_was_told_of_it_spares_the_reading_unless_it_is_another() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(b"abc").unwrap();
        let path = fs::canonicalize(file.path()).unwrap().to_string_lossy().into_owned();
        let told = Fetched { schema: 1, sha256: "told".into(), bytes: 3, path, ..Fetched::default() };
        assert_eq!(seen(file.path(), Some(&told)).sha256, "told");
        for other in [Fetched { bytes: 4, ..told.clone() }, Fetched { path: "/x".into(), ..told }] {
            assert!(seen(file.path(), Some(&other)).sha256.starts_with("ba7816bf"));
        }
    }
}
