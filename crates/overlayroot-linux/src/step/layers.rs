// SPDX-License-Identifier: GPL-2.0-or-later
//! What the merged root will show, told from its layers before the overlay is mounted: whatever is touched in the
//! merged root before the policy is loaded would lose its SELinux label on the way up (Linux 6.1). And what can be
//! told from them only: marks of overlayfs that are somebody's data, as a container store has them.
//!
//! By names: this runs in the initramfs, before anybody else does, and below a place that only root gets to. What an
//! earlier system left in an upper may be anything: each part of a way is looked at before it is used, and none is a
//! link.

use crate::sys::attributes::copy_attributes;
use anyhow::{Context, Result};
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// What one layer has at a path.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub metadata: Metadata,
    /// Whether marks of overlayfs in it are those of the overlay that has it as a layer: of every layer but the lowest.
    /// In that one nothing is removed, and marks are data.
    pub own: bool,
}

impl Layer {
    /// A directory that is no layer of the root's overlay.
    ///
    /// # Errors
    /// Those of lstat(2).
    pub fn whole(path: &str) -> io::Result<Self> {
        Ok(Self { path: path.into(), metadata: fs::symlink_metadata(path)?, own: false })
    }
}

/// What merges to one name of a directory that these merge to, the topmost first, by the rules of overlayfs (kernel:
/// overlayfs.rst): a whiteout or an opaque directory hides what is below. A whiteout of the lowest layer is found.
///
/// # Errors
/// Those of lstat(2).
pub fn merge(directories: &[Layer], name: &OsStr) -> io::Result<Vec<Layer>> {
    let mut found = Vec::new();
    for directory in directories {
        let (path, own) = (directory.path.join(name), directory.own);
        let metadata = match fs::symlink_metadata(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
            other => other?,
        };
        if own && is_whiteout(&metadata) {
            break;
        }
        let closed = !metadata.is_dir() || (own && is_opaque(&path));
        if metadata.is_dir() || found.is_empty() {
            found.push(Layer { path, metadata, own });
        }
        if closed {
            break;
        }
    }
    Ok(found)
}

/// The same for a path; the layers are upper and lowers.
///
/// # Errors
/// Those of lstat(2).
pub fn stack(layers: &[String], path: &str) -> io::Result<Vec<Layer>> {
    let lowest = layers.len().saturating_sub(1);
    let top = |(number, layer): (usize, &String)| {
        let path = PathBuf::from(layer);
        Ok(Layer { metadata: fs::metadata(&path)?, path, own: number < lowest })
    };
    let mut here: Vec<Layer> = layers.iter().enumerate().map(top).collect::<io::Result<_>>()?;
    for part in path.split('/').filter(|part| !part.is_empty()) {
        // A link is not followed.
        here.retain(|layer| layer.metadata.is_dir());
        here = merge(&here, OsStr::new(part))?;
    }
    Ok(here)
}

/// The topmost of what the layers have at `path`. `None` where there is nothing.
pub fn find(layers: &[String], path: &str) -> Option<(String, Metadata)> {
    let Layer { path, metadata, .. } = stack(layers, path).ok()?.into_iter().next()?;
    let path = path.into_os_string().into_string().ok()?;
    (!is_whiteout(&metadata)).then_some((path, metadata))
}

/// Whether overlayfs takes it for a removal: a character device 0:0.
pub fn is_whiteout(metadata: &Metadata) -> bool {
    metadata.file_type().is_char_device() && metadata.rdev() == 0
}

/// Whether overlayfs shows nothing of the layers below in this directory.
pub fn is_opaque(directory: impl AsRef<Path>) -> bool {
    opaque(directory.as_ref()) == Some(b'y')
}

/// Whether what is below this directory has another name in the layers below (`redirect_dir`).
pub fn is_redirected(directory: &Path) -> bool {
    rustix::fs::lgetxattr(directory, "trusted.overlay.redirect", &mut [0; 0]).is_ok()
}

/// That name: one beside it, or a path from the layers' tops.
pub fn redirect(directory: &Path) -> Option<Vec<u8>> {
    let mut value = vec![0; 4096];
    let len = rustix::fs::lgetxattr(directory, "trusted.overlay.redirect", &mut value).ok()?;
    value.truncate(len);
    Some(value)
}

/// The first letter of the mark: `y`, or `x` where whiteouts are marked files (Linux 6.8).
pub(crate) fn opaque(directory: &Path) -> Option<u8> {
    let mut value = [0; 8];
    let len = rustix::fs::lgetxattr(directory, "trusted.overlay.opaque", &mut value);
    len.ok().and_then(|len| value.get(..len)?.first().copied())
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
        symlink(at("low/a"), at("up/linked")).unwrap();
        for way in ["/c/x", "/a/f/x", "/linked/x", "/a/l/x"] {
            assert!(!parents(&layers, None, way).unwrap(), "{way}");
        }
    }
}
