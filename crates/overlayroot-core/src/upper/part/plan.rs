// SPDX-License-Identifier: GPL-2.0-or-later
//! Plans for an upper on a partition of the root's disk: found by its label, or made behind the last.

use crate::facts::device::Device;
use crate::facts::disk::{ALIGNED, Disk, Partition, Table};
use crate::facts::free_space::Left;
use crate::facts::{Facts, Root};
use crate::layout;
use crate::step::Step;
use crate::step::partition::{PartStep, Piece};
use crate::step::refusal::{self, Refusal, refuse};
use crate::upper;
use crate::upper::kept;
use crate::upper::part::Part;
use crate::upper::request::{Request, UpperPlan};
use crate::value::diagnostics::escape;
use crate::value::file_system::MadeFs;
use crate::value::size::{human, mebi};
use crate::value::{device, params};

/// What comes before the partition can be opened as any other device, and after it is mounted.
#[derive(Default)]
struct Ready {
    device: Device,
    before: Vec<Step>,
    grown: bool,
    notes: Vec<String>,
}

/// An upper on a partition.
///
/// # Errors
/// Where the root is on none, the disk has no room, or what is there can't hold an upper.
pub fn plan(request: Request<'_>, facts: &Facts, root: &Root, asked: &Part) -> Result<UpperPlan, Refusal> {
    let readonly = request.readonly;
    let Some(disk) = facts.disk.as_ref().filter(|disk| !disk.path.is_empty()) else {
        let text = format!("part:{} needs a root on a partition of a disk, and {} is none", asked.label, root.source);
        return refuse("no-partition", text);
    };
    let places = layout::device(request.names, request.name);
    let ready = match disk.named(&asked.label).as_slice() {
        [] => {
            let upper = places.store.upper.strip_prefix(&places.upper_fs).unwrap_or_default();
            made(facts, disk, asked, upper.trim_start_matches('/').to_owned(), readonly)?
        }
        [one] => found(facts, disk, one, asked, readonly)?,
        several => {
            let nodes: Vec<&str> = several.iter().map(|part| part.path.as_str()).collect();
            let text = format!("part:{} is on several partitions: {}", asked.label, nodes.join(", "));
            return refuse("device-ambiguous", text);
        }
    };
    let mut steps = ready.before;
    steps.extend(upper::device::open(&ready.device, &places, request));
    if ready.grown {
        steps.push(Step::GrowFs { at: places.upper_fs.clone(), fstype: ready.device.fstype.clone() });
    }
    let effective = upper::device::effective(&ready.device, &places);
    let mut plan = kept::plan(request, facts, root, places, steps, effective);
    plan.notes.extend(ready.notes);
    Ok(plan)
}

/// One that is there: never made anew, whatever it holds.
fn found(facts: &Facts, disk: &Disk, part: &Partition, asked: &Part, readonly: bool) -> Result<Ready, Refusal> {
    let by_name = part.name == asked.label;
    let tag = if by_name { device::Device::PartLabel } else { device::Device::Label };
    let device = refusal::layer(&tag(asked.label.clone()), facts, readonly)?.clone();
    let mut ready = Ready { device, ..Ready::default() };
    if !asked.grow || readonly {
        return Ok(ready);
    }
    if !matches!(ready.device.fstype.as_str(), "ext4" | "xfs" | "btrfs") {
        ready.notes.push(format!("not grown: {} can't grow while it is mounted", ready.device.fstype));
        return Ok(ready);
    }
    // Also where the partition is large enough: the power may have gone before its file system grew.
    ready.grown = true;
    match larger(disk, part, asked) {
        Ok(Some(piece)) => ready.before.push(Step::Part(PartStep::Grow(piece))),
        Ok(None) => {}
        Err(why) => ready.notes.push(format!("not grown: {why}")),
    }
    Ok(ready)
}

/// What the partition is to become, where it has room and a larger size is asked for.
fn larger(disk: &Disk, part: &Partition, asked: &Part) -> Result<Option<Piece>, String> {
    if !disk.sfdisk {
        return Err("sfdisk is not in the initramfs".to_owned());
    }
    let table = disk.table()?;
    let Some(room) = disk.most(table, part) else {
        return Err(format!("{} is not the last partition of {}", part.path, disk.path));
    };
    let bytes = asked.size.map_or(room, |size| size.of(disk.bytes).min(room));
    // A partition made by others may end anywhere: less than a whole mebibyte more is not worth a write.
    let grows = bytes >= part.bytes.saturating_add(ALIGNED);
    Ok(grows.then(|| Piece::of(disk, &table.kind, part.number, part.start, bytes)))
}

/// One to be made.
fn made(facts: &Facts, disk: &Disk, asked: &Part, upper: String, readonly: bool) -> Result<Ready, Refusal> {
    let label = &asked.label;
    if readonly {
        return refuse("place-missing", format!("part:{label} is not on {}, and nothing may be written", disk.path));
    }
    if disk.read_only {
        return refuse("device-read-only", format!("part:{label} must be made, and {} refuses writes", disk.path));
    }
    let lacks =
        |program: &str| refuse("no-mkfs", format!("part:{label} must be made, and {program} is not in the initramfs"));
    if !disk.sfdisk {
        return lacks("sfdisk");
    }
    let table =
        disk.table().or_else(|why| refuse("partition-table", format!("part:{label} does not exist, and {why}")))?;
    if let Some(left) = &disk.left {
        return taken_back(disk, table, label, left, upper);
    }
    let mkfs = format!("mkfs.{}", asked.fs.word());
    if !facts.mkfs.contains(&mkfs) {
        return lacks(&mkfs);
    }
    let piece = piece(disk, table, asked)?;
    let (label, fs) = (label.clone(), asked.fs);
    let make = PartStep::MakeFs { piece: piece.clone(), fs, label: label.clone() };
    Ok(ready(piece, make, label, fs))
}

