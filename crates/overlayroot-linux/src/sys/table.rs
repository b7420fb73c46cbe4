// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads and writes partition tables, by sfdisk. Of a GPT one entry is written by code of our own, for sfdisk's
//! way of doing it does not survive a cut.

use crate::sys::files;
use crate::sys::gpt::Gpt;
use crate::sys::newfile::{self, Lasting};
use crate::sys::program::{self, last_line};
use anyhow::{Context, Result, anyhow, bail, ensure};
use overlayroot_core::facts::disk::{Entry, Table};
use overlayroot_core::parse::gpt::{Change, Line};
use overlayroot_core::step::partition::Piece;
use std::fs;

/// What sfdisk says goes here, in a directory that only root can enter.
pub struct Desk<'a> {
    /// The directory.
    pub at: &'a str,
}

/// Told to sfdisk in any case: it must not ask, nor look for other users, nor make the kernel read the
/// table again, nor erase what it finds in a partition.
const WRITE: [&str; 7] =
    ["--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never", "--wipe-partitions", "never"];

impl Desk<'_> {
    /// The table of a disk whose sectors have `sector` bytes.
    ///
    /// # Errors
    /// Where there is none that sfdisk knows.
    pub fn read(&self, disk: &str, sector: u64) -> Result<Table> {
        let log = self.file("sfdisk.dump");
        let code = program::run("sfdisk", &["--dump", disk], &log)?;
        let said = files::read_small(&log).with_context(|| format!("reading {log}"))?;
        ensure!(code == 0, "sfdisk can't read the table of {disk} ({code}): {}", last_line(&said));
        parse(&String::from_utf8_lossy(&said), disk, sector).with_context(|| format!("the table of {disk}"))
    }

    /// Writes one new entry, with a name where the table has names. A GPT's copy goes to the disk's end.
    ///
    /// # Errors
    /// Where the table does not take it.
    pub fn append(&self, piece: &Piece, name: &str) -> Result<()> {
        if piece.table == "gpt" {
            let uuid = uuid()?;
            return self.one_entry(piece, &|line| line.add(name, uuid));
        }
        self.write(
            piece,
            piece.number,
            &["--append"],
            &format!("{}, type=83\n", range(piece, piece.start, piece.bytes)),
        )
    }

    /// Writes another size into an entry; everything else in it stays.
    ///
    /// # Errors
    /// Where the table does not take it.
    pub fn resize(&self, piece: &Piece) -> Result<()> {
        if piece.table == "gpt" {
            return self.one_entry(piece, &|line| line.resize());
        }
        self.write(piece, piece.number, &[], &format!("{}\n", range(piece, piece.start, piece.bytes)))
    }

    /// Changes one entry of a GPT. sfdisk would write entries and header one after the other, and a cut in between
    /// leaves a disk on which Linux sees no partition at all. It only brings the copy to the disk's end before: there
    /// the entries stay, and headers with other ends fit them as well as those of before.
    fn one_entry(&self, piece: &Piece, change: &dyn Fn(&Line<'_>) -> Result<Change, String>) -> Result<()> {
        let path = &piece.disk;
        let disk = fs::File::options().read(true).write(true).open(path).with_context(|| format!("opening {path}"))?;
        let read = || Gpt::read(&disk, piece.sector).with_context(|| format!("the GPT of {path}"));
        let sectors = |bytes: u64| bytes.checked_div(piece.sector).unwrap_or(0);
        let (first, last) = (sectors(piece.start), sectors(piece.start.saturating_add(piece.bytes)).saturating_sub(1));
        let mut gpt = read()?;
        if !gpt.reaches(last) {
            let table = self.read(path, piece.sector)?;
            let any = table.entries.first().with_context(|| format!("no partition on {path}"))?;
            self.write(piece, any.number, &[], &format!("{}\n", range(piece, any.start, any.bytes)))?;
            let settled = read()?;
            let good = settled.entries == gpt.entries && settled.reaches(last);
            ensure!(good, "sfdisk did not bring the copy of the GPT to the end of {path}");
            gpt = settled;
        }
        let line = Line { entries: &gpt.entries, sector: piece.sector, number: piece.number, first, last };
        let change = change(&line).map_err(|text| anyhow!("the GPT of {path}: {text}"))?;
        gpt.write(&disk, &change).with_context(|| format!("writing the GPT of {path}"))
    }

    fn write(&self, piece: &Piece, number: u32, args: &[&str], script: &str) -> Result<()> {
        let (input, log, number) = (self.file("sfdisk.in"), self.file("sfdisk.log"), number.to_string());
        newfile::write(&input, script.as_bytes(), newfile::PRIVATE, Lasting::Run)?;
        let args = [args, &WRITE, &["-N", &number, &piece.disk]].concat();
        let code = program::run_fed("sfdisk", &args, &input, &log)?;
        let said = files::tail(&log);
        ensure!(code == 0, "sfdisk ended with {code} on {}: {}", piece.disk, last_line(&said));
        let written = fs::File::open(&piece.disk).and_then(|disk| disk.sync_all());
        written.with_context(|| format!("syncing {}", piece.disk))
    }

    /// A file on it.
    pub fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }
}

