// SPDX-License-Identifier: GPL-2.0-or-later
//! The tree that an image is made of: found, looked at, and shown to the tool.

use crate::commands::image::layers;
use crate::commands::image::tool::{LeftOut, Tool};
use crate::output::exit::refused;
use crate::state::kept;
use anyhow::{Context, Result, ensure};
use overlayroot_core::layout::paths;
use overlayroot_core::parse::mountinfo::Mount;
use overlayroot_core::record::{NO_RECORD, NOT_OURS};
use overlayroot_core::step::effective::RootKind;
use overlayroot_linux::source::recordfile;
use overlayroot_linux::sys::scratch::Scratch;
use overlayroot_linux::sys::watched::Held;
use overlayroot_linux::sys::{mounts, namespace};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::fs::{self, DirEntry, Metadata};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Directories of a running root that belong to the boot, not to the root.
const OF_THE_BOOT: [&str; 5] = ["dev", "proc", "run", "sys", "tmp"];

/// A tree.
pub struct Source {
    /// Its top.
    pub at: String,
    /// What of it is not to be in the image.
    pub left_out: LeftOut,
}

/// Finds ROOT.
///
/// # Errors
/// Where it is no directory, or no overlay of this project runs.
pub fn find(root: &str) -> Result<Source> {
    let (at, emptied) = match root {
        "merged" => ("/".to_owned(), OF_THE_BOOT.as_slice()),
        "lower" => (lower()?, [].as_slice()),
        path => {
            let at = fs::canonicalize(path).with_context(|| format!("looking for ROOT {path}"))?;
            ensure!(at.is_dir(), "ROOT {path} is not a directory");
            (at.to_str().with_context(|| format!("ROOT {path} is not UTF-8"))?.to_owned(), [].as_slice())
        }
    };
    Ok(Source { at, left_out: LeftOut { paths: Vec::new(), emptied } })
}

fn lower() -> Result<String> {
    let record = recordfile::read(paths::RECORD)?.ok_or_else(|| refused(NO_RECORD))?;
    let overlay = record.effective.root == RootKind::Overlay;
    overlay.then_some(()).ok_or_else(|| refused(NOT_OURS))?;
    Ok(kept::lower(&record)?.to_owned())
}

impl Source {
    /// The path as seen from the top; `None` for one that is not in the tree.
    pub fn relative(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(self.at.trim_end_matches('/'))?;
        rest.strip_prefix('/').map(str::to_owned)
    }

    /// Shows it where nobody else sees it, read-only, and without what is mounted below.
    pub fn view(&self, held: &Held) -> Result<View> {
        let layers = layers::of(&self.at)?;
        namespace::own_mounts()?;
        let view = View(Scratch::new()?);
        mounts::bind(&self.at, &view.at())?;
        mounts::remount_bind(&view.at(), true)?;
        if let Some(layers) = layers {
            layers::show(&view.at(), &layers, &self.left_out, held)?;
        }
        Ok(view)
    }

    /// What is worth saying before it is packed.
    pub fn notes(&self, view: &str, tool: &Tool) -> Result<Vec<String>> {
        let mut notes = Vec::new();
        let mounted = |mount: &Mount| self.relative(&mount.at).filter(|path| !path.is_empty());
        let of_the_boot = |path: &String| OF_THE_BOOT.contains(&path.split('/').next().unwrap_or_default());
        let apart: HashSet<String> = mounts::read()?.iter().filter_map(mounted).collect();
        let mut apart: Vec<String> = apart.into_iter().filter(|path| !of_the_boot(path)).collect();
        apart.sort_unstable();
        if !apart.is_empty() {
            notes.push(format!("not in the image (mounted separately): {}", apart.join(", ")));
        }
        let has = |name: &str| Path::new(view).join(name).is_dir() && !self.left_out.has(name);
        if has("LiveOS") {
            notes.push("dracut looks for its root in LiveOS, which the tree has, not at its top".to_owned());
        } else if !has("usr") || !has("proc") {
            notes.push("dracut takes no live image without /usr (from 106 on) or /proc (before)".to_owned());
        }
        for path in &self.left_out.paths {
            if fs::symlink_metadata(Path::new(view).join(path)).is_err() {
                notes.push(format!("--exclude {path}: not found"));
            }
        }
        let (name, option) = tool.compression.of(tool.kind);
        let unread = kernels_without(view, option);
        if !unread.is_empty() {
            let (kind, kernels) = (tool.kind.word(), unread.join(", "));
            notes.push(format!("can't be read by kernels of the tree: {kernels} lack {option} ({kind}, {name})"));
        }
        Ok(notes)
    }
}

