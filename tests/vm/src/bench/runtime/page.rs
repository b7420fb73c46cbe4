// SPDX-License-Identifier: GPL-2.0-or-later
//! The chapter on run-time costs.

use anyhow::Result;

use super::lower::{LARGE, MANY, OPENED, SMALL};
use super::{NAMES, ROUNDS, SYNCS};
use crate::bench::said::Measured;
use crate::bench::stats::{size, span};

/// How a figure is shown.
#[derive(Clone, Copy)]
enum Show {
    /// A time, and its ratio to the same on the lower alone.
    Beside,
    /// A time.
    Time,
    /// By how much the upper is fuller.
    Grown,
    /// How many a second.
    Rate,
    /// Written to the disk for each.
    Written,
}

fn rows() -> [(String, &'static str, Show); 12] {
    let [big, huge] = LARGE;
    let small = SMALL / 1024;
    [
        ("find in /usr, nothing cached".to_owned(), "find-cold", Show::Beside),
        ("find in /usr, cached".to_owned(), "find-warm", Show::Beside),
        ("tar of /usr, nothing cached".to_owned(), "tar", Show::Beside),
        (format!("{NAMES} names that are not there"), "missing", Show::Beside),
        (format!("opening {OPENED} files of {small} KiB for writing"), "open", Show::Time),
        (format!("adding a byte to a file of {big} MiB"), "append", Show::Time),
        (format!("chmod of a file of {huge} MiB"), "chmod", Show::Time),
        ("... takes of the upper".to_owned(), "chmod", Show::Grown),
        (format!("chown -R of {MANY} files of {small} KiB"), "chown", Show::Time),
        ("... takes of the upper".to_owned(), "chown", Show::Grown),
        (format!("{small} KiB and fsync, a second"), "fsync", Show::Rate),
        ("... written to the disk for each".to_owned(), "fsync", Show::Written),
    ]
}

/// What a row needs and was not measured: a line of the guest that failed printed something else.
pub(super) fn missing(measured: &Measured) -> Option<&'static str> {
    rows().iter().map(|(_, name, _)| *name).find(|name| !measured.has(name))
}

/// Of all kinds, in the order of the columns.
pub(super) fn chapter(all: &[(&str, Measured)]) -> Result<String> {
    let heads: Vec<_> = all.iter().map(|(name, _)| *name).collect();
    let mut table = format!("| | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(all.len()));
    for (label, name, show) in rows() {
        let cells: Result<Vec<_>> = all.iter().map(|(_, measured)| cell(measured, name, show)).collect();
        table.push_str(&format!("| {label} | {} |\n", cells?.join(" | ")));
    }
    let huge = LARGE[1];
    Ok(format!(
        "\n## While it runs\n\n\
         What an overlay root costs by kind of upper, each in a boot of its own with the same files. In brackets: the ratio to\n\
         the same on the lower alone (/run/rootfsbase) in the same boot. Median of {ROUNDS}; chmod and chown are done once. The disks lie\n\
         in the host's RAM, so times are what the file systems themselves cost, and a flush to the disk costs nothing:\n\
         a real disk adds its own time, for which the last row says how much is written.\n\n\
         A file is copied to the upper when it is first opened for writing, or when its mode or owner changes. At 1f1728d the\n\
         chmod of a file of {huge} MiB took 1.2 s and {huge} MiB of an upper in RAM, and the chown 117 MiB of it. With `metacopy=on`\n\
         neither copies the content. Reading costs the same with each kind but for the file system below: what differs is what a\n\
         write costs, how much of it reaches the disk, and whether a large file is copied or shared (`subvol:` on btrfs).\n\n{table}"
    ))
}

fn cell(measured: &Measured, name: &str, show: Show) -> Result<String> {
    let syncs = i64::try_from(SYNCS)?;
    let figure = |place| measured.spread(name, place).map(|spread| spread.median);
    Ok(match show {
        Show::Beside => {
            let lower = format!("{name}-lower");
            let time = measured.spread(name, 0)?;
            match measured.has(&lower) {
                true => format!("{} ({:.2})", span(time.median), time.ratio(measured.spread(&lower, 0)?)),
                false => span(time.median),
            }
        }
        Show::Time => span(figure(0)?),
        Show::Grown => size(figure(1)?),
        Show::Rate => (syncs * 1_000_000 / figure(0)?.max(1)).to_string(),
        Show::Written => size(figure(1)? / syncs),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(lower: bool) -> Measured {
        let mut said = String::new();
        for name in ["find-cold", "find-warm", "tar", "missing"] {
            for us in [1_300_000, 1_200_000, 1_500_000] {
                said.push_str(&format!("MEASURED {name} {us}\n"));
                if lower {
                    said.push_str(&format!("MEASURED {name}-lower 1000000\n"));
                }
            }
        }
        said.push_str("MEASURED open 420000\nMEASURED append 33000\nMEASURED fsync 100000 2457600\n");
        said.push_str("MEASURED chmod 4000 0\nMEASURED chown 900000 122880000\n");
        Measured::read(&said).unwrap()
    }

    #[test]
    fn the_table_has_a_column_for_each_kind() {
        let text = chapter(&[("none", measured(false)), ("RAM", measured(true))]).unwrap();
        assert!(text.contains("| | none | RAM |\n|---|---|---|\n"), "{text}");
        assert!(text.contains("| find in /usr, cached | 1.30 s | 1.30 s (1.30) |\n"), "{text}");
        assert!(text.contains("| chmod of a file of 400 MiB | 4.0 ms | 4.0 ms |\n"), "{text}");
        assert!(text.contains("| ... takes of the upper | 117 MiB | 117 MiB |\n"), "{text}");
        assert!(text.contains("| 4 KiB and fsync, a second | 2000 | 2000 |\n"), "{text}");
        assert!(text.contains("| ... written to the disk for each | 12 KiB | 12 KiB |\n"), "{text}");
        assert!(chapter(&[("none", Measured::default())]).is_err());
        assert_eq!((missing(&measured(true)), missing(&Measured::default())), (None, Some("find-cold")));
    }
}
