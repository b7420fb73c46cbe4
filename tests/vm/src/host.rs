// SPDX-License-Identifier: GPL-2.0-or-later
//! The machine the tests run on: directories, tools, child processes.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use rustix::fs::{FlockOperation, flock};

use crate::engines::Engines;

const TOOLS: [&str; 24] = [
    "make",
    "dpkg-buildpackage",
    "dpkg-deb",
    "dh",
    "mmdebstrap",
    "tar",
    "zstd",
    "unshare",
    "nsenter",
    "ip",
    "setpriv",
    "chroot",
    "mke2fs",
    "debugfs",
    "dumpe2fs",
    "mkfs.xfs",
    "xfs_logprint",
    "mkfs.btrfs",
    "mkfs.vfat",
    "mkswap",
    "mksquashfs",
    "mkfs.erofs",
    "sfdisk",
    "cp",
];
const TMPFS_MAGIC: u64 = 0x0102_1994;
const ROOM: u64 = 6 << 30;
/// For images, beside the RAM of two guests and what they write.
const ROOM_IMAGES: u64 = 40 << 30;

/// Directories and programs of a run.
#[derive(Clone, Debug)]
pub struct Host {
    /// The project's sources.
    pub repo: PathBuf,
    /// What is kept for good: roots as archives, packages.
    pub cache: PathBuf,
    /// What can be made again and is written often: the disks of guests, logs. On a tmpfs where there is room.
    pub work: PathBuf,
    /// What guests boot from: 20 GiB for all cases. Beside the disks where a tmpfs has room for both, else in the cache.
    pub images: PathBuf,
    /// QEMU.
    pub qemu: PathBuf,
    /// What guests run by.
    pub engines: Engines,
}

impl Host {
    /// Looks for everything the boot tests need.
    ///
    /// # Errors
    /// What is missing, in words for the user.
    pub fn find() -> Result<Self> {
        ensure!(cfg!(target_arch = "x86_64"), "the guests are x86-64 and emulated only there");
        ensure!(rustix::process::geteuid().is_root(), "root is needed (chroot, mounts, namespaces)");
        let missing: Vec<_> = TOOLS.into_iter().filter(|tool| which(tool).is_none()).collect();
        ensure!(missing.is_empty(), "programs are missing: {}", missing.join(", "));
        let qemu = which("qemu-system-x86_64").or_else(|| which("qemu-kvm")).or_else(|| {
            let path = PathBuf::from("/usr/libexec/qemu-kvm");
            path.exists().then_some(path)
        });
        let qemu = qemu.context("no QEMU: qemu-system-x86_64 or qemu-kvm")?;
        let cache = cache_dir()?;
        let work = env::var_os("OVERLAYROOT_WORK").map_or_else(|| default_work(&cache), PathBuf::from);
        let images = if has_room(&work, ROOM_IMAGES) { work.join("images") } else { cache.join("images") };
        for dir in [&cache, &work, &images] {
            fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        }
        sweep(&work)?;
        Ok(Self { repo: find_repo()?, cache, work, images, qemu, engines: Engines::default() })
    }

    /// The harness's own directory in the repository.
    #[must_use]
    pub fn vm_dir(&self) -> PathBuf {
        self.repo.join("tests/vm")
    }
}

/// Removes what runs which were killed left in the work directory.
///
/// # Errors
/// When the directory cannot be read, or a leftover not be removed.
pub fn sweep(work: &Path) -> Result<()> {
    for entry in fs::read_dir(work)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some((kind, pid)) = name.rsplit_once('-') else { continue };
        let ours = kind == "run" || kind == "payload" || kind.starts_with("root-");
        let number = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
        if ours && number && !Path::new("/proc").join(pid).exists() {
            match fs::remove_dir_all(&path) {
                // another run began at the same time and was first
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => other.with_context(|| path.display().to_string())?,
            }
        }
    }
    Ok(())
}

