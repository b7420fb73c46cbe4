// SPDX-License-Identifier: GPL-2.0-or-later
//! Runs a chain: boots and cuts over one disk, with what must hold after each.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::asked;
use super::figures::{Counts, Figures};
use super::guest::{Boot, Ended, Instruction, Phase};
use super::ledger::{Entry, judge};
use super::lower;
use super::reorder;
use super::request::{Request, THAWED};
use super::rng::Rng;
use super::root::Roots;
use super::scenario::{Chain, Model, Place, Situation, Step, When};
use super::tar;
use crate::case::FsKind;
use crate::host::{self, Host};

/// How long our program takes on this machine, and a boot to where it is judged; each model has its engine.
#[derive(Debug)]
pub(crate) struct Pace(Mutex<BTreeMap<Model, (Duration, Duration)>>);

impl Default for Pace {
    fn default() -> Self {
        let at_first =
            [Model::Prefix, Model::Reorder].map(|m| (m, (Duration::from_millis(800), Duration::from_secs(6))));
        Self(Mutex::new(BTreeMap::from(at_first)))
    }
}

impl Pace {
    fn learn(&self, model: Model, ended: &Ended) {
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(pace) = paces.get_mut(&model) else { return };
        // the middle of what it was and what it is now
        pace.0 = ended.assembling.map_or(pace.0, |now| (pace.0 + now) / 2);
        pace.1 = ended.ready.map_or(pace.1, |now| (pace.1 + now) / 2);
    }

    fn get(&self, model: Model) -> (Duration, Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&model).copied().unwrap_or_default()
    }
}

/// What all chains of a run share.
#[derive(Debug)]
pub(crate) struct Shared<'a> {
    pub(crate) host: &'a Host,
    pub(crate) roots: &'a Roots,
    pub(crate) seed: u64,
    pub(crate) pace: Pace,
    /// Print a line for each boot.
    pub(crate) verbose: bool,
    pub(crate) figures: Mutex<Figures>,
}

/// A chain that runs.
pub(crate) struct Run<'a> {
    shared: &'a Shared<'a>,
    chain: &'a Chain,
    dir: &'a Path,
    disk: PathBuf,
    rng: Rng,
    ledger: Vec<Entry>,
    next: u32,
    /// A reset was cut: what is in the ledger may be gone, as a whole.
    in_doubt: bool,
    /// What the boots before this one were asked for.
    request: Request,
}

impl<'a> Run<'a> {
    pub(crate) fn new(shared: &'a Shared<'a>, chain: &'a Chain, dir: &'a Path) -> Self {
        let rng = Rng::new(shared.seed, chain.number as u64);
        Self {
            shared,
            chain,
            dir,
            disk: dir.join("root.img"),
            rng,
            ledger: Vec::new(),
            next: 0,
            in_doubt: false,
            request: Request::default(),
        }
    }

    /// Boots and cuts to the end of the chain, or to the first thing that does not hold.
    pub(crate) fn run(&mut self) -> Result<()> {
        fs::create_dir_all(self.dir)?;
        host::copy_sparse(&self.shared.roots.image(self.chain), &self.disk)?;
        for (index, step) in self.chain.steps.iter().enumerate() {
            let what = || format!("boot {} ({})", index + 1, self.chain.arguments(*step));
            self.step(*step, index).with_context(what)?;
        }
        Ok(())
    }

    fn step(&mut self, step: Step, index: usize) -> Result<()> {
        let before = self.dir.join("before.img");
        if self.chain.model == Model::Reorder {
            host::copy_sparse(&self.disk, &before)?;
        }
        let beside = match self.chain.situation {
            Situation::Reset => " powercut.ballast",
            Situation::Commit => " powercut.commit",
            Situation::Thaw => " powercut.thaw",
            Situation::Tries => " powercut.tries",
            Situation::Create | Situation::Ordinary | Situation::Load | Situation::Grow => "",
        };
        let arguments = format!("{}{beside}", self.chain.arguments(step));
        let (host, roots, dir) = (self.shared.host, self.shared.roots, self.dir);
        let (model, first) = (self.chain.model, self.next);
        let when = self.instruction(step);
        let disk = self.disk.clone();
        let btrfs = self.chain.root == FsKind::Btrfs;
        let boot = Boot { host, roots, dir, disk: &disk, model, btrfs, first, arguments };
        let mut ended = boot.until_cut(when).inspect_err(|_| self.count(|counts| counts.wrong += 1))?;
        self.shared.pace.learn(self.chain.model, &ended);
        if self.chain.model == Model::Reorder {
            // where nothing was acknowledged, the power may as well have gone at any write before
            let anywhere = ended.phase < Phase::Load && step.when == When::Assembling && self.rng.below(4) > 0;
            if anywhere {
                ended.phase = ended.phase.min(Phase::Assembling);
                ended.applied = false;
            }
            let (lost, of) = reorder::replay(&before, &boot.write_log(), anywhere, &mut self.rng)?;
            fs::rename(&before, &self.disk)?;
            self.count(|counts| counts.pieces = (counts.pieces.0 + lost, counts.pieces.1 + of));
        }
        if step.when != When::Never {
            self.shared.figures().cut(self.chain.situation, self.chain.model, ended.phase);
        }
        self.judge(step, index, &ended)?;
        self.enter(&ended);
        if self.shared.verbose {
            self.tell(step, when, &ended);
        }
        self.look_at_lower(step.when == When::Never)
    }

