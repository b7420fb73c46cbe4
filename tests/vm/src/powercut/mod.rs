// SPDX-License-Identifier: GPL-2.0-or-later
//! `vm powercut`: kills guests at random instants, and judges by what the next boot and the disk show
//! (docs/internals/power-cuts.md).

mod asked;
mod chain;
mod figures;
mod guest;
mod ledger;
mod lower;
mod reorder;
mod request;
mod rng;
mod root;
mod scenario;
mod tar;

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use self::chain::{Pace, Run, Shared};
use self::root::Roots;
use self::scenario::{Chain, Model};
use crate::cell::{Flavour, Initrd, Suite, Variant};
use crate::engine::Engine;
use crate::host::{self, Host, say};
use crate::images::{ImageSet, Wanted};
use crate::payload;

/// What is asked for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// So many cuts
    #[arg(long, default_value_t = 60)]
    cuts: usize,
    /// Brings the same chains and instants back
    #[arg(long)]
    seed: Option<u64>,
    /// Guests at once
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Whose dracut and kernel
    #[arg(long, default_value = "bookworm")]
    suite: Suite,
    /// Only cuts which leave what this says; else half of the chains each
    #[arg(long)]
    model: Option<Model>,
    /// Only the chain of that number
    #[arg(long)]
    chain: Option<usize>,
    /// A line for each boot
    #[arg(long)]
    verbose: bool,
}

/// Cuts, and prints the figures. False when something did not hold.
///
/// # Errors
/// When images can't be made.
pub fn run(host: &Host, args: &Args) -> Result<bool> {
    let start = Instant::now();
    let seed = args.seed.unwrap_or_else(any_seed);
    say(&format!("seed {seed}: {} cuts", args.cuts));
    let prefix = host.engine(Engine::Uml)?;
    say(&format!("prefix cuts by {prefix}, reorder cuts by {}", Engine::Qemu));
    let payload = payload::build(host)?;
    let images = [prefix, Engine::Qemu].map(|engine| (Initrd::Shell, Variant::Mkfs, engine));
    let wanted = Wanted { initrds: images.to_vec(), roots: Vec::new() };
    let set = ImageSet::open(host, (args.suite, Flavour::Project), Some(&payload), &wanted)?;
    let dir = host.work.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    let roots = host::step("a small root", || Roots::make(host, &set, args.suite, seed, prefix, &dir))?;
    let mut chains = scenario::chains(args.cuts, args.model);
    chains.retain(|chain| args.chain.is_none_or(|number| number == chain.number));
    let (pace, figures) = (Pace::default(), Mutex::default());
    let shared = Shared { host, roots: &roots, seed, pace, verbose: args.verbose, figures };
    let failures = run_all(&shared, &chains, args, &dir);
    // what is of use was kept
    let _ = fs::remove_dir_all(&dir);
    let figures = shared.figures();
    say(&format!("\n{}\nseed {seed}, {:.0} s", figures.tables(), start.elapsed().as_secs_f32()));
    if !failures.is_empty() {
        say(&format!("{} chains failed; SEED={seed} brings them back, {}", failures.len(), failures.join(", ")));
    }
    Ok(failures.is_empty())
}

fn any_seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // six digits are enough to write down
    u64::from(now.subsec_micros())
}

/// Runs the chains, some at once; the names of those that failed come back.
fn run_all(shared: &Shared<'_>, chains: &[Chain], args: &Args, dir: &Path) -> Vec<String> {
    let queue = Mutex::new(chains.iter().collect::<VecDeque<_>>());
    let failed = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let chain = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(chain) = chain else { return };
                    let good = run_one(shared, chain, args.cuts, &dir.join(format!("chain-{}", chain.number)));
                    if !good {
                        failed.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{chain}"));
                    }
                }
            });
        }
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn run_one(shared: &Shared<'_>, chain: &Chain, cuts: usize, dir: &Path) -> bool {
    let start = Instant::now();
    let result = Run::new(shared, chain, dir).run();
    let (done, seconds) = (shared.figures().all().cuts, start.elapsed().as_secs_f32());
    let word = if result.is_ok() { "ok  " } else { "FAIL" };
    let mut text = format!("{word} {done:>3} of {cuts} cuts, {chain}, {seconds:.0} s");
    if let Err(error) = &result {
        let kept = keep(shared, chain, dir).unwrap_or_else(|why| format!("nothing: {why:#}").into());
        let error = format!("{error:#}").replace('\n', "\n     ");
        text.push_str(&format!("\n     seed {}: {error}\n     kept: {}", shared.seed, kept.display()));
    }
    say(&text);
    // of use to nobody any more
    let _ = fs::remove_dir_all(dir);
    result.is_ok()
}

/// Keeps the disk and the logs of a chain that failed.
fn keep(shared: &Shared<'_>, chain: &Chain, dir: &Path) -> Result<PathBuf> {
    let to = shared.host.work.join("logs").join(format!("powercut-{}-{}", shared.seed, chain.number));
    if to.exists() {
        fs::remove_dir_all(&to)?;
    }
    fs::create_dir_all(to.parent().context("no place for logs")?)?;
    fs::rename(dir, &to)?;
    Ok(to)
}