fn ready(piece: Piece, fill: PartStep, label: String, fs: MadeFs) -> Ready {
    let device = Device { path: piece.node.clone(), fstype: fs.word().to_owned(), ..Device::default() };
    let before = vec![PartStep::Reserve(piece.clone()), fill, PartStep::Write { piece, label, fs }];
    Ready { device, before: before.into_iter().map(Step::Part).collect(), ..Ready::default() }
}

/// The table may have lost the entry of an upper. What is not ours is not written over either.
fn taken_back(disk: &Disk, table: &Table, label: &str, left: &Left, upper: String) -> Result<Ready, Refusal> {
    let (start, room) = disk.rest(table);
    let place = format!("the free space of {} from {} on", disk.path, human(start));
    let not = |why: String| refuse("not-free", format!("part:{label} does not exist, and {place} {why}"));
    if !left.unread.is_empty() {
        return not(format!("can't be read: {}", left.unread));
    }
    let holds = format!("holds {} '{}'", escape(&left.fstype), escape(&left.label));
    let Some(fs) = params::fs(&left.fstype).ok().filter(|_| left.label == label) else {
        return not(format!("{holds}, which stays: erase it, or give it an entry in the table"));
    };
    let bytes = left.bytes.div_ceil(ALIGNED).saturating_mul(ALIGNED);
    if bytes == 0 || bytes > room {
        let of = if bytes == 0 { "an unknown size".to_owned() } else { mebi(bytes) };
        return not(format!("{holds} of {of}, which does not fit into {}", mebi(room)));
    }
    let Some(number) = disk.number(table) else {
        return not(format!("{holds}, for which the table has no entry left"));
    };
    let piece = Piece::of(disk, &table.kind, number, start, bytes);
    let label = label.to_owned();
    let keep = PartStep::TakeBack { piece: piece.clone(), fs, label: label.clone(), upper, unused: left.unused };
    let note = format!("{place} {holds}, which the table did not name");
    Ok(Ready { notes: vec![note], ..ready(piece, keep, label, fs) })
}

/// Where it goes, and how large it becomes.
fn piece(disk: &Disk, table: &Table, asked: &Part) -> Result<Piece, Refusal> {
    let (label, least) = (&asked.label, asked.fs.least());
    let (start, room) = disk.rest(table);
    let bytes = asked.size.map_or(room, |size| size.of(disk.bytes));
    if bytes.max(least) > room {
        let (need, room) = (mebi(bytes.max(least)), mebi(room));
        let text = format!("part:{label} needs {need}, {} has {room} free behind its last partition", disk.path);
        return refuse("no-room", text);
    }
    if bytes < least {
        let (bytes, word, least) = (mebi(bytes), asked.fs.word(), mebi(least));
        return refuse("no-room", format!("part:{label} would get {bytes}, {word} needs at least {least}"));
    }
    match disk.number(table) {
        Some(number) => Ok(Piece::of(disk, &table.kind, number, start, bytes)),
        None => {
            let text = format!("part:{label} does not exist, and the table of {} has no entry left", disk.path);
            refuse("partition-table", text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::disk::Entry;
    use crate::upper::part::parse_part;

    fn disk(parts: &[(u64, u64)]) -> Disk {
        let mut disk = Disk { path: "/dev/vda".into(), bytes: 100 << 20, sector: 512, ..Disk::default() };
        disk.sfdisk = true;
        let mut table = Table { kind: "gpt".into(), ..Table::default() };
        for (number, (start, bytes)) in (1..).zip(parts) {
            let (start, bytes) = (start << 20, bytes << 20);
            disk.partitions.push(Partition { number, start, bytes, path: disk.node(number), ..Partition::default() });
            table.entries.push(Entry { number, start, bytes, kind: String::new() });
        }
        disk.table = Some(table);
        disk
    }

    #[test]
    fn only_the_last_grows_and_only_upwards() {
        let to = |disk: &Disk, number: usize, text: &str| {
            let piece = larger(disk, &disk.partitions[number], &parse_part(text).unwrap());
            piece.map(|piece| piece.map(|piece| piece.bytes >> 20))
        };
        let two = disk(&[(1, 9), (10, 40)]);
        assert_eq!(to(&two, 1, "p,grow"), Ok(Some(89)));
        assert_eq!(to(&two, 1, "p,size=64M,grow"), Ok(Some(64)));
        assert_eq!(to(&two, 1, "p,size=1G,grow"), Ok(Some(89)));
        assert_eq!(to(&two, 1, "p,size=40M,grow"), Ok(None));
        assert_eq!(to(&two, 1, "p,size=16M,grow"), Ok(None));
        assert!(to(&two, 0, "p,grow").unwrap_err().contains("/dev/vda1 is not the last"));
        assert_eq!(to(&disk(&[(1, 98)]), 0, "p,grow"), Ok(None));
        let without = Disk { sfdisk: false, ..two };
        assert!(to(&without, 1, "p,grow").unwrap_err().contains("sfdisk"));
    }
}
