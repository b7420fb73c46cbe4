// SPDX-License-Identifier: GPL-2.0-or-later
//! The chapters on boots.

use anyhow::{Context as _, Result};

use super::{ROUNDS, Sample, Samples};
use crate::bench::stats::{Spread, differences, scaled, span};
use crate::bench::ways::{SUITE, Way};
use crate::cell::Initrd;

/// At 1f1728d with a systemd initrd, in milliseconds: medians of five.
const BEFORE: [(Way, i64); 4] = [(Way::Ours, 185), (Way::Calls, 139), (Way::Volatile, 117), (Way::Stock, 854)];
/// modprobe of overlay there.
const BEFORE_LOAD: &str = "22 to 67 ms";

/// A boot as it is told while the bench runs.
pub(super) fn line(sample: &Sample, initrd: Initrd) -> String {
    let assembly = match sample.assembly {
        Some((us, processes)) => format!("root to overlay {}, {processes} processes; ", span(us)),
        None => String::new(),
    };
    format!("{initrd}: {assembly}{} of processor time, ready after {}", span(sample.processor), span(sample.ready))
}

pub(super) fn chapters(all: &[(Initrd, Samples)]) -> Result<String> {
    let (mut assembly, mut boots, mut beside) = (String::new(), String::new(), String::new());
    let mut loads = Vec::new();
    for (initrd, samples) in all {
        for way in Way::all(*initrd) {
            let of = samples.get(way).context("no boots")?;
            assembly.push_str(&assembly_row(*initrd, *way, of)?);
            boots.push_str(&boot_row(*initrd, *way, of, samples)?);
            loads.extend(of.iter().filter_map(|sample| sample.load));
        }
        beside.push_str(&pairs(*initrd, samples)?);
    }
    let load = Spread::of(loads)?.text(1000, 0);
    Ok(format!(
        "\n## From the root mounted to the overlay\n\n\
         A watcher in the initramfs sleeps in poll(2) on mountinfo. It notes when /sysroot is first mounted and when an\n\
         overlay is mounted there, with the kernel's count of started processes. All ways have this watcher, {ROUNDS} boots of each.\n\
         The nine calls are four mkdir, a tmpfs, a bind mount, its remount, an unmount and the overlay, made by a\n\
         program that does nothing else. It is started by the module's own unit, or in a shell initrd by a hook at the same\n\
         place. Loading overlay.ko, by modprobe or by the kernel itself, is in each time where it begins after the root is\n\
         mounted: modprobe alone took {load} ms in the booted systems without overlay ({BEFORE_LOAD} at\n\
         1f1728d). `in the program` is what `overlay-assemble` says in its record, waits included, or what the nine calls took.\n\
         dracut 106's own module ends in \"Cannot find init!\" in a shell initrd over a disk, and `systemd.volatile=` needs systemd.\n\n\
         | initrd | | milliseconds | in the program | processes | 1f1728d |\n|---|---|---|---|---|---|\n{assembly}\n\
         `rd.overlay` beside the others in the same round:\n\n\
         | initrd | | milliseconds more |\n|---|---|---|\n{beside}\n\
         ## Whole boots\n\n\
         The same boots from the start of the guest to its power-off: processor time of all processes of user-mode Linux,\n\
         which has the guest's kernel and programs in it and what the host does for them (getrusage of ended children). Ready is\n\
         the guest's uptime when systemd has no job left. `more` is the difference to the boot without an overlay in the\n\
         same round, whose image has no module for overlays at all. The root of dracut's own module is without this project.\n\n\
         | initrd | | processor seconds | more | ready after seconds |\n|---|---|---|---|---|\n{boots}"
    ))
}

fn assembly_row(initrd: Initrd, way: Way, samples: &[Sample]) -> Result<String> {
    let seen: Option<Vec<_>> = samples.iter().map(|sample| sample.assembly).collect();
    let Some(seen) = seen else { return Ok(String::new()) };
    let time = Spread::of(seen.iter().map(|(us, _)| *us))?.text(1000, 0);
    let processes = Spread::of(seen.iter().map(|(_, processes)| *processes))?.median;
    let own: Option<Vec<_>> = samples.iter().map(|sample| sample.own).collect();
    let own = own.map(Spread::of).transpose()?.map_or(String::new(), |own| own.text(1000, 0));
    let before = BEFORE.iter().find(|(of, _)| *of == way && initrd == Initrd::Systemd);
    let before = before.map_or(String::new(), |(_, ms)| ms.to_string());
    Ok(format!("| {SUITE}/{initrd} | {} | {time} | {own} | {processes} | {before} |\n", way.name()))
}

