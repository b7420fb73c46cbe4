// SPDX-License-Identifier: GPL-2.0-or-later
//! Finds what a store of container images has in its layers for an overlay of its own: whiteouts, and overlayfs's
//! marks. An overlay on the root shows neither.

use crate::layers::is_whiteout;
use crate::store::xattrs;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

/// Marks that say nothing of what is shown.
const SILENT: [&str; 2] = ["trusted.overlay.origin", "trusted.overlay.impure"];

/// Whether it is a whiteout, or has a mark that changes what an overlay shows.
pub fn is_marked(path: &Path, metadata: &Metadata) -> bool {
    let telling = |name: &String| name.starts_with("trusted.overlay.") && !SILENT.contains(&name.as_str());
    let file = metadata.is_dir() || metadata.is_file();
    is_whiteout(metadata) || (file && xattrs(path).is_ok_and(|names| names.iter().any(telling)))
}

/// The first path with one, below a directory of a layer or the directory itself. `stop` is asked at each directory
/// and ends the search.
///
/// # Errors
/// Where a directory can't be read, and those of `stop`.
pub fn find<E: From<io::Error>>(top: &Path, stop: &mut impl FnMut() -> Result<bool, E>) -> Result<Option<PathBuf>, E> {
    if is_marked(top, &fs::symlink_metadata(top)?) {
        return Ok(Some(top.to_owned()));
    }
    let mut waiting = vec![top.to_owned()];
    while let Some(directory) = waiting.pop() {
        if stop()? {
            return Ok(None);
        }
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let path = entry.path();
            if is_marked(&path, &metadata) {
                return Ok(Some(path));
            }
            if metadata.is_dir() {
                waiting.push(path);
            }
        }
    }
    Ok(None)
}