fn cache_dir() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("OVERLAYROOT_CACHE") {
        return Ok(dir.into());
    }
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    Ok(base.context("neither OVERLAYROOT_CACHE nor HOME is set")?.join("overlayroot-rs"))
}

fn default_work(cache: &Path) -> PathBuf {
    let shm = Path::new("/dev/shm");
    if has_room(shm, ROOM) { shm.join("overlayroot-rs") } else { cache.join("work") }
}

/// Whether a directory, or the one that it will be made in, is on a tmpfs with so many bytes in it; what earlier runs
/// left there counts as free, so that each run decides the same.
fn has_room(dir: &Path, bytes: u64) -> bool {
    let there = dir.ancestors().find(|dir| dir.exists()).unwrap_or(dir);
    rustix::fs::statfs(there).is_ok_and(|fs| {
        let all = u64::try_from(fs.f_bsize).unwrap_or(0).saturating_mul(fs.f_blocks);
        u64::try_from(fs.f_type) == Ok(TMPFS_MAGIC) && all >= bytes
    })
}

/// The repository: from the working directory upwards, else where this was built.
///
/// # Errors
/// When neither holds tests/vm/cases.
pub fn find_repo() -> Result<PathBuf> {
    let here = env::current_dir()?;
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut places = here.ancestors().map(Path::to_path_buf).chain([built]);
    let found = places.find(|dir| dir.join("tests/vm/cases").is_dir());
    found.context("no tests/vm/cases here or above")
}

/// Finds a program in PATH, or where administrators' programs lie.
#[must_use]
pub fn which(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// A command which dies with this program, whatever ends it.
#[must_use]
pub fn tied(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.arg("--pdeathsig=KILL").arg("--").arg(program);
    command
}

/// Runs a command to its end; its output is shown only when it fails.
///
/// # Errors
/// When it cannot be started or fails: with the last lines it wrote.
pub fn run(command: &mut Command) -> Result<Vec<u8>> {
    let name = format!("{} {}", command.get_program().to_string_lossy(), args_of(command));
    let output = command.stdin(Stdio::null()).output().with_context(|| name.clone())?;
    if !output.status.success() {
        let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        bail!("{name}: {}\n{}", output.status, tail(&text, 30));
    }
    Ok(output.stdout)
}

fn args_of(command: &Command) -> String {
    let args: Vec<_> = command.get_args().map(|a| a.to_string_lossy().into_owned()).collect();
    let text = args.join(" ");
    if text.chars().count() > 160 { text.chars().take(160).collect::<String>() + "…" } else { text }
}

/// The last lines of a text.
#[must_use]
pub fn tail(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().collect();
    all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
}

/// Runs shell lines on the host with variables set.
///
/// # Errors
/// When a line fails.
pub fn shell(lines: &str, vars: &[(&str, &Path)]) -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-euc", lines]).envs(vars.iter().copied());
    run(&mut command).map(drop)
}

/// What a shell line prints, trimmed.
///
/// # Errors
/// When it fails.
pub fn shell_text(line: &str) -> Result<String> {
    let out = run(Command::new("sh").args(["-euc", line]))?;
    Ok(String::from_utf8_lossy(&out).trim().to_owned())
}

/// Does a step which takes seconds, and says so with the time it took.
///
/// # Errors
/// Those of the step.
pub fn step<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    say(&format!("...  {what}"));
    let result = work().with_context(|| what.to_owned())?;
    say(&format!("done {what}  {:.1} s", start.elapsed().as_secs_f32()));
    Ok(result)
}

/// Writes a line at once, whole.
pub fn say(line: &str) {
    // nobody reads: nothing to tell
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// An exclusive lock for as long as the file lives.
///
/// # Errors
/// When the file cannot be made or locked.
pub fn lock(path: &Path) -> Result<File> {
    let file = File::create(path).with_context(|| path.display().to_string())?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// Copies a file, holes kept, so that a disk costs only what is in it.
///
/// # Errors
/// Those of cp(1).
pub fn copy_sparse(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").args(["--sparse=always", "--reflink=auto"]).arg(from).arg(to)).map(drop)
}
