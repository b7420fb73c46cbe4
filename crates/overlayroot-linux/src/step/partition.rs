// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes and enlarges the upper's partition. The kernel has it first, then it gets its file system, and
//! only then the table names it: a cut leaves free space as it was before, or a finished partition.

use crate::step::mkfs;
use crate::step::undo::Undo;
use crate::sys::table::Desk;
use crate::sys::{blkid, blkpg, mounts};
use anyhow::{Context, Result, ensure};
use overlayroot_core::facts::disk::{ALIGNED, Entry};
use overlayroot_core::layout::paths;
use overlayroot_core::step::partition::{PartStep, Piece};
use overlayroot_core::value::file_system::MadeFs;
use rustix::mount::MountFlags;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

const DESK: Desk<'static> = Desk { at: paths::PRIVATE };

/// Performs one step.
///
/// # Errors
/// Where it can't be done, or the table is no longer the one that the plan was made for.
pub fn perform(step: &PartStep, undos: &mut Vec<Undo>) -> Result<()> {
    mounts::make_dir(paths::PRIVATE)?;
    match step {
        PartStep::Reserve(piece) => reserve(piece, undos),
        PartStep::MakeFs { piece, fs, label } => make_fs(piece, *fs, label),
        PartStep::TakeBack { piece, fs, label, upper, unused } => {
            if look(piece, *fs, label, upper, *unused)? {
                Ok(())
            } else {
                make_fs(piece, *fs, label)
            }
        }
        PartStep::Write { piece, label, fs } => {
            write(piece, label, *fs)?;
            // It is finished, and found at the next boot: it stays, also where this one goes no further.
            undos.retain(|undo| !matches!(undo, Undo::Release { .. }));
            Ok(())
        }
        PartStep::Grow(piece) => grow(piece),
    }
}

fn reserve(piece: &Piece, undos: &mut Vec<Undo>) -> Result<()> {
    free(piece)?;
    blkpg::add(&piece.disk, piece.number, piece.start, piece.bytes)?;
    undos.push(Undo::Release { disk: piece.disk.clone(), number: piece.number });
    appears(&piece.node)
}

/// The entries of a table in which the piece is still free.
fn free(piece: &Piece) -> Result<Vec<Entry>> {
    let entries = DESK.read(&piece.disk, piece.sector)?.entries;
    let taken = entries.iter().find(|entry| entry.number == piece.number || entry.end() > piece.start);
    ensure!(taken.is_none(), "the table of {} has changed: {} is not free any more", piece.disk, piece.node);
    Ok(entries)
}

/// devtmpfs makes the node; a static /dev has it made by udev, a moment later.
fn appears(node: &str) -> Result<()> {
    const LONGEST: Duration = Duration::from_secs(5);
    let started = Instant::now();
    while !Path::new(node).exists() {
        ensure!(started.elapsed() < LONGEST, "{node} not found (waited {} s)", LONGEST.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn make_fs(piece: &Piece, fs: MadeFs, label: &str) -> Result<()> {
    let node = &piece.node;
    crate::log::info!("making {} on {node}", fs.word());
    wipe(piece).with_context(|| format!("wiping both ends of {node}"))?;
    mkfs::make(node, fs, Some(label), &DESK.file("mkfs.log"))?;
    let file = OpenOptions::new().write(true).open(node).with_context(|| format!("opening {node}"))?;
    file.sync_all().with_context(|| format!("syncing {node}"))
}

/// What was there once may have left signatures at both ends, and two make a file system ambiguous.
fn wipe(piece: &Piece) -> Result<()> {
    let zeros = vec![0; usize::try_from(ALIGNED)?];
    let file = OpenOptions::new().write(true).open(&piece.node)?;
    for at in [0, piece.bytes.saturating_sub(ALIGNED)] {
        file.write_all_at(&zeros, at)?;
    }
    Ok(file.sync_all()?)
}

/// Whether an upper is in a file system that the table does not name. What was put into it stays; one into which
/// nothing was put is no upper, and where its superblock says that it was never used need not be whole.
fn look(piece: &Piece, fs: MadeFs, label: &str, upper: &str, unused: bool) -> Result<bool> {
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let name = || format!("the {} '{label}' on {}, which stays as it is", fs.word(), piece.node);
    // Its journal is replayed: without that, an upper made just before a cut may not be seen.
    match mounts::mount_fs(&piece.node, paths::LOOK, fs.word(), flags, "") {
        Err(_) if unused => return Ok(false),
        mounted => mounted.with_context(name)?,
    }
    let seen = holds_upper(upper);
    mounts::unmount(paths::LOOK)?;
    seen.with_context(name)
}

fn holds_upper(upper: &str) -> Result<bool> {
    let ours = [upper, paths::META_DIR].map(|name| Path::new(paths::LOOK).join(name));
    if ours.iter().any(|path| path.symlink_metadata().is_ok_and(|found| found.is_dir())) {
        return Ok(true);
    }
    for entry in fs::read_dir(paths::LOOK)? {
        ensure!(entry?.file_name() == "lost+found", "other files than an upper are in it");
    }
    Ok(false)
}

fn write(piece: &Piece, label: &str, fs: MadeFs) -> Result<()> {
    let before = free(piece)?;
    DESK.append(piece, label)?;
    written(piece, &before)?;
    let seen = blkid::probe(&piece.node)?;
    ensure!(
        seen.fstype == fs.word() && seen.label == label,
        "{} holds '{}' labelled '{}' instead of {} labelled '{label}'",
        piece.node,
        seen.fstype,
        seen.label,
        fs.word()
    );
    // udev saw it before the table had its name; what fails here is a link in /dev/disk only.
    let name = piece.node.trim_start_matches("/dev/").replace('/', "!");
    let _ = crate::sys::files::tell_kernel(&format!("/sys/class/block/{name}/uevent"), "change");
    Ok(())
}

/// The table has the piece now, and every other entry as before.
fn written(piece: &Piece, before: &[Entry]) -> Result<()> {
    let ours = |entry: &&Entry| entry.number == piece.number;
    let after = DESK.read(&piece.disk, piece.sector)?.entries;
    let others = after.iter().filter(|entry| !ours(entry));
    ensure!(others.eq(before.iter().filter(|entry| !ours(entry))), "other partitions of {} changed", piece.disk);
    let is = after.iter().find(ours).map(|entry| (entry.start, entry.bytes));
    ensure!(is == Some((piece.start, piece.bytes)), "{} is not in the table as it should be", piece.node);
    Ok(())
}

fn grow(piece: &Piece) -> Result<()> {
    let entries = DESK.read(&piece.disk, piece.sector)?.entries;
    let ours = |entry: &&Entry| entry.number == piece.number && entry.start == piece.start;
    let now =
        entries.iter().find(ours).with_context(|| format!("the table has changed: {} is elsewhere", piece.node))?;
    ensure!(entries.iter().all(|entry| entry.start <= piece.start), "{} is not the last partition", piece.node);
    ensure!(now.bytes <= piece.bytes, "{} is larger already and can't be shrunk", piece.node);
    DESK.resize(piece)?;
    written(piece, &entries)?;
    blkpg::resize(&piece.disk, piece.number, piece.start, piece.bytes)
}
