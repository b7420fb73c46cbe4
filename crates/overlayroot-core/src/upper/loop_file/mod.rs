// SPDX-License-Identifier: GPL-2.0-or-later
//! `loop:PATH` with its parameters: a file with a file system in it, on the root's file system or on
//! that of another device.

mod backing;
mod plan;
pub mod resize;
pub mod size;

pub use plan::plan;

use crate::facts::Facts;
use crate::facts::place::PlaceKind;
use crate::facts::wanted::Wanted;
use crate::step::effective::Effective;
use crate::upper::diagnosis::Diagnosis;
use crate::upper::kept;
use crate::upper::needs::Needs;
use crate::upper::resize::Resize;
use crate::upper::root_fs;
use crate::value::device::{BY, Device, parse_device};
use crate::value::diagnostics::{Problem, escape};
use crate::value::file_system::MadeFs;
use crate::value::params::{enough, fs, size, split, unknown};
use crate::value::path::on_root;
use crate::value::size::Size;
use std::fmt;

/// Behind the name of a file that is not finished.
pub const UNFINISHED: &str = ".new";

/// `loop:PATH[,dev=DEVICE][,size=SIZE][,fs=TYPE][,reserve=SIZE][,grow][,discard]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopFile {
    /// Absolute path in the root, or from the top of `dev`.
    pub path: String,
    /// The device whose file system holds the file; the root's where nothing is said.
    pub dev: Option<Device>,
    /// Size; half of what is free above the reserve where nothing is said.
    pub size: Option<Size>,
    /// File system to make.
    pub fs: MadeFs,
    /// What the file leaves free on the file system that holds it; 5 % of it or 512 MiB where
    /// nothing is said, whichever is less.
    pub reserve: Option<Size>,
    /// Follow a `size` that grew.
    pub grow: bool,
    /// Let the file system in it give blocks back by discards.
    pub discard: bool,
}

impl LoopFile {
    /// Most bytes of the default reserve.
    pub const RESERVE: u64 = 512 << 20;

    /// Bytes that stay free on a file system of `all` bytes.
    pub fn reserved(&self, all: u64) -> u64 {
        self.reserve.map_or_else(|| (all / 20).min(Self::RESERVE), |reserve| reserve.of(all))
    }

    /// What its plan depends on: the room is another device's where it names one.
    pub(super) fn wanted(&self) -> Wanted {
        Wanted { mkfs: true, room: self.dev.is_none(), ..kept::WANTED }
    }

    /// What the doctor says of its room: of a file that is there all blocks have their place on the disk.
    pub(super) fn diagnosed(&self, facts: &Facts) -> Option<Diagnosis> {
        let there = facts.place.as_ref().is_some_and(|place| place.kind == PlaceKind::File);
        self.dev.is_none().then(|| root_fs::diagnosed(facts, there)).flatten()
    }

    /// Of an initramfs: a loop device, and mkfs where there is no file yet.
    pub(super) fn needs(&self, facts: Option<&Facts>) -> Needs {
        let place = facts.map(|facts| facts.place.as_ref());
        let there = place.flatten().filter(|place| place.kind == PlaceKind::File);
        let makes = place.is_none_or(|place| place.is_some_and(|place| place.kind == PlaceKind::Missing));
        Needs {
            programs: makes.then(|| format!("mkfs.{}", self.fs.word())).into_iter().collect(),
            modules: vec!["loop".to_owned()],
            file_system: Some(there.map_or_else(|| self.fs.word().to_owned(), |place| place.fstype.clone())),
            by_hand: "overlayctl loop create, or ",
        }
    }
}

/// How one in use gets another size.
pub(super) const RESIZE: Resize = Resize::GrowFile;

/// Whether one that runs lies on the root's file system: the record names the other's device.
pub(super) fn is_on_root(effective: &Effective) -> bool {
    effective.device.is_none()
}

impl fmt::Display for LoopFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path)?;
        if let Some(dev) = &self.dev {
            write!(f, ",dev={dev}")?;
        }
        if let Some(size) = self.size {
            write!(f, ",size={size}")?;
        }
        write!(f, ",fs={}", self.fs.word())?;
        if let Some(reserve) = self.reserve {
            write!(f, ",reserve={reserve}")?;
        }
        for (set, word) in [(self.grow, ",grow"), (self.discard, ",discard")] {
            f.write_str(if set { word } else { "" })?;
        }
        Ok(())
    }
}

/// What stands behind `loop:`.
pub fn parse_loop(text: &str) -> Result<LoopFile, Problem> {
    let file = parse(text)?;
    if file.dev.is_none() {
        on_root(&file.path)?;
    }
    Ok(file)
}

