// SPDX-License-Identifier: GPL-2.0-or-later
//! Looks at the path asked for as upper, without following a link on the way.

use crate::sys::plain_way::{self, End};
use crate::sys::{blkid, casefold};
use overlayroot_core::config::Config;
use overlayroot_core::facts::place::{Place, PlaceKind};
use overlayroot_core::upper::Upper;
use overlayroot_core::upper::loop_file::UNFINISHED;
use overlayroot_core::value::file_system::MadeFs;
use std::fs::{self, FileType};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// What lies at the path that the configuration asks for, in the root at `root`.
pub fn place_of(config: &Config, root: &str) -> Option<Place> {
    let path = config.upper.value.path_in_root()?;
    Some(if let Upper::Loop(_) = &config.upper.value { look_into(root, path) } else { look(root, path) })
}

/// What lies at `path` in the root at `root`.
pub fn look(root: &str, path: &str) -> Place {
    barred(root, path).unwrap_or_else(|| {
        let found = fs::symlink_metadata(format!("{root}{path}"));
        Place { kind: found.map_or(PlaceKind::Missing, |found| kind(found.file_type())), ..Place::default() }
    })
}

/// The same for a file that holds a file system: how large it is, what is in it, and what an interrupted making left.
pub fn look_into(root: &str, path: &str) -> Place {
    if let Some(place) = barred(root, path) {
        return place;
    }
    let full = format!("{root}{path}");
    let half = fs::symlink_metadata(format!("{full}{UNFINISHED}")).ok().filter(fs::Metadata::is_file);
    let mut place = Place { half_made: half.map_or(0, |metadata| metadata.blocks() * 512), ..Place::default() };
    if let Ok(metadata) = fs::symlink_metadata(&full) {
        place.kind = kind(metadata.file_type());
        if place.kind == PlaceKind::File {
            place.bytes = metadata.len();
            place.fstype = blkid::probe(&full).map(|probe| probe.fstype).unwrap_or_default();
            place.casefold = casefold::has(&full, &place.fstype);
        }
    }
    place
}

/// What is to be said of a place to which no plain directories lead.
fn barred(root: &str, path: &str) -> Option<Place> {
    let (parent, _) = path.rsplit_once('/').unwrap_or(("", path));
    match plain_way::follow(root, parent) {
        End::Open => None,
        End::Other(way, _) => Some(Place { blocked_by: Some(way), ..Place::default() }),
        End::Missing(..) => Some(Place::default()),
    }
}

fn kind(of: FileType) -> PlaceKind {
    match (of.is_dir(), of.is_file(), of.is_symlink()) {
        (true, ..) => PlaceKind::Directory,
        (_, true, _) => PlaceKind::File,
        (.., true) => PlaceKind::Link,
        _ => PlaceKind::Other,
    }
}

/// Programs for making file systems that can be run here.
pub fn mkfs() -> Vec<String> {
    let programs = MadeFs::ALL.iter().map(|(word, _)| format!("mkfs.{word}"));
    programs.filter(|name| is_here(name)).collect()
}

/// Whether a program can be run here.
pub fn is_here(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut directories = path.split(':').chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"]);
    directories.any(|dir| Path::new(dir).join(program).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_there() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("var/lib")).unwrap();
        fs::write(at("var/file"), [0; 4096]).unwrap();
        fs::write(at("var/half.new"), [1; 8192]).unwrap();
        std::os::unix::fs::symlink("/etc", at("link")).unwrap();
        let root = root.path().to_str().unwrap();
        assert_eq!(look(root, "/var/lib").kind, PlaceKind::Directory);
        assert_eq!(look(root, "/var/none/deeper"), Place::default());
        let file = look_into(root, "/var/file");
        assert_eq!((file.kind, file.bytes, file.fstype.as_str()), (PlaceKind::File, 4096, ""));
        assert_eq!(look(root, "/var/file"), Place { kind: PlaceKind::File, ..Place::default() });
        assert_eq!(look(root, "/link").kind, PlaceKind::Link);
        assert_eq!(look(root, "/link/x").blocked_by.as_deref(), Some("/link"));
        assert_eq!(look_into(root, "/link/x").blocked_by.as_deref(), Some("/link"));
        let half = look_into(root, "/var/half");
        assert!(half.kind == PlaceKind::Missing && half.half_made >= 8192, "{half:?}");
    }
}
