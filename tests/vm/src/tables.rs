// SPDX-License-Identifier: GPL-2.0-or-later
//! What a cut leaves of a partition table while the product writes it: each state, packed into one image, for a
//! guest's own kernel to read (case `part/table-cuts`).

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use overlayroot_core::step::partition::Piece;
use overlayroot_linux::sys::table::Desk;

const SECTOR: usize = 512;
const MIB: u64 = 1 << 20;
/// Bytes of a disk, and of the larger one that it was copied to.
const SMALL: u64 = 8 * MIB;
const LARGE: u64 = 12 * MIB;
/// More sectors than these are not cut in every combination.
const MOST: usize = 10;

/// A disk as a cut leaves it.
#[derive(Debug)]
pub(crate) struct State {
    /// What was cut.
    pub(crate) name: String,
    /// All its bytes.
    pub(crate) disk: Vec<u8>,
    /// The partitions that Linux may see: number, first sector, sectors.
    pub(crate) wants: Vec<Vec<(u32, u64, u64)>>,
}

/// A plain file that stands for a disk, with a root, something else behind it, and free space.
struct Card<'a> {
    dir: &'a Path,
    table: &'static str,
}

impl Card<'_> {
    fn path(&self) -> String {
        self.dir.join("card").display().to_string()
    }

    fn make(&self) -> Result<()> {
        fs::File::create(self.path())?.set_len(SMALL)?;
        self.sfdisk(&[], &format!("label: {}\nstart=2048, size=4096\nstart=6144, size=2048\n", self.table))
    }

    fn sfdisk(&self, args: &[&str], script: &str) -> Result<()> {
        let mut command = Command::new("sfdisk");
        let mut child = command.arg("--quiet").args(args).arg(self.path()).stdin(Stdio::piped()).spawn()?;
        child.stdin.take().context("no pipe")?.write_all(script.as_bytes())?;
        ensure!(child.wait()?.success(), "sfdisk {args:?}");
        Ok(())
    }

    fn bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = fs::read(self.path())?;
        bytes.resize(usize::try_from(LARGE)?, 0);
        Ok(bytes)
    }

    /// The third partition, of so many MiB, or the first as it is.
    fn piece(&self, number: u32, mib: u64) -> Piece {
        let start = if number == 1 { MIB } else { 4 * MIB };
        let (disk, node) = (self.path(), format!("{}{number}", self.path()));
        Piece { disk, table: self.table.to_owned(), sector: SECTOR as u64, number, node, start, bytes: mib * MIB }
    }

    /// The disk after each thing that is done to it: what is written by one is on the disk before the next begins.
    fn stages(&self, grow: bool, enlarge: bool) -> Result<Vec<Vec<u8>>> {
        let desk = Desk { at: self.dir.to_str().context("no UTF-8")? };
        self.make()?;
        if grow {
            desk.append(&self.piece(3, 2), "persist")?;
        }
        if enlarge {
            OpenOptions::new().write(true).open(self.path())?.set_len(LARGE)?;
        }
        let mut stages = vec![self.bytes()?];
        if enlarge && self.table == "gpt" {
            // the first as it is: what is left to do is to bring the copy to the end
            desk.resize(&self.piece(1, 2))?;
            stages.push(self.bytes()?);
        }
        let size = if enlarge { 7 } else { 3 };
        match grow {
            true => desk.resize(&self.piece(3, size))?,
            false => desk.append(&self.piece(3, size), "persist")?,
        }
        stages.push(self.bytes()?);
        Ok(stages)
    }
}

/// All states, and one of sfdisk's own way of adding an entry.
///
/// # Errors
/// Where sfdisk or the product's writer fail.
pub(crate) fn states(dir: &Path) -> Result<Vec<State>> {
    let mut states = Vec::new();
    for table in ["gpt", "dos"] {
        for (grow, enlarge) in [(false, false), (false, true), (true, false), (true, true)] {
            let card = Card { dir, table };
            let stages = card.stages(grow, enlarge)?;
            let bytes = usize::try_from(if enlarge { LARGE } else { SMALL })?;
            let what =
                format!("{table}{}{}", if grow { " grow" } else { " new" }, if enlarge { " larger" } else { "" });
            let pairs = stages.iter().zip(stages.iter().skip(1));
            for (stage, (before, after)) in pairs.enumerate() {
                let (before, after) = (before.get(..bytes).unwrap_or_default(), after.get(..bytes).unwrap_or_default());
                states.extend(cuts(&format!("{what} {stage}"), before, after)?);
            }
        }
    }
    states.push(sfdisks_way(dir)?);
    Ok(states)
}

