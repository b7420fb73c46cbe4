// SPDX-License-Identifier: GPL-2.0-or-later
//! Random work on a tree.

use proptest::prelude::*;
use rustix::fs::XattrFlags;
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// Few, so that they meet.
const NAMES: [&[u8]; 4] = [b"a", b"b", b"c\xff", b"d"];

#[derive(Debug, Clone)]
pub(crate) enum Op {
    Write(Vec<usize>, u8),
    /// The same size, and the time set back: only reading tells.
    Sneak(Vec<usize>, u8),
    /// Copied up and left alone.
    Open(Vec<usize>),
    Truncate(Vec<usize>),
    Chmod(Vec<usize>, u8),
    Chown(Vec<usize>, u8),
    Xattr(Vec<usize>, u8),
    Touch(Vec<usize>),
    Mkdir(Vec<usize>),
    Replace(Vec<usize>),
    Remove(Vec<usize>),
    Rename(Vec<usize>, Vec<usize>),
    Link(Vec<usize>, Vec<usize>),
    Symlink(Vec<usize>, u8),
    Fifo(Vec<usize>),
}

fn path() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(0..NAMES.len(), 1..4)
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    use Op::*;
    prop_oneof![
        4 => (path(), 0..4_u8).prop_map(|(path, byte)| Write(path, byte)),
        1 => (path(), 0..4_u8).prop_map(|(path, byte)| Sneak(path, byte)),
        1 => path().prop_map(Open),
        1 => path().prop_map(Truncate),
        2 => (path(), 0..3_u8).prop_map(|(path, mode)| Chmod(path, mode)),
        1 => (path(), 0..3_u8).prop_map(|(path, id)| Chown(path, id)),
        2 => (path(), 0..3_u8).prop_map(|(path, value)| Xattr(path, value)),
        1 => path().prop_map(Touch),
        4 => path().prop_map(Mkdir),
        1 => path().prop_map(Replace),
        2 => path().prop_map(Remove),
        5 => (path(), path()).prop_map(|(from, to)| Rename(from, to)),
        1 => (path(), path()).prop_map(|(from, to)| Link(from, to)),
        1 => (path(), 0..3_u8).prop_map(|(path, to)| Symlink(path, to)),
        1 => path().prop_map(Fifo),
    ]
}

fn at(top: &Path, path: &[usize]) -> PathBuf {
    path.iter().fold(top.to_path_buf(), |at, name| at.join(OsStr::from_bytes(NAMES[*name])))
}

/// Not through a link: that would leave the tree, or loop.
fn file(at: &Path, options: &mut OpenOptions) -> io::Result<File> {
    match fs::symlink_metadata(at) {
        Ok(found) if !found.is_file() => Err(io::ErrorKind::InvalidInput.into()),
        _ => options.open(at),
    }
}

fn remove(at: &Path) -> io::Result<()> {
    match fs::symlink_metadata(at)?.is_dir() {
        true => fs::remove_dir_all(at),
        false => fs::remove_file(at),
    }
}

/// What can't be done is left undone: random work often makes no sense.
pub(crate) fn act(top: &Path, op: &Op) -> io::Result<()> {
    let at = |path: &[usize]| at(top, path);
    match op {
        Op::Write(path, byte) => {
            let mut file = file(&at(path), OpenOptions::new().write(true).create(true).truncate(true))?;
            file.write_all(&vec![b'0' + byte; 3 + usize::from(*byte) / 2])
        }
        Op::Sneak(path, byte) => {
            let mut file = file(&at(path), OpenOptions::new().read(true).write(true))?;
            let (size, time) = (file.metadata()?.len(), file.metadata()?.modified()?);
            file.seek(io::SeekFrom::Start(0))?;
            file.write_all(&vec![b'0' + byte; usize::try_from(size).unwrap()])?;
            file.set_times(FileTimes::new().set_modified(time))
        }
        Op::Open(path) => file(&at(path), OpenOptions::new().read(true).write(true)).map(drop),
        Op::Truncate(path) => file(&at(path), OpenOptions::new().write(true))?.set_len(4),
        Op::Chmod(path, mode) => {
            let found = fs::symlink_metadata(at(path))?;
            let mode = [0o700, 0o755, 0o1777][usize::from(*mode)];
            if found.is_symlink() { Ok(()) } else { fs::set_permissions(at(path), fs::Permissions::from_mode(mode)) }
        }
        Op::Chown(path, id) => std::os::unix::fs::lchown(at(path), Some((*id).into()), None),
        Op::Xattr(path, value) => {
            rustix::fs::lsetxattr(at(path), "trusted.test", &[*value], XattrFlags::empty()).map_err(Into::into)
        }
        Op::Touch(path) => {
            let file = file(&at(path), OpenOptions::new().write(true))?;
            file.set_times(FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH))
        }
        Op::Mkdir(path) => fs::create_dir_all(at(path)),
        Op::Replace(path) => {
            remove(&at(path))?;
            fs::create_dir(at(path))
        }
        Op::Remove(path) => remove(&at(path)),
        Op::Rename(from, to) => fs::rename(at(from), at(to)),
        Op::Link(from, to) => fs::hard_link(at(from), at(to)),
        Op::Symlink(path, to) => symlink(["x", "yy", "xx"][usize::from(*to)], at(path)),
        Op::Fifo(path) => {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            mknodat(CWD, at(path), FileType::Fifo, Mode::RUSR, 0).map_err(Into::into)
        }
    }
}
