// SPDX-License-Identifier: GPL-2.0-or-later
//! Boots by each way in turns: from the root mounted to the overlay, and the processor time of the whole boot.

mod page;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde_json::Value;

use super::Bench;
use super::said;
use super::ways::{SUITE, Way};
use crate::case::RootKind;
use crate::cell::Initrd;
use crate::cpio;
use crate::engine::Engine;
use crate::host;
use crate::machine::{Attach, Boot, Machine, read};
use crate::plan::Need;

/// Of each way.
const ROUNDS: usize = 5;
/// A boot takes 8 to 16 s.
const PATIENCE: Duration = Duration::from_secs(120);

/// What one boot showed, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sample {
    /// From the root mounted to the overlay, and the processes that were started meanwhile.
    assembly: Option<(i64, i64)>,
    /// What the program says that it took itself.
    own: Option<i64>,
    /// modprobe of overlay, in a booted system.
    load: Option<i64>,
    /// Processor time of the guest from its start to its end, the host's side included.
    processor: i64,
    /// The guest's uptime when its system was ready.
    ready: i64,
}

type Samples = BTreeMap<Way, Vec<Sample>>;

pub(super) fn needs() -> Vec<Need> {
    let of = |initrd| Way::all(initrd).iter().map(move |way: &Way| way.need(initrd));
    Initrd::ALL.into_iter().flat_map(of).collect()
}

/// The chapters of docs/internals/benchmarks.md.
///
/// # Errors
/// When something can't be made, or a boot does not hold.
pub(super) fn chapters(bench: &Bench<'_>) -> Result<String> {
    let mut all = Vec::new();
    for initrd in Initrd::ALL {
        all.push((initrd, rounds(bench, initrd)?));
    }
    page::chapters(&all)
}

fn rounds(bench: &Bench<'_>, initrd: Initrd) -> Result<Samples> {
    let mut images = Vec::new();
    for &way in Way::all(initrd) {
        images.push((way, image(bench, way, initrd)?));
    }
    let mut samples = Samples::new();
    for round in 0..ROUNDS {
        for (way, image) in &images {
            let what = format!("{SUITE}/{initrd}, {}, round {} of {ROUNDS}", way.name(), round + 1);
            let sample = host::step(&what, || boot(bench, *way, initrd, image))?;
            samples.entry(*way).or_default().push(sample);
        }
        // each is the first once, and has another before it
        images.rotate_left(1);
    }
    for (_, image) in images {
        fs::remove_file(image)?;
    }
    Ok(samples)
}

/// The way's initramfs with the watcher behind it.
fn image(bench: &Bench<'_>, way: Way, initrd: Initrd) -> Result<PathBuf> {
    let made = bench.set(way.variant())?.initrd((initrd, way.variant(), Engine::Uml));
    let made = fs::read(&made).with_context(|| made.display().to_string())?;
    let path = bench.dir.join(format!("initrd-{initrd}-{}.img", way.slug()));
    fs::create_dir_all(bench.dir)?;
    fs::write(&path, cpio::join(&made, &cpio::pack(&way.files(&bench.host.repo, initrd)?)))?;
    Ok(path)
}

fn boot(bench: &Bench<'_>, way: Way, initrd: Initrd, image: &Path) -> Result<Sample> {
    let root = bench.set(way.variant())?.root_disks(RootKind::Ext4).into_iter().next().context("no root")?;
    let boot = Boot {
        engine: Engine::Uml,
        initrd: image.to_path_buf(),
        cmdline: format!("root=LABEL=root ro {}", way.cmdline()),
        disks: vec![Attach { path: root, serial: "root".to_owned(), ..Attach::default() }],
        holds: way.holds(),
        timeout: PATIENCE,
        ..Boot::default()
    };
    let machine = Machine::new(bench.host, bench.dir)?;
    let before = processor_time()?;
    let outcome = machine.boot(&boot)?;
    let processor = processor_time()? - before;
    ensure!(outcome.failure.is_none(), "{:?}\n{}\n{}", outcome.failure, outcome.failed, outcome.console);
    let ready = f64::from(outcome.ready.context("the guest never said that it was ready")?);
    let said = said::shown(&read(&bench.dir.join("channel")));
    let sample = Sample { processor, ready: (ready * 1e6) as i64, ..sample(&said, way)? };
    host::say(&format!("     {}", page::line(&sample, initrd)));
    Ok(sample)
}

/// Of all processes that this one started and waited for. A guest of user-mode Linux is several, in a process
/// namespace of its own: what is left at its end is waited for by the namespace's first process, and so counts, too.
fn processor_time() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok(usage.user_time().num_microseconds() + usage.system_time().num_microseconds())
}

fn sample(said: &str, way: Way) -> Result<Sample> {
    let seen = |word: &str| -> Result<(i64, i64)> {
        let numbers = said::numbers(said, word).with_context(|| format!("the watcher saw no {word}"))?;
        let [us, processes] = numbers.as_slice() else { anyhow::bail!("{word}: {numbers:?}") };
        Ok((*us, *processes))
    };
    let first =
        |word: &str| said::numbers(said, word)?.first().copied().with_context(|| format!("nothing behind {word}"));
    let root = seen("root")?;
    let assembly = match way {
        Way::Plain => None,
        Way::Ours | Way::Calls | Way::Volatile | Way::Stock => {
            let overlay = seen("overlay")?;
            Some((overlay.0 - root.0, overlay.1 - root.1))
        }
    };
    let own = match way {
        Way::Ours => {
            Some(said::record(said)?.get("took_us").and_then(Value::as_i64).context("no took_us in the record")?)
        }
        Way::Calls => Some(first("calls")?),
        Way::Plain | Way::Volatile | Way::Stock => None,
    };
    let load = if way == Way::Plain { Some(first("load")?) } else { None };
    Ok(Sample { assembly, own, load, ..Sample::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_is_read() {
        let watch = "root 2000000 130\noverlay 2185000 133\n";
        let ours = sample(&format!("{watch}{{\n\"took_us\": 81000}}\n"), Way::Ours).unwrap();
        assert_eq!((ours.assembly, ours.own, ours.load), (Some((185_000, 3)), Some(81_000), None));
        let calls = sample(&format!("{watch}calls 40100 39000\n"), Way::Calls).unwrap();
        assert_eq!((calls.assembly, calls.own), (Some((185_000, 3)), Some(40_100)));
        let volatile = sample(watch, Way::Volatile).unwrap();
        assert_eq!((volatile.assembly, volatile.own), (Some((185_000, 3)), None));
        let plain = sample("root 2000000 130\nload 31000\n", Way::Plain).unwrap();
        assert_eq!((plain.assembly, plain.load), (None, Some(31_000)));
        // what was not seen is no figure
        assert!(sample("root 1 1\n", Way::Stock).is_err() && sample(watch, Way::Ours).is_err());
        assert!(sample(watch, Way::Calls).is_err() && sample(watch, Way::Plain).is_err());
    }

    #[test]
    fn processor_time_is_that_of_processes_which_ended() {
        let before = processor_time().unwrap();
        let lines = "i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done";
        assert!(std::process::Command::new("sh").args(["-c", lines]).status().unwrap().success());
        assert!(processor_time().unwrap() > before);
    }
}
