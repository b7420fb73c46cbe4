// SPDX-License-Identifier: GPL-2.0-or-later
//! A stage for `overlay-assemble`: a mount namespace with a `/` of its own, a real ext4 root on
//! `/sysroot`, an empty `/run`, real loop devices, and a command line of the test's choice.
//!
//! Each test runs in a thread of its own; leaving it takes every mount away, and every loop
//! device is detached also when the test fails.

pub mod archive;
pub mod card;
pub mod cost;
pub mod disk;
pub mod forge;
pub mod hostile;
pub mod hostile_git;
pub mod http;
pub mod image_cache;
pub mod off;
pub mod old_kernel;
pub mod outsider;
pub mod programs;
pub mod pulling;
pub mod same;
pub mod schema;
mod stays;
pub mod subvol;
pub mod tape;
pub mod tar;

pub use disk::Disk;

use disk::{disk_at, filled};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use off::{unmount, unmounted};
use overlayroot_core::parse::mountinfo::{self, Mount};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const NO: Option<&str> = None;

/// Runs `test` on a stage of its own. Fails where the machine can't give one; there is no skip.
pub fn on_stage(name: &str, test: impl FnOnce(&mut Stage) + Send + 'static) {
    on_stage_with(name, "ext4", 24, test);
}

/// The same with a root of `mib` MiB that is `fstype` (ext4, xfs, btrfs).
pub fn on_stage_with(name: &str, fstype: &'static str, mib: u64, test: impl FnOnce(&mut Stage) + Send + 'static) {
    on_stage_made(name, fstype, mib, &[], test);
}

/// The same, with further arguments of mke2fs or mkfs.
pub fn on_stage_made(
    name: &str,
    fstype: &'static str,
    mib: u64,
    mkfs: &'static [&'static str],
    test: impl FnOnce(&mut Stage) + Send + 'static,
) {
    assert!(nix::unistd::geteuid().is_root(), "the rootns tier needs root: sudo make test-rootns");
    let name = name.to_owned();
    // Removed by this thread: the other has another root at its end.
    let images = tempfile::tempdir().expect("a directory for images");
    let at = images.path().to_owned();
    let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
        // The machine that runs the tests keeps its name.
        unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS).expect("private namespaces");
        mount(NO, "/", NO, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NO).expect("making / private");
        let mut stage = Stage::build(at, fstype, mib, mkfs);
        test(&mut stage);
    });
    let ended = thread.expect("a thread").join();
    drop(images);
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}

/// How many stages this program has built.
static BUILT: AtomicU32 = AtomicU32::new(0);

/// The stage.
pub struct Stage {
    /// Unique part of labels, for loop devices are seen by every test.
    pub tag: String,
    images: PathBuf,
    fstype: &'static str,
    /// Options that the root is mounted with besides `ro` or `rw`, as `rootflags=` gives them.
    pub root_options: &'static str,
    /// Disk of the root.
    pub root: Disk,
}

