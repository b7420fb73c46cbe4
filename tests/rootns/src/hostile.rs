// SPDX-License-Identifier: GPL-2.0-or-later
//! What can have any name on a file system that others could write, and what must not change whatever is there.

use crate::{Disk, Stage};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Output;
use std::time::{SystemTime, UNIX_EPOCH};

/// Longest that a step may take over anything, in seconds of a processor, and its most memory, in bytes. By the clock
/// it has longer, for the machine may be busy with other tests: what hangs, hangs for ever.
pub const SECONDS: u32 = 20;
/// The same by the clock.
pub const HANGS: u32 = 90;
const MEMORY: u32 = 256 << 20;
const OUTSIDE: &str = "/outside";
const SECRET: &str = "root's own\n";

/// Numbers that differ in each run; `ROOTNS_SEED` gives those of an earlier one again.
pub struct Chance(u64);

impl Chance {
    /// Tells its seed, for the case that a test fails.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_nanos() as u64);
        let seed = std::env::var("ROOTNS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(now);
        println!("ROOTNS_SEED={seed}");
        Self(seed | 1)
    }

    /// One below `most`.
    pub fn below(&mut self, most: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % most
    }

    /// One of them.
    pub fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }
}

impl Default for Chance {
    fn default() -> Self {
        Self::new()
    }
}

/// How many cases a test makes up: `ROOTNS_CASES`.
pub fn cases(usual: usize) -> usize {
    std::env::var("ROOTNS_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// What must stay as it is: files, a directory, a whole disk.
pub struct Outside {
    victim: Disk,
    bytes: Vec<u8>,
}

impl Outside {
    /// Makes it, and the programs `/bounded-NAME`, which end after [`SECONDS`] and get no more memory than they may.
    pub fn new(stage: &Stage) -> Self {
        for directory in [OUTSIDE, "/outside/etc", "/outside/etc/ssh"] {
            fs::create_dir(directory).expect("outside");
            fs::write(format!("{directory}/secret"), SECRET).expect("a secret");
            fs::set_permissions(format!("{directory}/secret"), fs::Permissions::from_mode(0o600)).expect("its mode");
        }
        fs::write("/outside/etc/ssh/ssh_host_key", SECRET).expect("a key");
        for program in ["overlay-assemble", "overlayimageroot", "overlayctl"] {
            let script = format!(
                "#!/bin/sh\nexec timeout -k 1 {HANGS} prlimit --cpu={SECONDS} --as={MEMORY} /{program} \"$@\"\n"
            );
            fs::write(format!("/bounded-{program}"), script).expect("a script");
            fs::set_permissions(format!("/bounded-{program}"), fs::Permissions::from_mode(0o755)).expect("its mode");
        }
        let victim = stage.disk("victim.img", 1, &["-t", "ext4"]);
        let bytes = victim.bytes();
        Self { victim, bytes }
    }

    /// Puts something of one of the kinds at `path`, whose directories are made where that can be.
    ///
    /// # Panics
    /// Where that fails for another reason than that something is in the way.
    pub fn put(&self, kind: &str, path: &str) {
        let parent = Path::new(path).parent().expect("a parent");
        // What an earlier one put on the way stays.
        let mut way = std::path::PathBuf::new();
        for part in parent.components() {
            way.push(part);
            if !way.exists() && fs::symlink_metadata(&way).is_err() {
                fs::create_dir(&way).expect("a directory on the way");
            }
            if !fs::symlink_metadata(&way).is_ok_and(|at| at.is_dir()) {
                return;
            }
        }
        if let Ok(there) = fs::symlink_metadata(path) {
            match there.is_dir() {
                true => fs::remove_dir_all(path).expect("taking away what is there"),
                false => fs::remove_file(path).expect("taking away what is there"),
            }
        }
        let node = |kind: SFlag, device| mknod(path, kind, Mode::S_IRWXU, device).expect("a node");
        match kind {
            "link to a file" => symlink("/outside/secret", path).expect(kind),
            "link to a directory" => symlink(OUTSIDE, path).expect(kind),
            "link to nothing" => symlink("/outside/made", path).expect(kind),
            "link to a disk" => symlink(&self.victim.node, path).expect(kind),
            "link to zeros" => symlink("/dev/zero", path).expect(kind),
            "link to itself" => symlink(path, path).expect(kind),
            "pipe" => node(SFlag::S_IFIFO, 0),
            "zeros" => node(SFlag::S_IFCHR, makedev(1, 5)),
            "whiteout" => node(SFlag::S_IFCHR, 0),
            "disk" => node(SFlag::S_IFBLK, fs::metadata(&self.victim.node).expect("the disk").rdev()),
            "socket" => drop(std::os::unix::net::UnixListener::bind(path).expect(kind)),
            "directory" => fs::create_dir(path).expect(kind),
            "full directory" => {
                fs::create_dir_all(format!("{path}/a/b/c")).expect(kind);
                symlink(OUTSIDE, format!("{path}/a/link")).expect(kind);
                fs::write(format!("{path}/a/file"), "x").expect(kind);
            }
            "nothing in it" => drop(File::create(path).expect(kind)),
            "sparse" => File::create(path).and_then(|file| file.set_len(1 << 33)).expect(kind),
            "huge" => fs::write(path, vec![b'{'; 6 << 20]).expect(kind),
            other => panic!("no kind {other}"),
        }
    }

    /// Looks whether anything has changed.
    ///
    /// # Panics
    /// Where it has.
    pub fn unchanged(&self, case: &str) {
        for directory in [OUTSIDE, "/outside/etc", "/outside/etc/ssh"] {
            let secret = fs::read_to_string(format!("{directory}/secret")).unwrap_or_default();
            assert_eq!(secret, SECRET, "{case}: {directory}");
            let mode = fs::metadata(format!("{directory}/secret")).map_or(0, |secret| secret.mode() & 0o7777);
            assert_eq!(mode, 0o600, "{case}: {directory}");
        }
        let mut names = Vec::new();
        for directory in [OUTSIDE, "/outside/etc", "/outside/etc/ssh"] {
            names.extend(fs::read_dir(directory).expect("outside").flatten().map(|entry| entry.file_name()));
        }
        names.sort();
        assert_eq!(names, ["etc", "secret", "secret", "secret", "ssh", "ssh_host_key"], "{case}");
        assert_eq!(fs::read_to_string("/outside/etc/ssh/ssh_host_key").unwrap_or_default(), SECRET, "{case}");
        assert!(self.victim.bytes() == self.bytes, "{case}: the disk was written");
        assert!(fs::metadata("/dev/zero").is_ok_and(|zero| zero.file_type().is_char_device()), "{case}");
    }
}

/// All kinds of [`Outside::put`].
pub const KINDS: [&str; 16] = [
    "link to a file",
    "link to a directory",
    "link to nothing",
    "link to a disk",
    "link to zeros",
    "link to itself",
    "pipe",
    "zeros",
    "whiteout",
    "disk",
    "socket",
    "directory",
    "full directory",
    "nothing in it",
    "sparse",
    "huge",
];

/// A program of [`Outside::new`] has come to an end of its own.
///
/// # Panics
/// Where it has not.
pub fn ended(output: &Output, case: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(!matches!(code, Some(124 | 137) | None), "{case}: it took more than {SECONDS} s, or hung: {said}");
    assert!(!said.contains("memory allocation"), "{case}: it took more memory: {said}");
}
