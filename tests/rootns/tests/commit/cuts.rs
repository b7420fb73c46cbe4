// SPDX-License-Identifier: GPL-2.0-or-later
//! Random trees, changed through a real overlay; then the run is ended behind its first system call, its second, and so
//! on to its last. Each time the overlay of what is left must show what it showed, and a second run must end with a
//! lower that is the merged tree.
//!
//! OVERLAYROOT_POINTS: how many cuts each kind of stack has at least (600; 2500 in `make check-all`, 10,000 in all).
//! OVERLAYROOT_SEED: only this tree.

use crate::stack::{Disks, Lying, Stack, was_cut};
use crate::view::{View, difference};
use crate::work::{Rng, path, work};
use overlayroot_linux::commit::{Calls, Choice, Done, Ended};
use overlayroot_rootns::on_stage;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Cuts of one tree: those with more calls have cuts at random behind some of them.
const MOST_OF_A_TREE: u64 = 120;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn cuts(lying: Lying, fstype: &'static str) {
    let name = format!("{lying:?}-{fstype}").to_lowercase();
    on_stage(&name.clone(), move |_stage| {
        let disks = Disks::make(lying, fstype);
        let points = number("OVERLAYROOT_POINTS").unwrap_or(600);
        let first = number("OVERLAYROOT_SEED");
        let began = Instant::now();
        let mut seeds = Rng::new(u64::from(std::process::id()) ^ 0x9e37_79b9_7f4a_7c15);
        let (mut done, mut trees) = (0, 0);
        while done < points {
            let seed = first.unwrap_or_else(|| seeds.next());
            done += tree(&disks, seed);
            trees += 1;
            if first.is_some() {
                break;
            }
            // A machine that is slow, or busy, says so by its time.
            assert!(began.elapsed() < Duration::from_secs(1800), "{done} cuts in half an hour");
        }
        eprintln!("{name}: {trees} trees, {done} cuts, {:.0} s", began.elapsed().as_secs_f64());
    });
}

/// One random tree, what is asked for, and what must come of it.
struct Tree<'a> {
    disks: &'a Disks,
    seed: u64,
    model: Stack,
    choice: Choice,
    wanted: View,
    /// Names of one file.
    groups: Vec<Vec<PathBuf>>,
    /// The lower alone, and what the upper still has, behind a run that was not cut.
    end: Option<(View, Vec<PathBuf>)>,
}

/// How many cuts there were.
fn tree(disks: &Disks, seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let model = disks.stack("model");
    let (below, above) = (5 + rng.below(40), 1 + rng.below(40));
    work(&model.lower, &mut rng, below);
    model.hide();
    work(model.mount().0, &mut rng, above);
    let (choice, wanted) = (choice(&mut rng), model.merged());
    let groups = model.groups(&wanted);
    let mut tree = Tree { disks, seed, model, choice, wanted, groups, end: None };
    let calls = tree.whole();
    let (mut at, mut cuts) = (0, 0);
    while at < calls {
        tree.cut(at);
        cuts += 1;
        at += 1 + if calls > MOST_OF_A_TREE { rng.below(2 * calls / MOST_OF_A_TREE) } else { 0 };
    }
    tree.model.remove();
    cuts
}

/// Of four trees three are moved as a whole.
fn choice(rng: &mut Rng) -> Choice {
    let mut choice = Choice::default();
    if rng.below(4) == 0 {
        let mut some = |most| (0..rng.below(most)).map(|_| path(rng)).collect::<Vec<PathBuf>>();
        (choice.paths, choice.keep) = (some(3), some(2));
        choice.exclude = some(2).into_iter().map(|path| path.display().to_string()).collect();
    }
    choice
}

impl Tree<'_> {
    /// Without a cut; how many calls there were.
    fn whole(&mut self) -> u64 {
        let (stack, seed) = (self.disks.stack("whole"), self.seed);
        stack.copy_of(&self.model);
        assert_eq!(difference(&self.wanted, &stack.merged()), None, "seed {seed}: the copy of the tree");
        let mut calls = Calls::default();
        let done = stack.commit(&self.choice, &mut calls).unwrap_or_else(|error| panic!("seed {seed}: {error:#}"));
        self.is_done(&stack, &done, &format!("seed {seed}, no cut"));
        self.end = Some((stack.plain(), stack.rest()));
        stack.remove();
        calls.made()
    }

    fn cut(&self, at: u64) {
        let name = format!("seed {}, cut behind {at}", self.seed);
        let stack = self.disks.stack("cut");
        stack.copy_of(&self.model);
        match stack.commit(&self.choice, &mut Calls::first(at)) {
            Err(error) if was_cut(&error) => {}
            other => panic!("{name}: {other:?}"),
        }
        assert_eq!(difference(&self.wanted, &stack.merged()), None, "{name}");
        let again = stack.commit(&self.choice, &mut Calls::default());
        let done = again.unwrap_or_else(|error| panic!("{name}, again: {error:#}"));
        self.is_done(&stack, &done, &name);
        if let Some((lower, rest)) = &self.end {
            assert_eq!(difference(lower, &stack.plain()), None, "{name}: the lower alone, as without a cut");
            assert_eq!(&stack.rest(), rest, "{name}: the upper, as without a cut");
        }
        stack.remove();
    }

    fn is_done(&self, stack: &Stack, done: &Done, name: &str) {
        let (choice, wanted) = (&self.choice, &self.wanted);
        assert_eq!(done.ended, Ended::Whole, "{name}");
        assert_eq!(difference(wanted, &stack.merged()), None, "{name}, then");
        let lower = stack.plain();
        if choice.paths.is_empty() && choice.keep.is_empty() && choice.exclude.is_empty() {
            assert!(done.left.is_empty(), "{name}: {:?}", done.left);
            assert_eq!(difference(wanted, &lower), None, "{name}: the lower alone");
            let rest = stack.rest();
            assert!(rest.is_empty(), "{name}: left in the upper: {rest:?}");
            assert_eq!(stack.groups(wanted), self.groups, "{name}: names of one file");
            return;
        }
        // What was asked for is in the lower as it is in the merged tree, but for what is named.
        let stays = |path: &Path| done.left.iter().any(|left| path.starts_with(&left.path));
        for path in wanted.keys().chain(lower.keys()).filter(|path| choice.takes(path) && !stays(path)) {
            assert_eq!(wanted.get(path), lower.get(path), "{name}: /{} in the lower", path.display());
        }
    }
}

#[test]
fn beside_on_ext4() {
    cuts(Lying::Beside, "ext4");
}

#[test]
fn inside_on_xfs() {
    cuts(Lying::Inside, "xfs");
}

#[test]
fn apart_on_ext4() {
    cuts(Lying::Apart, "ext4");
}

#[test]
fn subvolume() {
    cuts(Lying::Subvolume, "btrfs");
}
