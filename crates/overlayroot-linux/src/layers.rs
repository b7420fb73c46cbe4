// SPDX-License-Identifier: GPL-2.0-or-later
//! What the merged root will show, told from its layers before the overlay is mounted: whatever is touched in the
//! merged root before the policy is loaded would lose its SELinux label on the way up (Linux 6.1).
//!
//! By names: this runs in the initramfs, before anybody else does, and below a place that only root gets to. What an
//! earlier system left in an upper may be anything: each part of a way is looked at before it is used, and none is a
//! link.

use crate::store::copy_attributes;
use anyhow::{Context, Result};
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

/// The topmost of what the layers have at `path`, by the rules of overlayfs (kernel: overlayfs.rst): a whiteout or
/// an opaque directory hides what is below. `None` where there is nothing.
pub fn find(layers: &[String], path: &str) -> Option<(String, Metadata)> {
    let mut merged: Vec<String> = layers.to_vec();
    let mut found = None;
    let mut parts = path.split('/').filter(|part| !part.is_empty()).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        found = None;
        let mut next = Vec::new();
        for directory in merged {
            let here = format!("{directory}/{part}");
            let Ok(metadata) = fs::symlink_metadata(&here) else { continue };
            if is_whiteout(&metadata) {
                break;
            }
            if !metadata.is_dir() {
                if next.is_empty() && last {
                    found = Some((here, metadata));
                }
                break;
            }
            let closed = is_opaque(&here);
            if next.is_empty() {
                found = Some((here.clone(), metadata));
            }
            next.push(here);
            if closed {
                break;
            }
        }
        merged = next;
        if merged.is_empty() && !last {
            return None;
        }
    }
    found
}

fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// Whether overlayfs shows nothing of the layers below in this directory.
pub fn is_opaque(directory: &str) -> bool {
    let mut value = [0; 8];
    let len = rustix::fs::lgetxattr(directory, "trusted.overlay.opaque", &mut value);
    matches!(len.ok().and_then(|len| value.get(..len)), Some(b"y"))
}

/// Makes the directories on the way to `path` in the topmost layer, with the attributes that they have in the others,
/// or else below `like`; false where something is in the way.
///
/// # Errors
/// Those of the file system.
pub fn parents(layers: &[String], like: Option<&str>, path: &str) -> Result<bool> {
    let Some(upper) = layers.first() else { return Ok(false) };
    let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
    let mut way = String::new();
    for part in parent.split('/').filter(|part| !part.is_empty()) {
        way = format!("{way}/{part}");
        let here = format!("{upper}{way}");
        match (fs::symlink_metadata(&here), find(layers, &way)) {
            (Ok(metadata), _) if metadata.is_dir() => {}
            (Ok(_), _) => return Ok(false),
            (Err(_), Some((_, metadata))) if !metadata.is_dir() => return Ok(false),
            (Err(_), found) => {
                fs::create_dir(&here).with_context(|| format!("making {here}"))?;
                let model = found.map(|(model, _)| model).or_else(|| like.map(|like| format!("{like}{way}")));
                if let Some(model) = model.filter(|model| fs::symlink_metadata(model).is_ok_and(|at| at.is_dir())) {
                    copy_attributes(&model, &here)?;
                }
            }
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn the_topmost_counts_and_a_file_hides_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        for made in ["up/a", "low/a/b", "low/c", "up/only"] {
            fs::create_dir_all(at(made)).unwrap();
        }
        fs::write(at("up/c"), "").unwrap();
        fs::write(at("low/a/f"), "").unwrap();
        symlink("x", at("low/a/l")).unwrap();
        let layers = ["up", "low"].map(|name| at(name).to_str().unwrap().to_owned());
        let ends = |path: &str| {
            find(&layers, path).map(|(found, _)| found.rsplit_once(dir.path().to_str().unwrap()).unwrap().1.to_owned())
        };
        assert_eq!(ends("/a").as_deref(), Some("/up/a"));
        assert_eq!(ends("/a/b").as_deref(), Some("/low/a/b"));
        assert_eq!(ends("/a/f").as_deref(), Some("/low/a/f"));
        assert_eq!(ends("/c").as_deref(), Some("/up/c"));
        assert_eq!((ends("/c/x"), ends("/a/l/x"), ends("/none/x"), ends("/none")), (None, None, None, None));
        fs::set_permissions(at("low/a/b"), fs::Permissions::from_mode(0o751)).unwrap();
        assert!(parents(&layers, None, "/a/b/new").unwrap());
        assert_eq!(fs::metadata(at("up/a/b")).unwrap().permissions().mode() & 0o777, 0o751);
        assert!(!parents(&layers, None, "/c/x").unwrap() && !parents(&layers, None, "/a/f/x").unwrap());
    }
}
