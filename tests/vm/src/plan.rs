// SPDX-License-Identifier: GPL-2.0-or-later
//! Which cases run where, and which images that needs.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};

use crate::case::{Case, RootKind};
use crate::cell::{Cell, Flavour, Initrd, Suite, Variant};
use crate::engine::Engine;
use crate::host::Host;
use crate::images::{Image, ImageSet, Wanted};
use crate::own_kernel;
use crate::payload::{self, Payload};

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Names, slugs, or parts of names; all cases when empty.
    pub names: Vec<String>,
    /// Every cell instead of the short run's.
    pub all: bool,
    /// Only this suite, in every cell which has it.
    pub suite: Option<Suite>,
    /// Only this initrd, in every cell which has it.
    pub initrd: Option<Initrd>,
    /// By this engine, whatever the cases say.
    pub engine: Option<Engine>,
}

/// A case in a cell.
#[derive(Clone, Debug)]
pub struct Job {
    /// The case.
    pub case: Case,
    /// The cell.
    pub cell: Cell,
    /// What runs its guests.
    pub engine: Engine,
}

impl Job {
    /// About how long it takes, to begin with the longest.
    #[must_use]
    pub fn weight(&self) -> usize {
        let late = if self.case.disk.iter().any(|disk| disk.late.is_some()) { 2 } else { 0 };
        let boot = match self.engine {
            Engine::Uml => 1,
            Engine::Qemu => 5,
        };
        self.case.boots().len() * boot + late
    }
}

/// The jobs of a selection, the longest first.
///
/// # Errors
/// A name which fits no case; nothing left to run.
pub fn jobs(cases: &[Case], selection: &Selection) -> Result<Vec<Job>> {
    for name in &selection.names {
        ensure!(cases.iter().any(|case| fits(cases, case, name)), "no case is called {name}");
    }
    let own_kernel = own_kernel::choose(cases);
    let mut jobs = Vec::new();
    for case in cases {
        if !selection.names.is_empty() && !selection.names.iter().any(|name| fits(cases, case, name)) {
            continue;
        }
        let every = selection.all || selection.suite.is_some() || selection.initrd.is_some();
        let mut cells = if every { case.cells() } else { case.cut_cells()? };
        if cells.is_empty() && !selection.names.is_empty() {
            // asked for by name, though the short run leaves it out
            cells = case.cells().into_iter().take(1).collect();
        }
        let wanted = cells.into_iter().filter(|cell| {
            selection.suite.is_none_or(|s| s == cell.suite) && selection.initrd.is_none_or(|i| i == cell.initrd)
        });
        jobs.extend(wanted.map(|cell| {
            let qemu = own_kernel.contains(&(case.name.clone(), cell));
            let engine = selection.engine.unwrap_or(if qemu { Engine::Qemu } else { Engine::Uml });
            Job { case: case.clone(), cell, engine }
        }));
    }
    ensure!(!jobs.is_empty(), "nothing to run: no cell fits the selection");
    jobs.sort_by_key(|job| std::cmp::Reverse(job.weight()));
    Ok(jobs)
}

/// The same by the engines that this machine has.
///
/// # Errors
/// Where an engine is missing that the user named, or any and `CI=true`.
pub fn on_this_machine(host: &Host, mut jobs: Vec<Job>, named: Option<Engine>) -> Result<Vec<Job>> {
    if named == Some(Engine::Uml) {
        host.uml()?;
    }
    for job in &mut jobs {
        job.engine = host.engine(job.engine)?;
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.weight()));
    Ok(jobs)
}

/// A case by its name or slug alone; else by any part of the name: `quota` means every case that has it in its name.
fn fits(cases: &[Case], case: &Case, name: &str) -> bool {
    let is = |case: &Case| case.name == name || case.slug() == name;
    if cases.iter().any(is) { is(case) } else { !name.is_empty() && case.name.contains(name) }
}

/// A suite, and what its root is made of.
pub type SetKey = (Suite, Flavour);

/// Opened image sets.
pub type Sets = BTreeMap<SetKey, ImageSet>;

type Needs = BTreeMap<SetKey, (BTreeSet<Image>, BTreeSet<RootKind>)>;

/// An initramfs and a root disk which one boot needs.
pub type Need = (Cell, Variant, RootKind, Engine);

/// Opens the image sets which the jobs need, suites side by side.
///
/// # Errors
/// When one cannot be made.
pub fn prepare(host: &Host, needs: &[Need]) -> Result<Sets> {
    let mut wanted = Needs::new();
    for &(cell, variant, root, engine) in needs {
        let (initrds, roots) = wanted.entry((cell.suite, variant.flavour())).or_default();
        initrds.insert((cell.initrd, variant, engine));
        roots.insert(root);
    }
    let project = wanted.keys().any(|(_, flavour)| *flavour != Flavour::Bare);
    let payload = project.then(|| payload::build(host)).transpose()?;
    let mut sets = Sets::new();
    let opened: Vec<Result<Vec<(SetKey, ImageSet)>>> = thread::scope(|scope| {
        let threads: Vec<_> = Suite::ALL
            .into_iter()
            .map(|suite| {
                let (wanted, payload) = (&wanted, payload.as_ref());
                scope.spawn(move || open(host, suite, wanted, payload))
            })
            .collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|result| result.unwrap_or_else(|_| Err(anyhow!("a builder panicked")))).collect()
    });
    for result in opened {
        sets.extend(result?);
    }
    Ok(sets)
}

fn open(host: &Host, suite: Suite, wanted: &Needs, payload: Option<&Payload>) -> Result<Vec<(SetKey, ImageSet)>> {
    let mut sets = Vec::new();
    for (&key, (initrds, roots)) in wanted.iter().filter(|((of, _), _)| *of == suite) {
        let wanted = Wanted { initrds: initrds.iter().copied().collect(), roots: roots.iter().copied().collect() };
        let payload = if key.1 == Flavour::Bare { None } else { Some(payload.context("no payload")?) };
        sets.push((key, ImageSet::open(host, key, payload, &wanted)?));
    }
    Ok(sets)
}