/// Each set of the sectors that differ may have reached the disk, whatever the order of writing and flushing was.
fn cuts(name: &str, before: &[u8], after: &[u8]) -> Result<Vec<State>> {
    let pairs = before.chunks(SECTOR).zip(after.chunks(SECTOR)).enumerate();
    let differ: Vec<usize> = pairs.filter(|(_, (a, b))| a != b).map(|(at, _)| at).collect();
    ensure!((1..=MOST).contains(&differ.len()), "{name} changed {} sectors", differ.len());
    let wants = vec![linux(before), linux(after)];
    let cut = |set: usize| {
        let mut disk = before.to_vec();
        for (_, at) in differ.iter().enumerate().filter(|(bit, _)| (set >> bit) & 1 == 1) {
            let range = at * SECTOR..(at + 1) * SECTOR;
            if let (Some(to), Some(from)) = (disk.get_mut(range.clone()), after.get(range)) {
                to.copy_from_slice(from);
            }
        }
        State { name: format!("{name}, set {set:b} of sectors {differ:?}"), disk, wants: wants.clone() }
    };
    Ok((0..1 << differ.len()).map(cut).collect())
}

/// Between its third and its fourth write: the entries are new, the first header is not.
fn sfdisks_way(dir: &Path) -> Result<State> {
    let card = Card { dir, table: "gpt" };
    card.make()?;
    let before = card.bytes()?;
    card.sfdisk(&["--append"], "start=8192, size=4096\n")?;
    let mut disk = card.bytes()?;
    let header = SECTOR..2 * SECTOR;
    disk.get_mut(header.clone()).context("header")?.copy_from_slice(before.get(header).context("header")?);
    disk.truncate(usize::try_from(SMALL)?);
    Ok(State { name: "sfdisk's third write".to_owned(), disk, wants: vec![Vec::new()] })
}

/// Writes an image that begins with a script; each state follows at a place that the script knows.
///
/// # Errors
/// As [`states`], and those of writing.
pub fn make(img: &Path) -> Result<()> {
    const LISTS: u64 = MIB;
    let dir = img.with_extension("states");
    fs::create_dir_all(&dir)?;
    let states = states(&dir)?;
    let image = OpenOptions::new().write(true).open(img)?;
    image.set_len(LISTS + LARGE * states.len() as u64)?;
    let mut script = SCRIPT.to_owned();
    for (state, at) in states.iter().zip((LISTS..).step_by(usize::try_from(LARGE)?)) {
        let list = |parts: &Vec<(u32, u64, u64)>| {
            let words: Vec<String> = parts.iter().map(|(n, start, size)| format!(" {n}:{start}+{size}")).collect();
            format!(" '{}'", words.concat())
        };
        let wants: Vec<String> = state.wants.iter().map(list).collect();
        script.push_str(&format!("# {}\ncheck {at} {}{}\n", state.name, state.disk.len(), wants.concat()));
        for (number, block) in state.disk.chunks(4096).enumerate().filter(|(_, block)| block.iter().any(|b| *b != 0)) {
            image.write_all_at(block, at + number as u64 * 4096)?;
        }
    }
    script.push_str(&format!("echo {} states\n[ $bad = 0 ]\n", states.len()));
    ensure!((script.len() as u64) < LISTS, "the script is too long");
    image.write_all_at(script.as_bytes(), 0)?;
    Ok(fs::remove_dir_all(dir)?)
}

