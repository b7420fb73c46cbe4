// SPDX-License-Identifier: GPL-2.0-or-later
//! Measures during `vm bench`, in a guest and on the host: `vm-measure NAME WHAT ARGUMENT...` does one thing once and
//! prints `MEASURED NAME FIGURE...`. Times are in microseconds.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use rustix::fs::{major, minor, statvfs, sync};
use rustix::io::Errno;

/// Where the numbers of sectors read and written are in the kernel's list of a disk's statistics.
const READ: usize = 2;
const WRITTEN: usize = 6;
const SECTOR: u64 = 512;
const BLOCK: usize = 4096;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [name, what, rest @ ..] = arguments.as_slice() else { bail!("vm-measure NAME WHAT ARGUMENT...") };
    let figures = match (*what, rest) {
        ("run", [program, args @ ..]) => vec![us(run(program, args)?)],
        ("cost", [place, program, args @ ..]) => cost(place, program, args)?,
        ("change", [place, program, args @ ..]) => change(place, program, args)?,
        ("missing", [dir, count]) => vec![us(missing(Path::new(dir), count.parse()?)?)],
        ("open", [dir]) => vec![us(open(Path::new(dir))?)],
        ("append", [file]) => vec![us(append(file)?)],
        ("fsync", [file, count, disk]) => fsync(file, count.parse()?, disk)?,
        _ => bail!("what is {what} {rest:?}?"),
    };
    let figures: Vec<_> = figures.iter().map(ToString::to_string).collect();
    println!("MEASURED {name} {}", figures.join(" "));
    Ok(())
}

fn us(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Runs a program to its end; what it prints is not kept.
fn run(program: &str, args: &[&str]) -> Result<Duration> {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let begun = Instant::now();
    let status = command.status().with_context(|| program.to_owned())?;
    let took = begun.elapsed();
    ensure!(status.success(), "{program}: {status}");
    Ok(took)
}

/// Processor time, page faults, bytes read of the disk that `place` is on, and the time from start to end.
fn cost(place: &str, program: &str, args: &[&str]) -> Result<Vec<u64>> {
    let device = fs::metadata(place).with_context(|| place.to_owned())?.dev();
    let disk = format!("/sys/dev/block/{}:{}/stat", major(device), minor(device));
    let (before, read) = (getrusage(UsageWho::RUSAGE_CHILDREN)?, sectors(&disk, READ)?);
    let took = run(program, args)?;
    let (after, read_after) = (getrusage(UsageWho::RUSAGE_CHILDREN)?, sectors(&disk, READ)?);
    let faults = |usage: &Usage| usage.minor_page_faults() + usage.major_page_faults();
    let processor = |usage: &Usage| usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(vec![
        u64::try_from(processor(&after) - processor(&before))?,
        u64::try_from(faults(&after) - faults(&before))?,
        read_after.saturating_sub(read) * SECTOR,
        us(took),
    ])
}

/// The time that a change takes, and by how much the file system of `place` is fuller then.
fn change(place: &str, program: &str, args: &[&str]) -> Result<Vec<u64>> {
    let used = || -> Result<u64> {
        sync();
        let room = statvfs(place).with_context(|| place.to_owned())?;
        Ok((room.f_blocks - room.f_bfree) * room.f_frsize)
    };
    let before = used()?;
    let took = run(program, args)?;
    Ok(vec![us(took), used()?.saturating_sub(before)])
}

/// Asks for so many names which are not there and were not asked for before.
fn missing(dir: &Path, count: u32) -> Result<Duration> {
    let tag = std::process::id();
    let begun = Instant::now();
    for number in 0..count {
        let path = dir.join(format!("absent-{tag}-{number}"));
        match rustix::fs::stat(&path) {
            Err(Errno::NOENT) => {}
            other => bail!("{}: {other:?}", path.display()),
        }
    }
    Ok(begun.elapsed())
}

/// Opens each file of a directory for writing, and writes nothing.
fn open(dir: &Path) -> Result<Duration> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        files.push(entry?.path());
    }
    ensure!(!files.is_empty(), "{} is empty", dir.display());
    let begun = Instant::now();
    for file in files {
        OpenOptions::new().read(true).write(true).open(&file).with_context(|| file.display().to_string())?;
    }
    Ok(begun.elapsed())
}

/// Adds a byte to a file that is there.
fn append(file: &str) -> Result<Duration> {
    let begun = Instant::now();
    let mut file = OpenOptions::new().append(true).open(file).with_context(|| file.to_owned())?;
    file.write_all(b"x")?;
    Ok(begun.elapsed())
}

/// Adds so many blocks of 4 KiB to a new file, each followed by fsync(2): the time of all, and what was written to the
/// disk; of the disk `-` nothing is known.
fn fsync(path: &str, count: u32, disk: &str) -> Result<Vec<u64>> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path).with_context(|| path.to_owned())?;
    let disk = format!("/sys/class/block/{disk}/stat");
    let written = || if disk.contains("/-/") { Ok(0) } else { sectors(&disk, WRITTEN) };
    sync();
    let before = written()?;
    let begun = Instant::now();
    for _ in 0..count {
        file.write_all(&[b'x'; BLOCK])?;
        file.sync_all()?;
    }
    let took = begun.elapsed();
    let written = written()?.saturating_sub(before) * SECTOR;
    fs::remove_file(path)?;
    Ok(vec![us(took), written])
}

/// A number of a disk's statistics; 0 where the place is on none.
fn sectors(stat: &str, place: usize) -> Result<u64> {
    match fs::read_to_string(stat) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        text => {
            let text = text.with_context(|| stat.to_owned())?;
            Ok(text.split_whitespace().nth(place).with_context(|| format!("{stat}: {text}"))?.parse()?)
        }
    }
}