/// The same for the tools, which take a file wherever it lies now (`/sysroot`, `/run/…`).
pub fn parse_loop_by_hand(text: &str) -> Result<LoopFile, Problem> {
    let file = parse(text)?;
    match &file.dev {
        None => Ok(file),
        Some(dev) => {
            let text = format!("dev={dev} is for the boot: by hand the path is that where {dev} is mounted now");
            Err(Problem::new(text, None))
        }
    }
}

fn parse(text: &str) -> Result<LoopFile, Problem> {
    let (path, params) = split(text)?;
    let mut file =
        LoopFile { path, dev: None, size: None, fs: MadeFs::Ext4, reserve: None, grow: false, discard: false };
    for (key, value) in params {
        match (key, value) {
            ("dev", value) => file.dev = Some(dev(value.unwrap_or_default())?),
            ("size", _) => file.size = Some(size(key, value)?),
            ("reserve", Some("0")) => file.reserve = Some(Size::Bytes(0)),
            ("reserve", _) => file.reserve = Some(size(key, value)?),
            ("fs", Some(word)) => file.fs = fs(word)?,
            ("grow", None) => file.grow = true,
            ("discard", None) => file.discard = true,
            _ => return Err(unknown(key, &["dev", "size", "fs", "reserve", "grow", "discard"])),
        }
    }
    enough(file.fs, file.size)?;
    Ok(file)
}

/// A device as for a device upper; a comma ends it here.
fn dev(text: &str) -> Result<Device, Problem> {
    let parsed = parse_device(text).unwrap_or_else(|| {
        let head = text.find('=').map_or(text, |at| text.get(..=at).unwrap_or(text));
        Err(Problem::not_one_of("it", head, &BY))
    });
    parsed.map_err(|problem| Problem::new(format!("dev={}: {}", escape(text), problem.text), problem.nearest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upper::dir::parse_dir;

    #[test]
    fn a_loop_file_with_everything() {
        let file = parse_loop("/var//over.img,size=1536M,fs=xfs,,reserve=10%,grow,discard").unwrap();
        assert_eq!(file.to_string(), "/var/over.img,size=1536M,fs=xfs,reserve=10%,grow,discard");
        assert_eq!(parse_loop("/f").unwrap().to_string(), "/f,fs=ext4");
        assert_eq!(parse_loop("/f,size=8G").unwrap().size, Some(Size::Bytes(8 << 30)));
    }

    #[test]
    fn a_file_of_another_device() {
        for dev in ["LABEL=DATA", "UUID=1-2", "PARTLABEL=a b", "PARTUUID=x", "/dev/vdb"] {
            let file = parse_loop(&format!("/tmp/f,size=64M,dev={dev}")).unwrap();
            assert_eq!(file.to_string(), format!("/tmp/f,dev={dev},size=64M,fs=ext4"));
        }
        for bad in ["", "=", "=vdb", "=LABEL=", "=/dev/../etc"] {
            let problem = parse_loop(&format!("/f,dev{bad}")).unwrap_err();
            assert!(problem.text.starts_with("dev="), "{problem}");
        }
        assert_eq!(parse_loop("/f,dev=LABLE=DATA").unwrap_err().nearest.as_deref(), Some("LABEL="));
        assert!(parse_dir("/d,dev=LABEL=DATA").is_err());
        assert!(parse_loop_by_hand("/f,dev=LABEL=DATA").unwrap_err().text.contains("by hand"));
    }

    #[test]
    fn bad_paths_and_parameters() {
        for bad in ["", "x", "/", "//", "/../etc", "/a/./b", "/a:b", "/a\nb", "/run/x", "/dev/vda", "/tmp/x"] {
            assert!(parse_dir(bad).is_err() && parse_loop(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_loop_by_hand("/run/x,size=16M").unwrap().path, "/run/x");
        for bad in ["size=", "size=1", "size", "size=0%", "fs=vfat", "fs", "grow=1", "sise=8G", "fs=xfs,size=64M"] {
            assert!(parse_loop(&format!("/f,{bad}")).is_err(), "{bad}");
        }
        let near = parse_loop("/f,fs=xfss").unwrap_err().nearest;
        assert_eq!(near.as_deref(), Some("xfs"));
    }

    #[test]
    fn reserves() {
        let file = parse_loop("/f").unwrap();
        assert_eq!(file.reserved(100 << 30), 512 << 20);
        assert_eq!(file.reserved(1000 << 20), 50 << 20);
        assert_eq!(parse_loop("/f,reserve=0").unwrap().reserved(1 << 40), 0);
    }
}