/// What the guest does: a loop device of each, which its kernel reads as it reads any disk.
const SCRIPT: &str = r#"bad=0
check() {
    at=$1
    loop=$(losetup --find --show --partscan --read-only --offset "$1" --sizelimit "$2" "$disk")
    name=${loop#/dev/}
    shift 2
    # udev has the kernel read a new disk's table again, and partitions are gone meanwhile
    udevadm settle
    seen=
    for part in "/sys/block/$name/${name}p"*; do
        [ ! -e "$part" ] || seen="$seen $(cat "$part/partition"):$(cat "$part/start")+$(cat "$part/size")"
    done
    losetup --detach "$loop"
    udevadm settle
    for want; do
        [ "$seen" != "$want" ] || return 0
    done
    echo "state at $at: seen '$seen', not one of: $*"
    bad=1
}
"#;

fn number(bytes: &[u8], at: usize, length: usize) -> Option<u64> {
    Some(bytes.get(at..at + length)?.iter().rev().fold(0, |all, byte| (all << 8) | u64::from(*byte)))
}

/// The partitions that Linux sees, by its rules (kernel: block/partitions/efi.c and msdos.c, without the argument
/// `gpt`): what the guest's kernel is held against.
pub(crate) fn linux(disk: &[u8]) -> Vec<(u32, u64, u64)> {
    let record = |slot: usize| disk.get(446 + slot * 16..462 + slot * 16).unwrap_or_default();
    let gpt = (0..4).any(|slot| record(slot).get(4) == Some(&0xee));
    if gpt {
        return efi(disk).unwrap_or_default();
    }
    let part = |slot: usize| {
        let (start, size) = (number(record(slot), 8, 4)?, number(record(slot), 12, 4)?);
        (size > 0).then_some((u32::try_from(slot).ok()? + 1, start, size))
    };
    (0..4).filter_map(part).collect()
}

fn efi(disk: &[u8]) -> Option<Vec<(u32, u64, u64)>> {
    let last = (disk.len() / SECTOR) as u64 - 1;
    let header = disk.get(SECTOR..2 * SECTOR)?;
    let mut summed = header.get(..usize::try_from(number(header, 12, 4)?).ok()?)?.to_vec();
    summed.get_mut(16..20)?.fill(0);
    let count = usize::try_from(number(header, 80, 4)?).ok()?;
    let at = usize::try_from(number(header, 72, 8)?).ok()? * SECTOR;
    let entries = disk.get(at..at + count * 128)?;
    let valid = header.starts_with(b"EFI PART")
        && number(header, 16, 4)? == crc(&summed)
        && number(header, 24, 8)? == 1
        && number(header, 40, 8)? <= last
        && number(header, 48, 8)? <= last
        && number(header, 84, 4)? == 128
        && number(header, 88, 4)? == crc(entries);
    let part = |(entry, number_): (&[u8], u32)| {
        let (start, end) = (number(entry, 32, 8)?, number(entry, 40, 8)?);
        let used = entry.get(..16)?.iter().any(|byte| *byte != 0) && start <= last && end <= last;
        used.then_some((number_, start, end - start + 1))
    };
    valid.then(|| entries.chunks(128).zip(1..).filter_map(part).collect())
}

/// CRC-32, bit by bit, not the product's.
fn crc(bytes: &[u8]) -> u64 {
    let mut sum = u32::MAX;
    for bit in bytes.iter().flat_map(|byte| (0..8).map(move |bit| u32::from((byte >> bit) & 1))) {
        let low = (sum ^ bit) & 1;
        sum = (sum >> 1) ^ (0xedb8_8320 * low);
    }
    u64::from(!sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cut_of_the_table_leaves_the_one_of_before_or_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let states = states(dir.path()).unwrap();
        assert!(states.len() > 40, "{}", states.len());
        for state in &states {
            let seen = linux(&state.disk);
            assert!(state.wants.contains(&seen), "{}: {seen:?} of {:?}", state.name, state.wants);
            let own_way = state.name.starts_with("sfdisk");
            assert_eq!(seen.is_empty(), own_way, "{}", state.name);
            assert!(own_way || seen.starts_with(&[(1, 2048, 4096), (2, 6144, 2048)]), "{}: {seen:?}", state.name);
        }
    }
}
