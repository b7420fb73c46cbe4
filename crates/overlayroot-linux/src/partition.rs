// SPDX-License-Identifier: GPL-2.0-or-later
//! Makes and enlarges the upper's partition. The kernel has it first, then it gets its file system, and
//! only then the table names it: a cut leaves free space as it was before, or a finished partition.

use crate::table::Desk;
use crate::undo::Undo;
use crate::{blkid, blkpg, loopfile, mounts};
use anyhow::{Context, Result, ensure};
use overlayroot_core::disk::{ALIGNED, Entry};
use overlayroot_core::ondisk::MadeFs;
use overlayroot_core::part_step::{PartStep, Piece};
use overlayroot_core::paths;
use std::fs::OpenOptions;
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
        ensure!(started.elapsed() < LONGEST, "{node} did not appear within {} s", LONGEST.as_secs());
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn make_fs(piece: &Piece, fs: MadeFs, label: &str) -> Result<()> {
    let node = &piece.node;
    tracing::info!("making {} on {node}", fs.word());
    wipe(piece).with_context(|| format!("wiping both ends of {node}"))?;
    loopfile::mkfs_labelled(node, fs, Some(label), &DESK.file("mkfs.log"))?;
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

fn write(piece: &Piece, label: &str, fs: MadeFs) -> Result<()> {
    let before = free(piece)?;
    DESK.append(piece, label)?;
    let after = DESK.read(&piece.disk, piece.sector)?.entries;
    let (ours, others): (Vec<Entry>, Vec<Entry>) = after.into_iter().partition(|entry| entry.number == piece.number);
    ensure!(others == before, "sfdisk changed other partitions of {}", piece.disk);
    ensure!(ours.iter().any(|entry| same(entry, piece)), "{} is not in the table as it should be", piece.node);
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
    let _ = crate::files::tell_kernel(&format!("/sys/class/block/{name}/uevent"), "change");
    Ok(())
}

fn same(entry: &Entry, piece: &Piece) -> bool {
    (entry.number, entry.start, entry.bytes) == (piece.number, piece.start, piece.bytes)
}

fn grow(piece: &Piece) -> Result<()> {
    let entries = DESK.read(&piece.disk, piece.sector)?.entries;
    let ours = |entry: &&Entry| entry.number == piece.number && entry.start == piece.start;
    let now =
        entries.iter().find(ours).with_context(|| format!("the table has changed: {} is elsewhere", piece.node))?;
    ensure!(entries.iter().all(|entry| entry.start <= piece.start), "{} is not the last partition", piece.node);
    ensure!(now.bytes <= piece.bytes, "{} is larger already, and nothing is made smaller", piece.node);
    DESK.resize(piece)?;
    blkpg::resize(&piece.disk, piece.number, piece.start, piece.bytes)
}