/// The kernels that are in a tree with their configuration, and were built without `option`.
fn kernels_without(view: &str, option: &str) -> Vec<String> {
    let list = |dir: &str| fs::read_dir(format!("{view}/{dir}")).into_iter().flatten().flatten();
    let name = |entry: &DirEntry| entry.file_name().to_string_lossy().into_owned();
    let boot = list("boot").filter_map(|entry| Some((name(&entry).strip_prefix("config-")?.to_owned(), entry.path())));
    let modules = list("usr/lib/modules").map(|entry| (name(&entry), entry.path().join("config")));
    let lacks = |path: &PathBuf| {
        let text = overlayroot_linux::sys::files::text(path);
        !text.is_empty() && !text.lines().any(|line| line == format!("{option}=y"))
    };
    let mut found: Vec<String> =
        boot.chain(modules).filter(|(_, path)| lacks(path)).map(|(release, _)| release).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// A tree as the tool is to see it; gone when dropped.
pub struct View(Scratch);

impl View {
    /// Where it is.
    pub fn at(&self) -> String {
        self.0.mount_point()
    }

    /// Where the tool's output goes.
    pub fn log(&self) -> String {
        self.0.log()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // With the stores over it.
        let _ = mounts::detach(&self.at());
    }
}

/// What a tree holds.
pub struct Survey {
    /// Bytes of all files, hard links once.
    pub bytes: u64,
    /// Everything that is not a directory.
    pub files: u64,
    /// Differs for trees that differ in names, attributes, sizes or times, those after the epoch apart.
    pub uuid: String,
}

/// Goes through a tree in an order that does not depend on its file system.
///
/// # Errors
/// Where a directory can't be read, or somebody wants an end of it.
pub fn survey(view: &str, left_out: &LeftOut, epoch: Option<u64>, held: &Held) -> Result<Survey> {
    let (mut survey, mut digest) = (Survey { bytes: 0, files: 0, uuid: String::new() }, Sha256::new());
    let (mut links, mut waiting) = (HashSet::new(), vec![String::new()]);
    digest.update(epoch.unwrap_or(0).to_le_bytes());
    while let Some(directory) = waiting.pop() {
        held.check()?;
        let at = format!("{view}/{directory}");
        let mut entries: Vec<DirEntry> =
            fs::read_dir(&at).and_then(Iterator::collect).with_context(|| format!("reading /{directory}"))?;
        entries.sort_unstable_by_key(DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name();
            let path = format!("{directory}{}", name.to_string_lossy());
            let metadata = match entry.metadata() {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                other => other.with_context(|| format!("looking at /{path}"))?,
            };
            if left_out.has(&path) {
                continue;
            }
            digest.update(line(&path, &metadata, epoch));
            if metadata.is_dir() {
                waiting.push(format!("{path}/"));
                continue;
            }
            survey.files += 1;
            if metadata.is_file() && (metadata.nlink() == 1 || links.insert((metadata.dev(), metadata.ino()))) {
                survey.bytes += metadata.len();
            }
        }
    }
    survey.uuid = uuid(&digest.finalize());
    Ok(survey)
}

fn line(path: &str, metadata: &Metadata, epoch: Option<u64>) -> String {
    let size = if metadata.is_dir() { 0 } else { metadata.len() };
    let time = epoch.and_then(|epoch| i64::try_from(epoch).ok()).unwrap_or(i64::MAX).min(metadata.mtime());
    let (mode, owner) = (metadata.mode(), (metadata.uid(), metadata.gid()));
    format!("{path}\0{mode:o} {owner:?} {size} {} {time}\n", metadata.rdev())
}

/// A UUID of version 8 (RFC 9562), whose bits are whatever one likes.
fn uuid(digest: &[u8]) -> String {
    let mut text = String::new();
    for (at, byte) in digest.iter().take(16).enumerate() {
        let byte = match at {
            6 => byte & 0x0f | 0x80,
            8 => byte & 0x3f | 0x80,
            _ => *byte,
        };
        text.push_str(if matches!(at, 4 | 6 | 8 | 10) { "-" } else { "" });
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_uuid_is_of_the_tree() {
        assert_eq!(uuid(&[0xff; 32]), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir(at("a")).unwrap();
        fs::write(at("a/file"), [1; 1000]).unwrap();
        fs::hard_link(at("a/file"), at("link")).unwrap();
        let left_out = LeftOut { paths: vec!["out".to_owned()], emptied: &[] };
        let held = Held::new().unwrap();
        let look = || survey(dir.path().to_str().unwrap(), &left_out, Some(1), &held).unwrap();
        let first = look();
        assert_eq!((first.bytes, first.files), (1000, 2));
        fs::write(at("out"), "not of the tree").unwrap();
        fs::write(at("a/file"), [2; 1000]).unwrap();
        assert_eq!(look().uuid, first.uuid);
        fs::write(at("a/file"), [2; 1001]).unwrap();
        assert_ne!(look().uuid, first.uuid);
    }

    #[test]
    fn kernels_that_can_t_read_it() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("boot")).unwrap();
        fs::create_dir_all(dir.path().join("usr/lib/modules/6.1")).unwrap();
        fs::write(dir.path().join("boot/config-4.18"), "# CONFIG_SQUASHFS_ZSTD is not set\n").unwrap();
        fs::write(dir.path().join("usr/lib/modules/6.1/config"), "CONFIG_SQUASHFS_ZSTD=y\n").unwrap();
        assert_eq!(kernels_without(dir.path().to_str().unwrap(), "CONFIG_SQUASHFS_ZSTD"), ["4.18"]);
    }
}
