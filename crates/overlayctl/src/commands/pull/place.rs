// SPDX-License-Identifier: GPL-2.0-or-later
//! Where repositories lie: each pull gets a directory of its own with the next number. The link `current` leads to
//! the one that was fetched last, `good` to the last one whose scripts all ran well. A link changes at once, so
//! whatever is interrupted leaves what was there.

use anyhow::{Context, Result};
use overlayroot_core::layout::paths::PULL_DIR;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The next number, and its directory, which is not there yet.
pub fn begin() -> Result<(u64, PathBuf)> {
    let parent = Path::new(PULL_DIR).parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))?;
    // Repositories may have secrets.
    DirBuilder::new().recursive(true).mode(0o700).create(PULL_DIR).with_context(|| format!("making {PULL_DIR}"))?;
    fs::set_permissions(PULL_DIR, Permissions::from_mode(0o700)).with_context(|| format!("closing {PULL_DIR}"))?;
    tidy()?;
    let number = numbers()?.into_iter().max().unwrap_or(0) + 1;
    Ok((number, path(number)))
}

/// Takes away what neither link leads to: what was interrupted, and what is older.
pub fn tidy() -> Result<()> {
    let kept = ["current", "good"].map(target);
    for number in numbers()?.into_iter().filter(|number| !kept.contains(&Some(*number))) {
        let path = path(number);
        fs::remove_dir_all(&path).with_context(|| format!("removing {}", path.display()))?;
    }
    Ok(())
}

/// Takes away one that came to nothing.
pub fn discard(dir: &Path) {
    if let Err(error) = fs::remove_dir_all(dir) {
        tracing::warn!("removing {}: {error}", dir.display());
    }
}

/// Has a link lead to that number.
pub fn point(link: &str, number: u64) -> Result<()> {
    let (at, new) = (format!("{PULL_DIR}/{link}"), format!("{PULL_DIR}/{link}.new"));
    overlayroot_linux::sys::files::remove(&new)?;
    symlink(number.to_string(), &new).with_context(|| format!("making the link {new}"))?;
    fs::rename(&new, &at).with_context(|| format!("renaming {new} to {at}"))
}

fn target(link: &str) -> Option<u64> {
    fs::read_link(format!("{PULL_DIR}/{link}")).ok()?.to_str()?.parse().ok()
}

fn path(number: u64) -> PathBuf {
    Path::new(PULL_DIR).join(number.to_string())
}

fn numbers() -> Result<Vec<u64>> {
    let entries = fs::read_dir(PULL_DIR).with_context(|| format!("reading {PULL_DIR}"))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}
