// SPDX-License-Identifier: GPL-2.0-or-later
//! Reads and writes partition tables, by sfdisk: a table is not written by code of our own.

use crate::program::{self, last_line};
use anyhow::{Context, Result, bail, ensure};
use overlayroot_core::disk::{Entry, Table};
use overlayroot_core::part_step::Piece;
use serde_json::Value;
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
        let log = self.file("sfdisk.json");
        let code = program::run("sfdisk", &["--json", disk], &log)?;
        let said = fs::read(&log).with_context(|| format!("reading {log}"))?;
        ensure!(code == 0, "sfdisk can't read the table of {disk} ({code}): {}", last_line(&said));
        parse(&String::from_utf8_lossy(&said), disk, sector).with_context(|| format!("the table of {disk}"))
    }

    /// Writes one new entry, with a name where the table has names. A GPT's copy goes to the disk's end.
    ///
    /// # Errors
    /// Where sfdisk does not take it.
    pub fn append(&self, piece: &Piece, name: &str) -> Result<()> {
        let kind = match piece.table.as_str() {
            "gpt" => format!("0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=\"{name}\""),
            _ => "83".to_owned(),
        };
        self.write(piece, &["--append"], &format!("{}, type={kind}\n", self.range(piece)))
    }

    /// Writes another size into an entry; everything else in it stays.
    ///
    /// # Errors
    /// Where sfdisk does not take it.
    pub fn resize(&self, piece: &Piece) -> Result<()> {
        self.write(piece, &[], &format!("{}\n", self.range(piece)))
    }

    fn range(&self, piece: &Piece) -> String {
        let sectors = |bytes: u64| bytes.checked_div(piece.sector).unwrap_or(0);
        format!("start={}, size={}", sectors(piece.start), sectors(piece.bytes))
    }

    fn write(&self, piece: &Piece, args: &[&str], script: &str) -> Result<()> {
        let (input, log, number) = (self.file("sfdisk.in"), self.file("sfdisk.log"), piece.number.to_string());
        fs::write(&input, script).with_context(|| format!("writing {input}"))?;
        let args = [args, &WRITE, &["-N", &number, &piece.disk]].concat();
        let code = program::run_fed("sfdisk", &args, &input, &log)?;
        let said = fs::read(&log).unwrap_or_default();
        ensure!(code == 0, "sfdisk ended with {code} on {}: {}", piece.disk, last_line(&said));
        let written = fs::File::open(&piece.disk).and_then(|disk| disk.sync_all());
        written.with_context(|| format!("syncing {}", piece.disk))
    }

    /// A file on it.
    pub fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.at)
    }
}

/// sfdisk's JSON, behind whatever it warned of.
fn parse(text: &str, disk: &str, sector: u64) -> Result<Table> {
    let begin = if text.starts_with('{') { 0 } else { text.find("\n{").context("no JSON")? };
    let mut values = serde_json::Deserializer::from_str(text.get(begin..).unwrap_or_default()).into_iter::<Value>();
    let value = values.next().context("no JSON")??;
    let table = value.get("partitiontable").context("no partitiontable")?;
    let kind = table.get("label").and_then(Value::as_str).context("no label")?.to_owned();
    let mut entries = Vec::new();
    for line in table.get("partitions").and_then(Value::as_array).into_iter().flatten() {
        let word = |key: &str| line.get(key).and_then(Value::as_str).with_context(|| format!("no {key}"));
        let bytes = |key: &str| {
            let sectors = line.get(key).and_then(Value::as_u64).with_context(|| format!("no {key}"))?;
            sectors.checked_mul(sector).with_context(|| format!("{key} is {sectors}"))
        };
        let node = word("node")?;
        let Some(number) = number(node, disk) else { bail!("{node} is no partition of {disk}") };
        let kind = word("type")?.to_owned();
        entries.push(Entry { number, start: bytes("start")?, bytes: bytes("size")?, kind });
    }
    Ok(Table { kind, entries })
}

fn number(node: &str, disk: &str) -> Option<u32> {
    let behind = node.strip_prefix(disk)?;
    behind.strip_prefix('p').unwrap_or(behind).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"The backup GPT table is not on the end of the device.
{
   "partitiontable": {
      "label": "gpt", "unit": "sectors", "lastlba": 131038,
      "partitions": [
         {"node": "/dev/loop0p1", "start": 2048, "size": 20480, "type": "0FC6", "name": "x {"},
         {"node": "/dev/loop0p12", "start": 22528, "size": 2048, "type": "0FC6"}
      ]
   }
}
The end.
"#;

    #[test]
    fn what_sfdisk_says() {
        let table = parse(TEXT, "/dev/loop0", 4096).unwrap();
        assert_eq!(table.kind, "gpt");
        let entries: Vec<_> = table.entries.iter().map(|e| (e.number, e.start, e.bytes)).collect();
        assert_eq!(entries, [(1, 8 << 20, 80 << 20), (12, 88 << 20, 8 << 20)]);
        assert!(parse(TEXT, "/dev/loop1", 512).is_err());
        for bad in ["", "sfdisk: cannot open", "{", "{}", "\n{\"partitiontable\": {}}"] {
            assert!(parse(bad, "/dev/loop0", 512).is_err(), "{bad}");
        }
        let empty = parse("{\"partitiontable\": {\"label\": \"dos\"}}", "/dev/loop0", 512).unwrap();
        assert_eq!(empty, Table { kind: "dos".into(), entries: Vec::new() });
    }
}
