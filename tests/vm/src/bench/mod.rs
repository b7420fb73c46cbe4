// SPDX-License-Identifier: GPL-2.0-or-later
//! `vm bench`: what this project costs beside other ways to the same root, in time, processor time, bytes and calls.
//! Each part measures and gives back chapters of docs/internals/benchmarks.md.

mod about;
mod boots;
mod diff;
mod disk;
mod native;
mod net;
mod page;
mod runtime;
mod said;
pub(crate) mod size;
mod stats;
mod tools;
mod ways;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;

use crate::cell::Variant;
use crate::engine::Engine;
use crate::host::{Host, say};
use crate::images::ImageSet;
use crate::plan::{self, Need, Sets};
use crate::progress;
use about::About;

/// A part that can be measured alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Boots by each way: from the root mounted to the overlay, processor time
    Boots,
    /// One assembly on this machine's own kernel, without a guest
    Native,
    /// What an overlay costs while it runs, by kind of upper
    Runtime,
    /// Bytes added to the initramfs
    Size,
    /// Reset, writes, making a loop file
    Disk,
    /// Roots from the network
    Net,
    /// `overlayctl diff` beside find, without a guest
    Diff,
}

/// Where a part's work is done, and with what.
struct Bench<'a> {
    host: &'a Host,
    sets: &'a Sets,
    dir: &'a Path,
}

impl Bench<'_> {
    /// The images of Debian 13 with such an initramfs.
    fn set(&self, variant: Variant) -> Result<&ImageSet> {
        self.sets.get(&(ways::SUITE, variant.flavour())).context("no images")
    }
}

impl Part {
    fn what(self) -> &'static str {
        match self {
            Self::Boots => "boots by each way",
            Self::Native => "an assembly on this machine's own kernel",
            Self::Runtime => "run-time costs by kind of upper",
            Self::Size => "bytes added to the initramfs",
            Self::Disk => "reset and writes",
            Self::Net => "roots from the network",
            Self::Diff => "diff beside find",
        }
    }

    fn needs(self) -> Vec<Need> {
        match self {
            Self::Boots => boots::needs(),
            Self::Native => vec![native::NEED],
            Self::Runtime => runtime::NEEDS.to_vec(),
            Self::Size => size::needs(),
            Self::Disk => disk::NEEDS.to_vec(),
            Self::Net => net::NEEDS.to_vec(),
            Self::Diff => Vec::new(),
        }
    }

    /// Its chapters, and whether the limits hold that it has.
    fn measure(self, bench: &Bench<'_>) -> Result<(String, bool)> {
        match self {
            Self::Boots => Ok((boots::chapters(bench)?, true)),
            Self::Native => native::chapter(bench),
            Self::Runtime => Ok((runtime::chapter(bench)?, true)),
            Self::Size => size::chapter(bench.sets),
            Self::Disk => Ok((disk::chapters(bench)?, true)),
            Self::Net => Ok((net::chapter(bench.host, bench.sets, bench.dir)?, true)),
            Self::Diff => diff::chapter(bench.host, bench.dir),
        }
    }
}

/// Measures, prints and writes docs/internals/benchmarks.md, or the chapters of these parts in it. The result is
/// whether every limit holds.
///
/// # Errors
/// When something can't be made or a boot does not hold: the other parts are measured all the same, and what was measured
/// is in `benchmarks.md` of the work directory.
pub fn run(host: &Host, parts: &[Part]) -> Result<bool> {
    let begun = Instant::now();
    let whole = parts.is_empty();
    let wanted: Vec<_> = Part::value_variants().iter().filter(|part| whole || parts.contains(part)).collect();
    let needs: Vec<Need> = wanted.iter().flat_map(|part| part.needs()).collect();
    if needs.iter().any(|(.., engine)| *engine == Engine::Uml) {
        host.uml().context("most of the bench is measured in user-mode Linux")?;
    }
    // before anything is written
    let about = About::now(host)?;
    let sets = plan::prepare(host, &needs)?;
    let dir = host.work.join(format!("run-{}", std::process::id()));
    let kept = host.work.join("benchmarks.md");
    let bench = Bench { host, sets: &sets, dir: &dir };
    let (mut text, mut held, mut failed) = (about.head(), true, Vec::new());
    for (number, part) in wanted.iter().enumerate() {
        say(&format!("\n[{}/{}] {}, after {} s", number + 1, wanted.len(), part.what(), begun.elapsed().as_secs()));
        match part.measure(&bench) {
            Ok((chapters, within)) => {
                say(&chapters);
                if !within {
                    say(&format!("FAIL {}: a limit is exceeded", part.what()));
                }
                held &= within;
                text.push_str(&chapters);
                fs::write(&kept, &text).with_context(|| kept.display().to_string())?;
                if !whole {
                    page::update(host, &chapters, &about.alone())?;
                }
            }
            // the others are measured all the same
            Err(error) => {
                say(&format!("FAIL {}: {error:#}\n     logs: {}", part.what(), keep_logs(&bench).display()));
                failed.push(part.what());
            }
        }
        // gigabytes, where images lie in RAM; of use to nobody any more
        let _ = fs::remove_dir_all(&dir);
    }
    ensure!(failed.is_empty(), "not measured: {}; what was measured is in {}", failed.join(", "), kept.display());
    if whole {
        page::write(host, &text)?;
    }
    say(&format!("{} in {} minutes", page::PAGE, begun.elapsed().as_secs() / 60));
    Ok(held)
}

fn keep_logs(bench: &Bench<'_>) -> PathBuf {
    let logs = bench.host.work.join("logs/bench");
    // those of an earlier run would only mislead
    let _ = fs::remove_dir_all(&logs);
    let _ = fs::create_dir_all(&logs);
    progress::copy_logs(bench.dir, &logs, "");
    progress::copy_logs(&bench.dir.join("net"), &logs, "");
    logs
}
