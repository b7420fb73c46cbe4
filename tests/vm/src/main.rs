// SPDX-License-Identifier: GPL-2.0-or-later
//! `vm`: boot tests of overlayroot-rs in virtual machines.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use overlayroot_vm::case::{self, Case};
use overlayroot_vm::cell::{Initrd, Suite};
use overlayroot_vm::engine::Engine;
use overlayroot_vm::host::{self, Host, say};
use overlayroot_vm::journal::Journal;
use overlayroot_vm::own_kernel;
use overlayroot_vm::plan::{self, Selection};
use overlayroot_vm::roots::Root;
use overlayroot_vm::{bench, content, demo, payload, powercut, report, roots, runner, selftest, tables};

#[derive(Parser)]
#[command(about = "Boot tests of overlayroot-rs in virtual machines", version)]
struct Cli {
    #[command(subcommand)]
    command: Sub,
}

#[derive(Subcommand)]
enum Sub {
    /// Make the Debian roots which are not in the cache
    Roots,
    /// Make the package for Debian that runs on the oldest suite and all newer ones
    Package {
        /// Where it is put
        dir: PathBuf,
    },
    /// Print the cases
    List,
    /// Look into the initramfs images, and hold the lexer against each dracut's own
    Content,
    /// Boot guests that are broken on purpose, under each engine: each must be called a failure
    Selftest,
    /// Show a person what the overlay does
    Demo(demo::Args),
    /// Measure beside other ways to an overlay, and write docs/internals/benchmarks.md
    Bench {
        /// Only these parts, in the place of their old chapters
        #[arg(value_name = "PART")]
        parts: Vec<bench::Part>,
    },
    /// Cut the power of guests at random instants
    Powercut(powercut::Args),
    /// Fill an image with what cuts leave of partition tables (case part/table-cuts does it)
    Tables {
        /// The image
        img: PathBuf,
    },
    /// Run cases: each in the cells of its short run, unless told otherwise
    Run(RunArgs),
}

#[derive(clap::Args)]
struct RunArgs {
    /// Numbers of cases, or parts of their names
    case: Vec<String>,
    /// Every cell of each case
    #[arg(long)]
    all: bool,
    /// Guests at once
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Every cell with this suite
    #[arg(long)]
    suite: Option<Suite>,
    /// Every cell with this initrd
    #[arg(long)]
    initrd: Option<Initrd>,
    /// By this engine, whatever the cases say
    #[arg(long)]
    engine: Option<Engine>,
    /// Begin no case after so many minutes; those left count as failure
    #[arg(long)]
    minutes: Option<u64>,
    /// Keep the logs of cases which pass, too
    #[arg(long)]
    keep: bool,
    /// Leave out what passed before with the very same bytes, and say so
    #[arg(long)]
    resume: bool,
    /// Write the results to a Markdown file
    #[arg(long)]
    report: Option<PathBuf>,
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Sub::List => list(),
        Sub::Roots => with_host(make_roots),
        Sub::Package { dir } => with_host(|host| package(host, &dir)),
        Sub::Content => with_host(content::run),
        Sub::Selftest => with_host(selftest::run),
        Sub::Demo(args) => with_host(|host| demo::run(host, &args)),
        Sub::Bench { parts } => with_host(|host| bench::run(host, &parts)),
        Sub::Powercut(args) => with_host(|host| powercut::run(host, &args)),
        Sub::Tables { img } => tables::make(&img).map(|()| true),
        Sub::Run(args) => with_host(|host| run(host, &args)),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vm: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Where the machine cannot run guests, a developer's run is skipped and CI's fails.
fn with_host(work: impl FnOnce(&Host) -> Result<bool>) -> Result<bool> {
    match Host::find() {
        Ok(host) => work(&host),
        Err(error) if env::var_os("CI").is_some_and(|value| value == "true") => Err(error),
        Err(error) => {
            say(&format!("SKIP vm: {error:#}"));
            Ok(true)
        }
    }
}

fn cases() -> Result<Vec<Case>> {
    case::load_all(&host::find_repo()?.join("tests/vm/cases"))
}

fn list() -> Result<bool> {
    let cases = cases()?;
    let own_kernel = own_kernel::choose(&cases);
    for case in cases {
        let cut: Vec<_> = case.cut_cells()?.iter().map(ToString::to_string).collect();
        let cells = case.cells();
        let qemu = cells.iter().filter(|cell| own_kernel.contains(&(case.name.clone(), **cell)));
        let qemu: Vec<_> = qemu.map(ToString::to_string).collect();
        let qemu = if qemu.is_empty() { String::new() } else { format!(" (QEMU: {})", qemu.join(" ")) };
        say(&format!("{:<34} {:<17} of {}  {}{qemu}", case.name, cut.join(" "), cells.len(), case.summary));
    }
    Ok(true)
}

/// Those of every case, so that `run --all` begins to boot at once.
fn make_roots(host: &Host) -> Result<bool> {
    let jobs = plan::jobs(&cases()?, &Selection { all: true, ..Selection::default() })?;
    let needs = jobs.iter().flat_map(runner::needs);
    // Those that are made of one archive have one name.
    let guests = needs.map(|(cell, variant, ..)| Root::Guest(cell.suite, variant.flavour()));
    let all = guests.chain([Root::Server, Root::Libraries]).map(|root| (root.to_string(), root));
    let all: std::collections::BTreeMap<_, _> = all.collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = all.into_values().map(|root| scope.spawn(move || roots::archive(host, root))).collect();
        for thread in threads {
            let path = thread.join().map_err(|_| anyhow::anyhow!("a builder panicked"))??;
            say(&format!("{}", path.display()));
        }
        Ok(true)
    })
}