/// This project less each other way.
fn pairs(initrd: Initrd, samples: &Samples) -> Result<String> {
    let times = |way| -> Option<Vec<i64>> { samples.get(&way)?.iter().map(|one| Some(one.assembly?.0)).collect() };
    let ours = times(Way::Ours).context("no boots of this project")?;
    let mut rows = String::new();
    for way in Way::all(initrd).iter().filter(|way| **way != Way::Ours) {
        let Some(theirs) = times(*way) else { continue };
        let more = differences(&ours, &theirs)?.text(1000, 0);
        rows.push_str(&format!("| {SUITE}/{initrd} | than {} | {more} |\n", way.name()));
    }
    Ok(rows)
}

fn boot_row(initrd: Initrd, way: Way, of: &[Sample], samples: &Samples) -> Result<String> {
    let times = |of: &[Sample]| of.iter().map(|sample| sample.processor).collect::<Vec<_>>();
    let time = Spread::of(times(of))?.text(1_000_000, 2);
    let ready = scaled(Spread::of(of.iter().map(|sample| sample.ready))?.median, 1_000_000, 2);
    let more = match way {
        Way::Plain => String::new(),
        Way::Ours | Way::Calls | Way::Volatile | Way::Stock => {
            let plain = samples.get(&Way::Plain).context("no boots without an overlay")?;
            differences(&times(of), &times(plain))?.text(1_000_000, 2)
        }
    };
    Ok(format!("| {SUITE}/{initrd} | {} | {time} | {more} | {ready} |\n", way.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(ways: &[Way]) -> Samples {
        let sample = |way: Way, round: i64| {
            let us = 100_000 + 10_000 * way as i64 + 1000 * round;
            let overlay = way != Way::Plain;
            Sample {
                assembly: overlay.then_some((us, 3)),
                own: (way == Way::Ours).then_some(70_000),
                load: (!overlay).then_some(30_000),
                processor: 9_000_000 + us,
                ready: 8_200_000,
            }
        };
        ways.iter().map(|way| (*way, (0..5).map(|round| sample(*way, round)).collect())).collect()
    }

    #[test]
    fn the_tables_have_each_way_of_each_initrd() {
        let all: Vec<_> = Initrd::ALL.into_iter().map(|initrd| (initrd, samples(Way::all(initrd)))).collect();
        let text = chapters(&all).unwrap();
        let row = "| trixie/systemd | `rd.overlay` | 112 (110 to 114) | 70 (70 to 70) | 3 | 185 |\n";
        assert!(text.contains(row), "{text}");
        assert!(text.contains("| trixie/shell | the nine calls alone | 122 (120 to 124) |  | 3 |  |\n"), "{text}");
        assert!(text.contains("| trixie/systemd | than `systemd.volatile=overlay` | -20 (-20 to -20) |\n"), "{text}");
        assert!(text.contains("| trixie/systemd | no overlay | 9.10 (9.10 to 9.10) |  | 8.20 |\n"), "{text}");
        assert!(text.contains("took 30 (30 to 30) ms in"), "{text}");
        assert_eq!(text.matches("\n## ").count(), 2);
        assert_eq!(text.lines().filter(|line| line.starts_with("| trixie/shell |")).count(), 2 + 1 + 3);
        let words = text.lines().filter(|line| !line.starts_with('|'));
        assert!(words.into_iter().all(|line| line.chars().count() <= 128), "{text}");
    }

    #[test]
    fn a_boot_is_told_in_a_line() {
        let sample =
            Sample { assembly: Some((185_000, 3)), processor: 9_870_000, ready: 8_200_000, ..Sample::default() };
        let text = "shell: root to overlay 185 ms, 3 processes; 9.87 s of processor time, ready after 8.20 s";
        assert_eq!(line(&sample, Initrd::Shell), text);
    }
}