/// A place on the piece's disk, as sfdisk reads it.
fn range(piece: &Piece, start: u64, bytes: u64) -> String {
    let sectors = |bytes: u64| bytes.checked_div(piece.sector).unwrap_or(0);
    format!("start={}, size={}", sectors(start), sectors(bytes))
}

/// A random UUID, as it stands on a disk: two bytes of the field with the version change places.
fn uuid() -> Result<[u8; 16]> {
    const KERNELS: &str = "/proc/sys/kernel/random/uuid";
    let text = files::read_small(KERNELS).with_context(|| format!("reading {KERNELS}"))?;
    let digits = String::from_utf8_lossy(&text).trim().replace('-', "");
    let mut bytes = u128::from_str_radix(&digits, 16)?.to_be_bytes();
    bytes.swap(6, 7);
    Ok(bytes)
}

/// What `sfdisk --dump` says, among whatever it warned of: `name: value` lines, then a line for each entry.
fn parse(text: &str, disk: &str, sector: u64) -> Result<Table> {
    let kind = text.lines().find_map(|line| line.strip_prefix("label: ")).context("no label")?;
    let mut entries = Vec::new();
    for line in text.lines() {
        let Some((node, fields)) = line.split_once(" : ").filter(|(_, fields)| fields.starts_with("start=")) else {
            continue;
        };
        let Some(number) = number(node.trim(), disk) else { bail!("{node} is not a partition of {disk}") };
        let bytes = |key| {
            let sectors: Option<u64> = field(fields, key).and_then(|word| word.parse().ok());
            sectors.and_then(|n| n.checked_mul(sector)).with_context(|| format!("no {key} of {node}"))
        };
        let kind = field(fields, "type").with_context(|| format!("no type of {node}"))?.to_owned();
        entries.push(Entry { number, start: bytes("start")?, bytes: bytes("size")?, kind });
    }
    Ok(Table { kind: kind.to_owned(), entries })
}

/// The value of one field. Names, which may hold anything, come last.
fn field<'a>(fields: &'a str, key: &str) -> Option<&'a str> {
    let value = |field: &'a str| field.trim().strip_prefix(key)?.strip_prefix('=');
    fields.split(',').find_map(value).map(str::trim)
}

fn number(node: &str, disk: &str) -> Option<u32> {
    let behind = node.strip_prefix(disk)?;
    behind.strip_prefix('p').unwrap_or(behind).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"The backup GPT table is not on the end of the device.
label: gpt
label-id: EAB6A51A-2259-B048-BEE2-BCBB7B890746
device: /dev/loop0
unit: sectors
last-lba: 131038
sector-size: 4096

/dev/loop0p1 : start=        2048, size=       20480, type=0FC6, uuid=CC62, name="x, size=1, type=2 : start="
/dev/loop0p12 : start=       22528, size=        2048, type=0FC6
The end.
"#;

    #[test]
    fn what_sfdisk_says() {
        let table = parse(TEXT, "/dev/loop0", 4096).unwrap();
        assert_eq!(table.kind, "gpt");
        let entries: Vec<_> = table.entries.iter().map(|e| (e.number, e.start, e.bytes)).collect();
        assert_eq!(entries, [(1, 8 << 20, 80 << 20), (12, 88 << 20, 8 << 20)]);
        assert!(parse(TEXT, "/dev/loop1", 512).is_err());
        for bad in ["", "sfdisk: cannot open", "label:", "start=1, size=2, type=83"] {
            assert!(parse(bad, "/dev/loop0", 512).is_err(), "{bad}");
        }
        for bad in ["start=1", "start=1, size=2", "start=1, size=-2, type=83", "start=, size=2, type=83"] {
            assert!(parse(&format!("label: dos\n/dev/loop0p1 : {bad}\n"), "/dev/loop0", 512).is_err(), "{bad}");
        }
        let empty = parse("label: dos\nlabel-id: 0x1\n", "/dev/loop0", 512).unwrap();
        assert_eq!(empty, Table { kind: "dos".into(), entries: Vec::new() });
    }
}