/// Runs a program and expects success. A device that is busy is tried for three seconds: who sets up another loop
/// device by its number, as losetup of a test beside this one does, holds it for a moment, and the kernel lets go of a
/// loop device's file a moment after its mount.
pub fn run(program: &str, args: &[&str]) -> String {
    let until = Instant::now() + Duration::from_secs(3);
    loop {
        let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
        let (text, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            return text.into_owned();
        }
        let busy = ["busy", "in use by the system"].iter().any(|word| said.contains(word));
        assert!(busy && Instant::now() < until, "{program} {args:?}: {text}{said}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn binary(name: &str) -> PathBuf {
    let here = std::env::current_exe().expect("the test's own path");
    let file = here.ancestors().nth(2).expect("target directory").join(name);
    assert!(file.exists(), "{} is not built: make test-rootns builds it", file.display());
    file
}

impl Stage {
    fn build(images: PathBuf, fstype: &'static str, mib: u64, mkfs: &[&str]) -> Self {
        let tree = images.join("root");
        fs::create_dir_all(tree.join("etc")).expect("the root's tree");
        fs::create_dir_all(tree.join("usr")).expect("the root's tree");
        fs::write(tree.join("etc/hostname"), "lower\n").expect("a file of the lower");
        fs::write(tree.join("etc/fstab"), "/dev/x / ext4 defaults 0 1\n/swapfile none swap sw\n").expect("fstab");
        let tag = format!("{}{:03}", std::process::id() % 10_000, BUILT.fetch_add(1, Ordering::Relaxed) % 1000);
        let tree = tree.to_str().expect("UTF-8");
        let root = match fstype {
            "ext4" => disk_at(&images, "root.img", mib, &[&["-t", "ext4", "-d", tree], mkfs].concat()),
            "btrfs" => disk_at(&images, "root.img", mib, &[&["mkfs.btrfs", "-q", "--rootdir", tree], mkfs].concat()),
            other => {
                let program = format!("mkfs.{other}");
                filled(disk_at(&images, "root.img", mib, &[&[program.as_str(), "-q"], mkfs].concat()), tree)
            }
        };
        let root_options = "defaults";
        let mut stage = Self { tag, images, fstype, root_options, root };
        stage.enter();
        stage.root.image = PathBuf::from("/images/root.img");
        stage
    }

    /// A new `/`: the host's programs, an empty `/run`, the disk on `/sysroot`.
    fn enter(&self) {
        let new = self.images.join("stage");
        fs::create_dir(&new).expect("the stage");
        mount(Some("stage"), &new, Some("tmpfs"), MsFlags::empty(), NO).expect("a tmpfs");
        let names =
            ["overlay-assemble", "overlay-commit", "overlay-thaw", "overlay-tries", "overlay-populate", "overlayctl"];
        let programs = names.map(|name| (name, binary(name)));
        for dir in [
            "usr", "dev", "proc", "sys", "run", "sysroot", "etc", "tmp", "mnt", "images", "bin", "sbin", "lib", "lib64",
        ] {
            fs::create_dir(new.join(dir)).expect("a directory of the stage");
        }
        let bind = MsFlags::MS_BIND | MsFlags::MS_REC;
        for dir in ["usr", "dev", "proc", "sys", "bin", "sbin", "lib", "lib64"] {
            let from = Path::new("/").join(dir);
            if from.exists() {
                mount(Some(&from), &new.join(dir), NO, bind, NO).expect("a bind of the host");
            }
        }
        mount(Some(&self.images), &new.join("images"), NO, MsFlags::MS_BIND, NO).expect("the images");
        mount(Some("run"), &new.join("run"), Some("tmpfs"), MsFlags::empty(), NO).expect("/run");
        for (name, binary) in &programs {
            fs::copy(binary, new.join(name)).expect("the program");
        }
        for name in ["overlay-upper", "overlay-loop"] {
            std::os::unix::fs::symlink("overlay-assemble", new.join(name)).expect("its other name");
        }
        for name in ["overlay-image", "overlayimageroot"] {
            std::os::unix::fs::symlink("overlay-populate", new.join(name)).expect("its other name");
        }
        nix::unistd::chroot(&new).expect("chroot");
        std::env::set_current_dir("/").expect("cd /");
        self.mount_root("ro");
    }

    /// Mounts the root's disk on /sysroot with `mode` (`ro` or `rw`), in place of what is there.
    pub fn mount_root(&self, mode: &str) {
        let _ = unmounted("/sysroot");
        let options = format!("{mode},{}", self.root_options);
        run("mount", &["-t", self.fstype, "-o", &options, &self.root.node, "/sysroot"]);
    }

    /// Whether this kernel mounts the root writable with the options it has now; it is mounted again afterwards.
    pub fn kernel_takes_root(&self) -> bool {
        unmount("/sysroot");
        let options = format!("rw,{}", self.root_options);
        let tried = Command::new("mount").args(["-t", self.fstype, "-o", &options, &self.root.node, "/mnt"]).output();
        let taken = tried.expect("mount").status.success();
        if taken {
            unmount("/mnt");
            self.mount_root("ro");
        }
        taken
    }

    /// A further disk of `mib` MiB, with whatever `mkfs` arguments mke2fs, mkfs.xfs … take.
    pub fn disk(&self, name: &str, mib: u64, mkfs: &[&str]) -> Disk {
        disk_at(Path::new("/images"), name, mib, mkfs)
    }

    /// Sets the command line and runs a tool.
    pub fn tool(&self, tool: &str, cmdline: &[u8], args: &[&str]) -> Output {
        fs::write("/tmp/cmdline", cmdline).expect("the command line");
        mount(Some("/tmp/cmdline"), "/proc/cmdline", NO, MsFlags::MS_BIND, NO).expect("over /proc/cmdline");
        let output = self.command(tool).args(args).output().expect("the tool");
        nix::mount::umount("/proc/cmdline").expect("off /proc/cmdline");
        output
    }

    /// A tool of the stage, which finds the others.
    pub fn command(&self, tool: &str) -> Command {
        let mut command = product(&format!("/{tool}"));
        command.env("PATH", format!("/:{}", std::env::var("PATH").unwrap_or_default()));
        command
    }

    /// Runs overlay-assemble and gives back its record.
    pub fn assemble(&self, cmdline: &str) -> Value {
        let before = mounts();
        let output = self.tool("overlay-assemble", cmdline.as_bytes(), &["--by", "hook"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let record = fs::read_to_string("/run/overlayroot/state.json").unwrap_or_else(|_| panic!("no record: {said}"));
        let record = serde_json::from_str(&record).expect("a record in JSON");
        stays::hold(&before, &record);
        record
    }

    /// Runs overlayctl with /sysroot as its `/`, as on the booted system; it must be writable.
    pub fn overlayctl_inside(&self, args: &[&str]) -> Output {
        assert!(fs::exists("/overlayctl").expect("looking for it"), "not built: cargo build -p overlayctl");
        // Not by this process: what another thread starts meanwhile would have it open for writing, ETXTBSY.
        run("cp", &["/overlayctl", "/run/overlayctl"]);
        for dir in ["usr", "dev", "proc", "sys", "run", "bin", "sbin", "lib", "lib64"] {
            let at = Path::new("/sysroot").join(dir);
            fs::create_dir_all(&at).expect("a mount point");
            if mount_at(at.to_str().expect("UTF-8")).is_none() {
                let from = Path::new("/").join(dir);
                mount(Some(&from), &at, NO, MsFlags::MS_BIND | MsFlags::MS_REC, NO).expect("a bind of the stage");
            }
        }
        product("chroot").args(["/sysroot", "/run/overlayctl"]).args(args).output().expect("overlayctl")
    }

    /// Runs overlayctl, which is to succeed.
    pub fn overlayctl(&self, args: &[&str]) -> String {
        run("/overlayctl", args)
    }

    /// As a new boot would find it: nothing mounted below /run and /media, the plain root on /sysroot. A loop device
    /// goes with its mount.
    pub fn reboot(&self) {
        let ours = |at: &str| ["/sysroot", "/run", "/media/root-"].iter().any(|place| at.starts_with(place));
        for mount in mounts().iter().rev().filter(|mount| ours(&mount.at)) {
            run("umount", &["-l", &mount.at]);
        }
        mount(Some("run"), "/run", Some("tmpfs"), MsFlags::empty(), NO).expect("/run");
        self.mount_root("ro");
    }
}

/// What runs the product, without the variables that say where the tests have their files.
fn product(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"OVERLAYROOT_") {
            command.env_remove(name);
        }
    }
    command
}

/// The node of the loop device that the program attached.
pub fn loop_device() -> Option<String> {
    let node = fs::canonicalize("/run/initramfs/overlayroot/loop").ok()?;
    Some(node.to_string_lossy().into_owned())
}

/// The kernel's list of mounts.
pub fn mounts() -> Vec<Mount> {
    mountinfo::parse(&fs::read_to_string("/proc/thread-self/mountinfo").expect("mountinfo"))
}

/// The topmost mount at `path`.
pub fn mount_at(path: &str) -> Option<Mount> {
    mountinfo::at(&mounts(), path).cloned()
}