    /// When this boot is cut.
    fn instruction(&mut self, step: Step) -> Instruction {
        let (assembling, ready) = self.shared.pace.get(self.chain.model);
        let longer = match (self.chain.situation, self.chain.place) {
            // making a file system takes its time
            (Situation::Create, Place::Loop | Place::Part) => 200,
            _ => 130,
        };
        let (from, most) = match step.when {
            When::Assembling => (Phase::Assembling, assembling * longer / 100),
            When::Initramfs => (Phase::Early, ready),
            // the ballast comes first
            When::Load if self.chain.situation == Situation::Reset => (Phase::Load, Duration::from_secs(4)),
            When::Load => (Phase::Load, Duration::from_secs(2)),
            When::Never => (Phase::Load, Duration::ZERO),
        };
        let most = u64::try_from(most.as_micros()).unwrap_or(0);
        // not zero, which means the first record
        let least = u64::from(step.when != When::Never);
        Instruction { from, after: Duration::from_micros(least + self.rng.below(most)) }
    }

    /// Holds what the boot showed against what was asked for and what was acknowledged before.
    fn judge(&mut self, step: Step, index: usize, ended: &Ended) -> Result<()> {
        if step.reset {
            let done = ended.phase >= Phase::Up || ended.applied;
            if done {
                self.ledger.clear();
            }
            self.in_doubt = !done;
        }
        if ended.phase < Phase::Load {
            return Ok(());
        }
        let checked = self.request.check(self.chain.situation, &ended.said).and_then(|thawed| match thawed {
            true => Ok(true),
            false => {
                asked::check(self.chain, self.shared.roots.engine(self.chain.model), step, &ended.said).map(|()| false)
            }
        });
        if checked.inspect_err(|_| self.count(|counts| counts.wrong += 1))? {
            // Nothing of the upper is to be seen.
            return Ok(());
        }
        let files = tar::files(&fs::read(self.dir.join("files"))?)?;
        let mut judgement = judge(self.shared.seed, &self.ledger, &files);
        if self.in_doubt && !judgement.is_good() {
            let fresh = judge(self.shared.seed, &[], &files);
            if fresh.is_good() {
                self.ledger.clear();
                judgement = fresh;
            }
        }
        self.in_doubt = false;
        self.count(|counts| {
            counts.found += judgement.found;
            counts.lost += judgement.lost.len();
            counts.strange += judgement.strange.len();
            if index > 0 {
                counts.judged += 1;
                counts.longest = counts.longest.max(ended.ready.unwrap_or_default());
            }
        });
        let (lost, strange) = (judgement.lost.join("\n"), judgement.strange.join("\n"));
        ensure!(judgement.is_good(), "of {} writes lost:\n{lost}\nstrange:\n{strange}", self.ledger.len());
        Ok(())
    }

    /// Notes what this boot acknowledged, and the write it was at.
    fn enter(&mut self, ended: &Ended) {
        if ended.phase < Phase::Load || ended.said.contains(THAWED) {
            return;
        }
        // a line that is cut off was not said
        let whole = ended.said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let acked = whole.lines().filter(|line| line.starts_with("ACK ")).count();
        let (first, end) = (self.next, self.next + u32::try_from(acked).unwrap_or(0));
        self.ledger.extend((first..=end).map(|number| Entry { number, first, acked: number < end }));
        self.next = end + 1;
        let emptied = whole.lines().any(|line| line.starts_with("TRASH ") && line.contains("removed"));
        self.count(|counts| {
            counts.acked += acked;
            counts.emptied += usize::from(emptied);
        });
    }

    fn tell(&self, step: Step, when: Instruction, ended: &Ended) {
        let Ended { phase, ready, assembling, .. } = ended;
        let (after, writes) = (when.after, self.ledger.len());
        host::say(&format!(
            "     {step:?} cut {after:.1?} after {:?}, got to {phase:?}; assembling {assembling:.1?}, \
             ready {ready:.1?}; {writes} writes until now",
            when.from
        ));
    }

    fn look_at_lower(&self, last: bool) -> Result<()> {
        let kind = self.chain.root;
        let copy = self.dir.join("copy.img");
        let tree = Roots::copy(self.chain, &self.disk, &copy);
        let tree = tree.and_then(|()| lower::tree_of(self.shared.host, &copy, kind));
        let tree = tree.inspect_err(|_| self.count(|counts| counts.lower += 1))?;
        let was = self.shared.roots.tree(kind)?;
        let lines = match self.chain.situation {
            Situation::Commit => lower::beside_what_is_committed(was, &tree),
            Situation::Thaw => lower::beside_the_request(was, &tree),
            Situation::Create
            | Situation::Ordinary
            | Situation::Load
            | Situation::Reset
            | Situation::Grow
            | Situation::Tries => lower::differences(was, &tree),
        };
        let moved = lower::differences(was, &tree).len() > lines.len();
        ensure!(!last || self.chain.situation != Situation::Commit || moved, "nothing was moved into the lower");
        self.count(|counts| counts.lower += lines.len());
        ensure!(lines.is_empty(), "the lower changed:\n{}", lines.join("\n"));
        Ok(())
    }

    fn count(&self, add: impl FnOnce(&mut Counts)) {
        add(self.shared.figures().of(self.chain.situation));
    }
}

impl Shared<'_> {
    pub(crate) fn figures(&self) -> std::sync::MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