fn package(host: &Host, dir: &Path) -> Result<bool> {
    let payload = payload::build(host)?;
    std::fs::create_dir_all(dir)?;
    let to = dir.join(payload.deb.file_name().unwrap_or_default());
    std::fs::copy(&payload.deb, &to)?;
    say(&format!("{}", to.display()));
    Ok(true)
}

fn run(host: &Host, args: &RunArgs) -> Result<bool> {
    let selection = Selection {
        names: args.case.clone(),
        all: args.all,
        suite: args.suite,
        initrd: args.initrd,
        engine: args.engine,
    };
    let jobs = plan::on_this_machine(host, plan::jobs(&cases()?, &selection)?, args.engine)?;
    let needs: Vec<_> = jobs.iter().flat_map(runner::needs).collect();
    let sets = plan::prepare(host, &needs)?;
    let of = format!("{} boots in {} cells", jobs.iter().map(|job| job.case.boots().len()).sum::<usize>(), jobs.len());
    let today = report::today()?;
    let journal = Journal::open(host, &today)?;
    let known: Vec<_> = jobs.iter().map(|job| journal.passed(job, &sets).filter(|_| args.resume)).collect();
    let (mut finished, mut left) = (Vec::new(), Vec::new());
    for (job, known) in jobs.into_iter().zip(known) {
        match known {
            Some(known) => finished.push(known),
            None => left.push(job),
        }
    }
    if args.resume {
        say(&format!("{} cells passed before with the same bytes, {} are left", finished.len(), left.len()));
    }
    let until = args.minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    let (ran, left) = runner::run_all(host, &sets, left, args.jobs, args.keep, &journal, until);
    finished.extend(ran);
    finished.sort_by(|a, b| (&a.name, a.cell).cmp(&(&b.name, b.cell)));
    ensure!(!finished.is_empty(), "no case ran");
    if let Some(path) = &args.report {
        let words: Vec<_> = env::args().skip(1).collect();
        let command = if args.all && args.case.is_empty() { "make check-all".to_owned() } else { words.join(" ") };
        report::write(path, &finished, &left, &report::About::now(host, &command, of, path)?)?;
    }
    say(&report::medians(&finished));
    say(&report::summary(&finished, &left));
    Ok(left.is_empty() && finished.iter().all(|one| one.failure.is_none()))
}
