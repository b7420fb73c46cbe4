// SPDX-License-Identifier: GPL-2.0-or-later
//! Random work in a tree: few names, so that most of it meets what is there already.

use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use rustix::fs::XattrFlags;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, PermissionsExt, lchown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// xorshift64*: the same numbers for the same seed, everywhere.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, most: u64) -> u64 {
        (self.next() >> 16) % most
    }
}

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A path of one to three names.
pub(crate) fn path(rng: &mut Rng) -> PathBuf {
    let depth = 1 + rng.below(3);
    (0..depth).map(|_| NAMES[usize::try_from(rng.below(5)).unwrap()]).collect()
}

/// So many changes of a tree. What can't be done in it is passed over.
pub(crate) fn work(top: &Path, rng: &mut Rng, changes: u64) {
    for _ in 0..changes {
        let (one, other) = (top.join(path(rng)), top.join(path(rng)));
        // Opening a pipe waits for its other end.
        let is_pipe = fs::symlink_metadata(&one).is_ok_and(|found| found.file_type().is_fifo());
        let _ = if is_pipe && rng.below(2) == 0 { fs::remove_file(&one) } else { change(&one, &other, is_pipe, rng) };
    }
}

fn change(one: &Path, other: &Path, is_pipe: bool, rng: &mut Rng) -> io::Result<()> {
    match rng.below(24) {
        0..=4 | 21 | 22 if is_pipe => Ok(()),
        0..=3 => fs::write(one, vec![b'x'; usize::try_from(rng.below(9000)).unwrap()]),
        4 => File::options().append(true).open(one)?.write_all(b"more"),
        5..=8 => fs::create_dir_all(one),
        9 => fs::remove_dir_all(one),
        10 => fs::remove_file(one),
        11 | 12 => fs::rename(one, other),
        13 | 14 => fs::hard_link(one, other),
        15 => symlink("somewhere", one),
        16 => node(one, rng),
        17 => fs::set_permissions(one, Permissions::from_mode([0o755, 0o4711, 0o640, 0o1777][pick(rng, 4)])),
        18 => lchown(one, Some(1000), Some([0, 50][pick(rng, 2)])),
        19 | 20 => attribute(one, rng),
        21 => sparse(one),
        22 => File::open(one)?.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(rng.below(1 << 30))),
        // A directory in the place of what was there.
        _ => {
            let _ = fs::remove_dir_all(one).or_else(|_| fs::remove_file(one));
            fs::create_dir(one)?;
            fs::write(one.join("e"), "new")
        }
    }
}

fn pick(rng: &mut Rng, most: u64) -> usize {
    usize::try_from(rng.below(most)).unwrap()
}

fn node(path: &Path, rng: &mut Rng) -> io::Result<()> {
    let mode = Mode::from_bits_truncate(0o644);
    match rng.below(3) {
        0 => Ok(mknod(path, SFlag::S_IFIFO, mode, 0)?),
        1 => Ok(mknod(path, SFlag::S_IFCHR, mode, makedev(1, 3))?),
        _ => UnixListener::bind(path).map(drop),
    }
}

/// `u::rwx,u:1000:rwx,g::r-x,m::rwx,o::r-x` (kernel: posix_acl_xattr.h).
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 7, 0, 255, 255, 255, 255, 2, 0, 7, 0, 232, 3, 0, 0, 4, 0, 5, 0, 255, 255, 255, 255, 16, 0, 7, 0,
    255, 255, 255, 255, 32, 0, 5, 0, 255, 255, 255, 255,
];
/// `cap_net_raw=ep` (linux/capability.h, revision 2).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn attribute(path: &Path, rng: &mut Rng) -> io::Result<()> {
    let set = |name: &str, value: &[u8]| Ok(rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())?);
    match rng.below(7) {
        0 => set("system.posix_acl_access", &ACL),
        1 => set("system.posix_acl_default", &ACL),
        2 => set("security.capability", &CAPABILITY),
        3 => set("user.test", b"one"),
        4 => set("trusted.test", b"two"),
        5 => Ok(rustix::fs::lremovexattr(path, "system.posix_acl_default")?),
        _ => Ok(rustix::fs::lremovexattr(path, "trusted.test")?),
    }
}

fn sparse(path: &Path) -> io::Result<()> {
    let file = File::create(path)?;
    file.set_len(1 << 20)?;
    file.write_all_at(b"in the middle", 300_000)?;
    // Blocks that nobody has written.
    let _ = fallocate(&file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, 4096);
    Ok(())
}
